"""Observers read the hall and never change it: metrics, pages, logs."""
