"""The only module that reads clocks. It also provides hall time, the daemon's own time, which in a demo runs faster
than real time.

Decisions use hall time: milliseconds that never go back, continue over restarts and ignore changes of the wall clock.
Wall time is only for labels. I/O deadlines are real seconds. A simulation replaces all clocks by its own (``reading``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

_FIRST_S, _LAST_S = -62_135_596_800, 253_402_300_799  # wall seconds since 1970 of the years 1 to 9999, in UTC

_monotonic: Callable[[], float] = time.monotonic
_wall_ns: Callable[[], int] = time.time_ns
_perf: Callable[[], float] = time.perf_counter


@contextmanager
def reading(monotonic: Callable[[], float], wall_ns: Callable[[], int]) -> Iterator[None]:
    """Replace the clocks within a ``with`` block, for simulations: ``monotonic`` (seconds) gives all monotonic times,
    ``wall_ns`` (nanoseconds since 1970, UTC) the wall time. Processor times stay real.
    """
    global _monotonic, _wall_ns, _perf
    before = _monotonic, _wall_ns, _perf
    _monotonic, _wall_ns, _perf = monotonic, wall_ns, monotonic
    try:
        yield
    finally:
        _monotonic, _wall_ns, _perf = before


def processor_s() -> float:
    """Return the processor seconds that this process has used so far."""
    return time.process_time()


@dataclass(frozen=True, slots=True)
class Warp:
    """The pace of a demo: hall time runs ``speed`` times as fast as real time. ``real_ms`` and ``hall_ms`` are the same
    moment, on the system's clock and on the hall's, in ms since 1970 UTC.
    """

    speed: float
    real_ms: int
    hall_ms: int

    @classmethod
    def parse(cls, text: str) -> Warp:
        """Parse ``SPEED@REAL_MS@HALL_MS``, which ``edged demo`` passes to the daemon."""
        speed, real_ms, hall_ms = text.split("@")
        return cls(float(speed), int(real_ms), int(hall_ms))

    def __str__(self) -> str:
        return f"{self.speed:g}@{self.real_ms}@{self.hall_ms}"


class Clock:
    """The hall's clock. Hall time is counted in milliseconds since the hall's journal began. ``start_ms``: hall time
    when the clock is created, so that it continues after a restart; ``warp``: None for real speed.
    """

    def __init__(self, start_ms: int = 0, warp: Warp | None = None) -> None:
        self._warp = warp
        self._real0_s = _monotonic()
        self._start_ms = start_ms
        self.speed = 1.0 if warp is None else warp.speed

    def at_ms(self) -> int:
        """Hall time now, in milliseconds: ``start_ms`` plus the hall time since this clock was created. Not a date (see
        ``wall_ms``).
        """
        return self._start_ms + int((_monotonic() - self._real0_s) * 1000 * self.speed)

    def skip(self, ms: int) -> None:
        """Move hall time ahead by ``ms``, the time that the process was not running. That is known only once the
        machine's wall clock is right.
        """
        self._start_ms += ms

    def now_s(self) -> float:
        """Hall time now, in seconds (``at_ms`` / 1000 without rounding), for pacing inside drivers."""
        return self._start_ms / 1000 + (_monotonic() - self._real0_s) * self.speed

    def wall_ms(self) -> int:
        """Return the date and time in the hall, in ms since 1970 UTC. In a demo that is not the system's."""
        if self._warp is None:
            return wall_ms()
        return self._warp.hall_ms + int((wall_ms() - self._warp.real_ms) * self._warp.speed)

    def real_delay_s(self, until_ms: int) -> float:
        """Return how many real seconds from now hall time will be ``until_ms``; 0 if it is past."""
        return max(0.0, (until_ms - self.at_ms()) / 1000 / self.speed)

    async def sleep(self, seconds: float) -> None:
        """Sleep for ``seconds`` of hall time; in a demo that runs faster these are fewer real seconds."""
        await asyncio.sleep(seconds / self.speed)


def wall_ms() -> int:
    """The system's wall clock in ms since 1970 UTC."""
    return _wall_ns() // 1_000_000


def monotonic_s() -> float:
    """Real seconds since an arbitrary moment (CLOCK_MONOTONIC), for I/O deadlines and measurements, never for
    decisions.
    """
    return _monotonic()


def perf_s() -> float:
    """Real seconds since an arbitrary moment, from the clock with the finest resolution, for measuring short spans."""
    return _perf()


def thread_s() -> float:
    """Return the processor seconds that this thread has used, to measure work independently of the machine's load."""
    return time.thread_time()


def utc_offset_min(wall: int, zone: str) -> int:
    """Return how many minutes east of UTC the time zone ``zone`` (an IANA name) is at ``wall`` ms since 1970 UTC."""
    offset = datetime.fromtimestamp(wall / 1000, ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds() // 60)


def rfc3339(wall: int, zone: str) -> str:
    """Format ``wall``, in ms since 1970 UTC, as RFC 3339 with the offset of the time zone ``zone`` and three digits for
    milliseconds.
    """
    second, ms = divmod(wall, 1000)
    before, after = _second(second, zone)
    return f"{before}.{ms:03d}{after}"


@lru_cache(256)
def _second(second: int, zone: str) -> tuple[str, str]:
    """Return the texts before and after the milliseconds of a timestamp. ``second``: since 1970. Cached, because many
    lines are stamped in the same second.

    Times within a day of year 1 or 9999, which the zone's offset may push out of the calendar, are written in UTC.
    """
    moment = datetime.fromtimestamp(min(max(second, _FIRST_S), _LAST_S), UTC)
    with suppress(OverflowError):
        moment = moment.astimezone(ZoneInfo(zone))
    text = moment.isoformat()
    return text[:19], text[19:]
