"""The hall's side of the connection to the city's central platform ("the centre"): topics, signed documents, policies,
operations, history.
"""
