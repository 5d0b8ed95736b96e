"""The city's side: stores what the halls send, shows their state, makes reports, and rolls policies out.

It shares no process with the halls' daemon, which imports nothing of it. Its state is in PostgreSQL.
"""
