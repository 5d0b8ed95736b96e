"""Call panels, window boards and button kiosks of the Candle RS-485 family: one bus, one frame shape."""
