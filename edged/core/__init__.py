"""The pure core: events in, commands and notes out. No I/O, clock, randomness or logging in this folder."""
