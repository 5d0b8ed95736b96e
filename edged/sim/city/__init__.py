"""A whole city on this machine: its broker, PostgreSQL and consumer, simulated halls, and real daemons with real
bridges.

``edged centre demo`` shows it; ``edged bench --fleet`` measures it under failures. Every process ends with the one that
started it.
"""
