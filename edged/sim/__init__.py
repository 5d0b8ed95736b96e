"""Simulated halls: the demo, and seeded worlds with many faults. The daemon never imports this package."""
