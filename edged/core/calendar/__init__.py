"""The hall's local time and opening hours: which hours each area has on a day, what is open now, and the sentences that
boards show about it.

Only computations: what happens when an area opens or closes is in ``hours/``. May import ``model``.
"""
