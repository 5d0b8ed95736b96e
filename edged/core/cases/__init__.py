"""Cases and ratings: what visitors report, with the records and deadlines of both.

A case (办不成事, a matter that could not be settled) is a complaint with a deadline for its answer; a rating (好差评)
is a visitor's mark for the service. May import ``model``, ``calendar`` and ``people``.
"""
