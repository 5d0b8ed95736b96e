"""Call panels, window boards and button kiosks of the Candle RS-485 family, which share one bus and one frame
format.
"""
