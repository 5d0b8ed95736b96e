"""The tidal loop (潮汐): what asks for a "+1" window, what is granted, what a quiet area lends, and the alternatives
considered.

May import every package of the core from ``model`` to ``visits``, but neither ``hours`` nor ``signage``.
"""
