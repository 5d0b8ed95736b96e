"""Onbon BX-5K/6K LED bars with fonts on the card: areas of text, over a serial line or TCP."""
