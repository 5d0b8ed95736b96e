"""Numbers and tickets, appointments, the order of calling, the load of an area, people counters.

May import every package of the core from ``model`` to ``cases``.
"""
