"""Windows (窗口): their states, the activation of "+1" windows, prepared calls, attendance, manual overrides.

May import every package of the core from ``model`` to ``queue``.
"""
