"""Modbus modules by description: contacts of buttons and beams, counters, numeric displays."""
