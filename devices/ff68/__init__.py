"""Call panels (callers) and evaluators of the "FF 68" RS-485 family: keys with digits, a six-digit display, four rating
buttons.
"""
