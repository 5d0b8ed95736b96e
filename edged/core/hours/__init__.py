"""Opening and closing (当日清零): an area's phases, the last number of the day, late hours by key, the business day.

May import the rooms ``model`` to ``visits``; does not know ``tide`` or ``signage``.
"""
