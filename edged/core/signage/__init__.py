"""What lamps, displays, call panels and summaries for the city show, computed from the state alone.

May import every package of the core from ``model`` to ``visits``, but neither ``hours`` nor ``tide``.
"""
