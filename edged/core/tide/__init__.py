"""The tidal loop (潮汐): what asks for a "+1" window, who grants it, what a quiet area lends, what else was considered.

May import the rooms ``model`` to ``visits``; does not know ``hours`` or ``signage``.
"""
