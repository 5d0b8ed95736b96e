"""The city's centre: keeps what its halls send, shows how they are, reports, and rolls policies out.

A program of its own beside the halls' daemon, which imports nothing of it; its state is PostgreSQL.
"""
