"""The city's side: stores what the halls send, shows their state, writes reports, and rolls policies out.

A program of its own beside the halls' daemon, which imports nothing of it; its state is PostgreSQL.
"""
