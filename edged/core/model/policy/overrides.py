"""Section ``overrides``: how long a decision by hand stands."""

from __future__ import annotations

from collections.abc import Mapping

from edged.core.model.value import value


@value
class Overrides:
    """人工干预: every one of them ends by itself, after ``default_s`` or what was asked for, at most ``longest_s``."""

    default_s: int = 1800
    longest_s: int = 14400


BOUNDS: Mapping[str, tuple[int, int]] = {
    "Overrides.default_s": (60, 28800),
    "Overrides.longest_s": (60, 43200),  # half a day: nothing done by hand outlives the business day
}
