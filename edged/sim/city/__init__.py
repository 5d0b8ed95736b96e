"""A whole city on this machine: its broker, PostgreSQL and consumer; simulated halls, and real daemons behind real
bridges.

``edged centre demo`` shows it, ``edged bench --fleet`` breaks it. Every process ends with the one that started it.
"""
