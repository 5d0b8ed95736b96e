"""Devices that speak the hall's own JSON over MQTT: dispensers, panels, displays, lamps, voices, counters, pagers."""
