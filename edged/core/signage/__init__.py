"""What lamps, displays, panels and state messages for the city show: the same state, the same signs.

May import the rooms ``model`` to ``visits``; does not know ``hours`` or ``tide``.
"""
