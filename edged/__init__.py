"""The edge controller of a government service hall: it runs the queue, opens "+1" windows, and drives the devices."""

__version__ = "0.2.0"
