"""The hall's local time and date, computed from ``at_ms`` stamps: the core never reads a clock.

``local_ms`` counts milliseconds of the hall's time zone since 1970-01-01; a *day* counts days since then. Until the
first ``ClockSet`` the local time is unknown, and nothing that depends on it happens.
"""

from __future__ import annotations

from edged.core.model.turn import Turn

MINUTE_MS = 60_000
DAY_MIN = 1440
DAY_MS = DAY_MIN * MINUTE_MS


def local_ms(turn: Turn) -> int | None:
    """The hall's local time now, in milliseconds since midnight of 1970-01-01 in its time zone. None until the clock
    was set for the first time.
    """
    state = turn.state
    if state.wall_offset_ms is None:
        return None
    return turn.at_ms + state.wall_offset_ms + state.utc_offset_min * MINUTE_MS


def stamp_ms(turn: Turn, local: int) -> int | None:
    """Convert the local time ``local`` (in ms, as ``local_ms()`` returns it) into an ``at_ms`` stamp. None until the
    clock was set for the first time.
    """
    now = local_ms(turn)
    return None if now is None else turn.at_ms + local - now


def day(local: int) -> int:
    """The day of a local time (in ms, as ``local_ms()`` returns it), in days since 1970-01-01."""
    return local // DAY_MS


def minute(local: int) -> int:
    """The whole minutes since midnight of a local time (in ms, as ``local_ms()`` returns it)."""
    return local // MINUTE_MS % DAY_MIN


def clock(minutes: int) -> str:
    """Minutes after midnight as text "HH:MM"."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def weekday(days: int) -> int:
    """The day of the week, 1 (Monday) to 7 (Sunday); 1970-01-01 was a Thursday."""
    return (days + 3) % 7 + 1


def date(days: int) -> tuple[int, int, int]:
    """Return year, month and day of the month (Gregorian calendar) of the day ``days``, counted since 1970-01-01.

    The algorithm ("civil from days") counts years from March, so that the leap day comes last.
    """
    era, of_era = divmod(days + 719_468, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day_of_month = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return era * 400 + year + (month <= 2), month, day_of_month


def iso_date(days: int) -> str:
    """A day since 1970-01-01 as ISO text, such as 2026-10-01."""
    year, month, day_of_month = date(days)
    return f"{year:04d}-{month:02d}-{day_of_month:02d}"
