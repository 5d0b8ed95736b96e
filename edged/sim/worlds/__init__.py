"""Seeded worlds around the core: one hall day in about a second, with people who forget and wires that lose and repeat
messages.

The seed decides everything: the visitors, the habits of the clerks, which faults this world has and how often. While
faults last only safety is checked (``promises.py``, and ``Engine.check`` after every step); then they stop, and the
hall has to recover by itself (``World.settle``).
"""
