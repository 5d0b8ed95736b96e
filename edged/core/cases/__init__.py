"""Cases (办不成事) and ratings (好差评): what visitors report, with its records and deadlines.

May import ``model``, ``calendar`` and ``people``.
"""
