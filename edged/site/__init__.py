"""What a technician needs on site beside the running daemon: the bundle on a USB stick. No daemon imports it."""
