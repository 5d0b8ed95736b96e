"""Halls that do not exist: the demo, and seeded worlds in which everything goes wrong. No daemon imports it."""
