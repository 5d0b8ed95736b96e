"""Opening and closing (当日清零): whether each area is open, when it stops giving numbers, later closing by key, and
the change of the business day.

May import every package of the core from ``model`` to ``visits``, but neither ``tide`` nor ``signage``.
"""
