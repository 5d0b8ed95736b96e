"""A hall with one device of every class on its real wire: every input must reach the hall, every output its device.

``classes.py`` is the list of devices with what is done to each and what must be seen there; ``far_ends.py`` are their
simulated far ends; ``run.py`` starts the daemon and the processes beside it, and judges.
"""
