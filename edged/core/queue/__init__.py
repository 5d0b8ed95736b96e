"""Who waits: numbers and tickets, appointments, the one ordering, what an area is up against, people counters.

May import the rooms ``model`` to ``cases``.
"""
