"""Ticket printers that speak ESC/POS, over a serial line or the network (port 9100)."""
