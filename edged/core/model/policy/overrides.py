"""Section ``overrides``: how long a decision by hand stands."""

from __future__ import annotations

from typing import Annotated

from edged.core.model.policy.parameter import Parameter
from edged.core.model.value import value


@value
class Overrides:
    """人工干预: every one of them ends by itself, after ``default_s`` or what was asked for, at most ``longest_s``."""

    default_s: Annotated[
        int,
        Parameter(
            "seconds an override stands if nothing else is said", "人工干预的默认时长（秒）", 60, 28800
        ),
    ] = 1800
    longest_s: Annotated[
        int, Parameter("seconds an override stands at most", "人工干预的最长时长（秒）", 60, 43200)
    ] = 14400  # half a day: nothing done by hand outlives the business day
