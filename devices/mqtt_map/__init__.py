"""Devices on the hall's broker with their own topics and payloads, explained by a description file: buttons, relays,
counters.
"""
