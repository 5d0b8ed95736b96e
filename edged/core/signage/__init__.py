"""What lamps, displays, panels and the centre's picture show for a state: the same state, the same signs.

May import the rooms ``model`` to ``visits``; does not know ``hours`` or ``tide``.
"""
