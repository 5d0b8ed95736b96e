"""The hall's end of its link to the city's central platform (the centre): topics, signed envelopes, policies,
operations, history.
"""
