"""Section ``trial``: when a newly pushed policy has made the hall worse and the one before comes back by itself."""

from __future__ import annotations

from collections.abc import Mapping

from edged.core.model.value import value


@value
class Trial:
    """试行. Which policy is judged by these: the *next* one; nobody can push a policy that judges itself.

    The queue is too old while at least ``min_waiting`` people have waited, on average, ``worse_percent`` of what was
    to be expected: the most of ``floor_s``, of what they had waited when the policy came, and of this time of day on
    other days; never while it is below ``tidal.pw.target_wait_s``. Too old for ``worse_min`` without a break within
    ``watch_min`` (of hours in which somebody was there), and no rush that explains it (``core/trial.py``): it goes.
    """

    enabled: bool = True
    worse_percent: int = 200
    worse_min: int = 10
    floor_s: int = 300
    min_waiting: int = 5
    watch_min: int = 120


BOUNDS: Mapping[str, tuple[int, int]] = {
    "Trial.worse_percent": (120, 1000),
    "Trial.worse_min": (2, 120),
    "Trial.floor_s": (60, 3600),
    "Trial.min_waiting": (1, 200),
    "Trial.watch_min": (10, 2880),
}
