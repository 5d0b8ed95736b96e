"""Simulated halls: the demo, and seeded simulations with many faults ("worlds"). The daemon never imports this package.

"Hall time" is the time of the simulated hall's clock, which usually runs faster than real time; constants in real
seconds are named so.
"""
