"""How people are reached: the "+1" roster, pages until somebody answers, alarms, loudspeakers, notices on boards.

May import ``model`` and ``calendar``.
"""
