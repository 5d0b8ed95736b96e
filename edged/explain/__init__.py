"""Turns the recorded facts of a decision into Chinese and English sentences, for the demo, ``edged why`` and events to
the city's centre.
"""
