"""Two halls with one device of every class on its real line: every input must reach its hall, and every output its
device.

``classes.py`` lists the devices, what is done to each, and what it must show then; ``far_ends.py`` has their simulated
other ends; ``run.py`` starts the daemon and the processes beside it, and checks.
"""
