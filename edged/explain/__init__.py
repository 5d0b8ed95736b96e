"""Turns the recorded facts of decisions and alarms into Chinese and English sentences: for the web pages, the demo,
``edged why`` and the alarm messages to the city's centre.
"""
