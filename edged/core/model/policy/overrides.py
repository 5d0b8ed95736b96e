"""Section ``overrides``: how long a manual decision stays in force."""

from __future__ import annotations

from typing import Annotated

from edged.core.model.policy.parameter import Parameter
from edged.core.model.value import value


@value
class Overrides:
    """How long manual decisions (人工干预) stay in force: as long as the person asked for, ``default_s`` if they gave
    no time, and at most ``longest_s``. All end when a new business day begins.
    """

    default_s: Annotated[
        int,
        Parameter(
            "seconds an override stands if nothing else is said", "人工干预的默认时长（秒）", 60, 28800
        ),
    ] = 1800
    longest_s: Annotated[
        int, Parameter("seconds an override stands at most", "人工干预的最长时长（秒）", 60, 43200)
    ] = 14400  # half a day: every override ends with the business day
