"""The hall as data: its configuration (site), events, commands, state, policy, and the ``Turn`` that carries one event
through the core.

Imports nothing else of the core.
"""
