"""Simulates the whole daemon: virtual time, wires in memory, the devices' own fakes, a disk that fails."""
