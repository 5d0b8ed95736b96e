"""Cases and ratings: records, deadlines and alarms of what visitors report.

A case (办不成事) is a report that a matter could not be settled, and has a deadline for its answer; a rating (好差评)
is a visitor's mark for the service. May import ``model``, ``calendar`` and ``people``.
"""
