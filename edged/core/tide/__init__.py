"""The tidal loop (潮汐) opens "+1" windows (one window more for a busy area) and gives them back: who asks for one, which
is granted, what a quiet area gives up, and which alternatives were considered.

May import every package of the core from ``model`` to ``visits``, but neither ``hours`` nor ``signage``.
"""
