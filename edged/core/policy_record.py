"""What is remembered of policies beside the one in force: the one on trial, those that left, the usual queue."""

from __future__ import annotations

from edged.core.policy import Tidal, Trial
from edged.core.value import value


@value
class PolicyTrial:
    """A pushed policy is watched. ``rules`` and ``tidal`` are those of the last good one, which may come back.

    ``before_s``: how long people had waited, on average, when it came. ``left_min``: minutes of watch still to come.
    ``worse``: looks, a minute apart, at which the queue was too old without a break. ``harmful``: that is settled.
    ``waited_s`` and ``limit_s`` are of the last look.
    """

    good_version: int
    good_sha256: str
    rules: Trial
    tidal: Tidal
    before_s: int = 0
    left_min: int = 0
    worse: int = 0
    harmful: bool = False
    waited_s: int = 0
    limit_s: int = 0


@value
class LeftPolicy:
    """A policy that was taken out of force: never applied again under its number.

    It was ordered, or (``waited_s`` is not 0) people had waited that long where ``limit_s`` was the limit.
    """

    version: int
    sha256: str
    waited_s: int = 0
    limit_s: int = 0


@value
class UsualQueue:
    """The worst of one half hour of the day, faded over ``days`` days; ``day`` is the last of them.

    ``waited_s``: mean time that whoever waited had waited. ``pressure``: visitors of an hour per working window.
    """

    waited_s: float
    pressure: float
    days: int
    day: int
