"""What visitors tell the hall of itself: cases (办不成事) and ratings (好差评), each with its book and deadlines.

May import the rooms ``model``, ``calendar`` and ``people``.
"""
