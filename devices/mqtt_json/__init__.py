"""Devices with this project's own JSON messages over MQTT: dispensers, panels, displays, lamps, voices, counters,
pagers.
"""
