"""Modbus modules that a description file explains: contacts of buttons and light beams, counters, numeric displays."""
