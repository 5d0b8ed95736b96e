"""Windows (窗口): their state machine, the way of a "+1" window, the prepared call, attendance, decisions by hand.

May import the rooms ``model`` to ``queue``.
"""
