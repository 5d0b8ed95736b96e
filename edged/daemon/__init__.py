"""The process that serves a hall: what starts it, the loop, its inbox and outputs, the devices it runs, its end.

Only ``app`` knows all parts. ``platform`` is everything outside the process, which a simulated world replaces.
"""
