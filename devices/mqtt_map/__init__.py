"""Devices on the hall's broker with topics and payloads of their own: buttons, relays and counters, by description."""
