"""Onbon BX-5K/6K LED bars with on-card fonts: text areas over a serial line or TCP."""
