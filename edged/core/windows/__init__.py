"""Windows (窗口): their state machine, the life of a "+1" window, the prepared call, attendance, overrides by hand.

May import the rooms ``model`` to ``queue``.
"""
