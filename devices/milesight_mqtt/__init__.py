"""Milesight VS125/VS133/VS135 people counters, which publish their own JSON on a topic that the installer chooses."""
