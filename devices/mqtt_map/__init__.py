"""Devices on the hall's broker that speak their own words: buttons, relays and counters, by description."""
