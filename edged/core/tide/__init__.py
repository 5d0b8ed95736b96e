"""The tidal loop (潮汐) opens "+1" windows (one window more for a busy area) and gives them back.

Here: who asks for a window, which is granted, what a quiet area gives up, which alternatives were considered.

May import every package of the core from ``model`` to ``visits``, but neither ``hours`` nor ``signage``.
"""
