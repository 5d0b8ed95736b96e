"""Simulates the whole daemon: virtual time, connections in memory, the drivers' own fakes, a disk that fails."""
