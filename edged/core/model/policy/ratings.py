"""Section ``ratings``: when a visit may be rated, and what a bad rating sets going."""

from __future__ import annotations

from collections.abc import Mapping

from edged.core.model.policy.words import Word
from edged.core.model.value import value


@value
class Ratings:
    """好差评. ``bad_level``: this and worse pages the duty manager, again every ``remind_s`` until answered.

    ``answers`` are the words a bad rating may be answered with; the last one stands for an answer without a word.
    """

    within_s: int = 600
    bad_level: int = 2
    correct_days: int = 7
    remind_s: int = 1800
    reminders: int = 3
    answers: tuple[Word, ...] = ("rectified", "visited", "unfounded", "answered")


BOUNDS: Mapping[str, tuple[int, int]] = {
    "Ratings.within_s": (30, 86400),
    "Ratings.bad_level": (1, 3),
    "Ratings.correct_days": (0, 90),
    "Ratings.remind_s": (60, 86400),
    "Ratings.reminders": (0, 20),
}
