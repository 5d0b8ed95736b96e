"""Turns the facts of a decision into sentences, Chinese and English: for the demo, ``edged why`` and events to the
centre.
"""
