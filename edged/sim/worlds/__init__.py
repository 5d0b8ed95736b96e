"""Seeded simulations ("worlds") of the core: one hall day in about a second, with people who forget and connections
that lose and repeat messages.

The seed decides everything: the visitors, the habits of the clerks, which faults there are and how often. While faults
last, only the promises are checked: rules that must hold at any moment, such as that no number is given out twice in a
day (``promises.py``, and ``Engine.check`` after every step). Then the faults end, and the hall must recover by itself
(``days._settle``).
"""
