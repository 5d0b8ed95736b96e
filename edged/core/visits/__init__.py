"""What happens to one visitor after the queue: outcomes, detours, walk-ins, printing again, rating, follow mode.

May import the rooms ``model`` to ``windows``.
"""
