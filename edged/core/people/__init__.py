"""How people are reached: the "+1" roster, pages to staff, alarms, loudspeakers, notices on boards.

May import ``model`` and ``calendar``.
"""
