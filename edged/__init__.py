"""Edge controller of a government service hall: one queue, one tidal loop, one process."""

__version__ = "0.2.0"
