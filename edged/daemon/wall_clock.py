"""Decides whether the machine's wall clock can be right, and what to do if it cannot.

A clock without a battery shows 1970, the time of the last shutdown, or any other year until the network or a person
sets it. An impossible time is ignored, not clamped to a possible one: nobody's waiting time grows by it, and the hall
keeps the time it knew. Once somebody sets the clock, hall time moves forward by the time that the machine was off.
"""

from __future__ import annotations

from edged.central.audience import CLOCK_TRUSTED_FROM_MS
from edged.clock import Clock

DAY_MS = 86_400_000
UNTIL_MS = 4_102_444_800_000  # 2100-01-01: no hall of ours serves then under this program
FAR_MS = 400 * DAY_MS  # a hall that was shut for longer is opened by a technician, who sets the clock
BACK_MS = 3_600_000  # at a start: a clock this far behind the last known time stood still
MOVED_MS = 60_000  # a wrong clock that moved less is the same wrong clock
STEP_MS = 2_000  # a wall clock this far from where it should be was set by somebody


class WallClock:
    """Decides whether the machine's wall clock is believed. ``last_ms``: hall time of the last step before the start;
    at that time the wall clock showed ``lived_ms`` (None: unknown). ``wall_ms``: what it shows at the start.
    """

    def __init__(self, last_ms: int, lived_ms: int | None, wall_ms: int) -> None:
        self.doubted_at_start = not self._likely(wall_ms, lived_ms)
        # wall time minus hall time of a clock that is not believed
        self._wrong_offset_ms = wall_ms - last_ms if self.doubted_at_start else None
        self.gap_ms = 0 if self.doubted_at_start or lived_ms is None else max(0, wall_ms - lived_ms)

    def believes(self, wall_ms: int, at_ms: int) -> bool:
        """Whether ``wall_ms`` at hall time ``at_ms`` can be the true time. A clock found wrong is believed again only
        once somebody has set it: once its difference to hall time has changed by more than ``MOVED_MS``.
        """
        offset_ms = wall_ms - at_ms
        if not CLOCK_TRUSTED_FROM_MS <= wall_ms < UNTIL_MS:
            self._wrong_offset_ms = offset_ms
        elif self._wrong_offset_ms is None or abs(offset_ms - self._wrong_offset_ms) > MOVED_MS:
            self._wrong_offset_ms = None
            return True
        return False

    def make_up(self, clock: Clock, wall_ms: int, offset_ms: int | None) -> int:
        """To be called when the clock is right: if it was wrong at the start, move hall time forward by the time the
        process was not running. ``offset_ms``: wall clock minus hall time before the stop, None if nobody knows.
        Returns by how many ms hall time was moved; 0 if it was not.
        """
        if not self.doubted_at_start:
            return 0
        self.doubted_at_start = False
        away_ms = 0 if offset_ms is None else max(0, wall_ms - (clock.at_ms() + offset_ms))
        if away_ms <= STEP_MS or away_ms > FAR_MS:
            return 0
        clock.skip(away_ms)
        return away_ms

    @staticmethod
    def _likely(wall_ms: int, lived_ms: int | None) -> bool:
        if not CLOCK_TRUSTED_FROM_MS <= wall_ms < UNTIL_MS:
            return False
        return lived_ms is None or lived_ms - BACK_MS <= wall_ms <= lived_ms + FAR_MS
