"""The tidal loop (潮汐): what asks for a "+1" window, who grants it, what a quiet area lends, and which alternatives
there were.

May import the rooms ``model`` to ``visits``; does not know ``hours`` or ``signage``.
"""
