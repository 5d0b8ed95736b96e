"""The only file that reads time. Hall time may run ``speed`` times faster than real time (demo); same code."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from zoneinfo import ZoneInfo


class Clock:
    """Hall time in ms: continues from ``start_ms`` at construction, never goes back, survives wall-clock steps."""

    def __init__(self, start_ms: int = 0, speed: float = 1.0, wall_start_ms: int | None = None) -> None:
        self._real0 = time.monotonic()
        self._start_ms = start_ms
        self.speed = speed
        # A sped-up hall has its own wall clock, so that its calendar moves with it.
        self._wall0_ms = wall_ms() if wall_start_ms is None else wall_start_ms

    def at_ms(self) -> int:
        """Hall time now, in ms."""
        return self._start_ms + int((time.monotonic() - self._real0) * 1000 * self.speed)

    def now_s(self) -> float:
        """Hall time now, in seconds (for pacing inside drivers)."""
        return self.at_ms() / 1000

    def skip(self, gap_ms: int) -> None:
        """Move hall time forward: the gap while the process was away."""
        self._start_ms += gap_ms

    def wall_ms(self) -> int:
        """Wall time of the hall in ms since 1970 UTC: the system's, or the sped-up hall's own."""
        if self.speed == 1.0:
            return wall_ms()
        return self._wall0_ms + int((time.monotonic() - self._real0) * 1000 * self.speed)

    def real_delay_s(self, until_ms: int) -> float:
        """Real seconds until hall time ``until_ms`` (0 if past)."""
        return max(0.0, (until_ms - self.at_ms()) / 1000 / self.speed)

    async def sleep(self, seconds: float) -> None:
        """Sleep hall seconds."""
        await asyncio.sleep(seconds / self.speed)


def wall_ms() -> int:
    """The system's wall clock in ms since 1970 UTC."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Real monotonic seconds: for I/O deadlines and measurements, never for decisions."""
    return time.monotonic()


def perf_s() -> float:
    """High-resolution real seconds, for measuring short spans."""
    return time.perf_counter()


def utc_offset_min(wall: int, zone: str) -> int:
    """Minutes east of UTC in ``zone`` (an IANA name) at ``wall`` ms since 1970."""
    offset = datetime.fromtimestamp(wall / 1000, ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds() // 60)
