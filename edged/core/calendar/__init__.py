"""Wall clock and opening hours as arithmetic: the hall's local time, a day's spans, what is open now, and its words.

Decides nothing: what happens when an area opens or closes is in ``hours/``. May import ``model``.
"""
