"""The hall's local time and opening hours as arithmetic: the open spans of a day, what is open now, and the sentences
about it.

Nothing is decided here: what happens when an area opens or closes is in ``hours/``. May import ``model``.
"""
