"""Worlds around the whole daemon: virtual time, memory wires, the devices' own fakes, a disk that fails."""
