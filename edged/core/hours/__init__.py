"""Opening and closing (当日清零): the phases of an area, the last number of the day, late hours by key, the business
day.

May import every package of the core from ``model`` to ``visits``, but neither ``tide`` nor ``signage``.
"""
