"""Ticket printers with the ESC/POS command set, on a serial line or the network (port 9100)."""
