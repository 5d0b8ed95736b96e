"""Seeded worlds around the core: a hall day in about a second, with people who forget and wires that lie.

One seed draws everything: the visitors, the habits of the clerks, which faults this world has and how often. While the
faults last only safety is asked for (``promises.py`` and ``Engine.check`` after every step); then they stop, and the
hall has to come right by itself (``World.settle``).
"""
