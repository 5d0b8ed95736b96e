"""Section ``cases``: by when a case is answered and closed, and which words it may carry."""

from __future__ import annotations

from collections.abc import Mapping

from edged.core.model.policy.words import Word
from edged.core.model.value import value


@value
class Cases:
    """办不成事. Days to close in are working days, the others calendar days; ``*_min`` are minutes after midnight.

    ``codes``: why a case is opened; an unknown word, or none, counts as the last. ``outcomes``: how one may be closed;
    the last one stands for closing without a word; ``undoable``: those that say it could not be done (不可办), which
    count apart. A case is kept ``keep_days`` after its end, then only counted; more than ``open_max`` at once are
    refused.
    """

    acknowledge_s: int = 600
    remind_s: int = 300
    pages: int = 4
    close_days: int = 5
    special_days: int = 10
    extend_days: int = 5
    extensions: int = 1
    remind_min: int = 540
    due_min: int = 1020
    rate_within_s: int = 900
    rate_days: int = 15
    reopen_days: int = 15
    reopen_if_bad: bool = True
    keep_days: int = 90
    open_max: int = 200
    codes: tuple[Word, ...] = ("refused", "papers", "system", "delay", "attitude", "other")
    outcomes: tuple[Word, ...] = ("solved", "referred", "explained", "withdrawn", "closed")
    undoable: tuple[Word, ...] = ("explained",)


BOUNDS: Mapping[str, tuple[int, int]] = {
    "Cases.acknowledge_s": (60, 28800),
    "Cases.remind_s": (30, 28800),
    "Cases.pages": (1, 20),
    "Cases.close_days": (1, 60),
    "Cases.special_days": (1, 120),
    "Cases.extend_days": (1, 60),
    "Cases.extensions": (0, 5),
    "Cases.remind_min": (0, 1439),
    "Cases.due_min": (0, 1439),
    "Cases.rate_within_s": (30, 86400),
    "Cases.rate_days": (1, 90),
    "Cases.reopen_days": (0, 90),
    "Cases.keep_days": (1, 400),
    "Cases.open_max": (1, 500),  # each is a line of every snapshot, for days; a hall with more needs no list
}
