"""Who waits: numbers and tickets, appointments, the one ordering, the load of an area, people counters.

May import the rooms ``model`` to ``cases``.
"""
