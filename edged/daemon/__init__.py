"""The daemon of one hall: its start, event loop, inbox, outputs, devices, reloads and stop.

Only ``app`` knows all parts. ``platform`` is everything outside the process; the simulator replaces it.
"""
