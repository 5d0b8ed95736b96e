"""Relay modules and signal towers on Modbus: the lamps over windows."""
