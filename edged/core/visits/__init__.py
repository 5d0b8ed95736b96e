"""What happens to a visitor at and after a window: outcomes, parking, transfers, walk-ins, printing, ratings, follow
mode.

May import every package of the core from ``model`` to ``windows``.
"""
