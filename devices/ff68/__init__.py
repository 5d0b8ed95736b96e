"""Callers and evaluators of the FF 68 family on RS-485: keys with digits, six figures, four buttons for ratings."""
