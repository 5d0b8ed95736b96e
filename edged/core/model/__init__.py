"""The hall as data: how it is built (site), what can happen (events), what comes out (commands), all that is remembered
(state), what the city may push (policy), and the turn that carries one event through the core.

Imports nothing of the core outside this room.
"""
