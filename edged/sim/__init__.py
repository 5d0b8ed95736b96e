"""Simulated halls: the demo, and seeded simulations with many faults ("worlds"). The daemon never imports this
package.
"""
