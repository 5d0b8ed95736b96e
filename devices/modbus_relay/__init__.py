"""Relay modules and signal towers on Modbus, which switch the lamps over the windows."""
