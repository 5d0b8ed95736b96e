"""Known rushes of the calendar: the first days of the month, the hours before noon. Times are the hall's own."""

from __future__ import annotations

from edged.core.policy import Peak
from edged.core.turn import Turn

MINUTE_MS = 60_000
DAY_MIN = 1440


def wanted(turn: Turn, area: str) -> int:
    """ "+1" windows that the calendar asks for in this area now; 0 before the clock was ever set."""
    local_ms = _local_ms(turn)
    if local_ms is None:
        return 0
    minute = local_ms // MINUTE_MS % DAY_MIN
    return max(
        (peak.windows for peak in _today(turn, area, local_ms) if peak.start_min <= minute < peak.end_min),
        default=0,
    )


def next_change_ms(turn: Turn, area: str) -> int | None:
    """The next stamp of today at which a peak begins or ends."""
    local_ms = _local_ms(turn)
    if local_ms is None:
        return None
    midnight_ms = turn.at_ms - local_ms % (DAY_MIN * MINUTE_MS)
    edges = (
        midnight_ms + minute * MINUTE_MS
        for peak in _today(turn, area, local_ms)
        for minute in (peak.start_min, peak.end_min)
    )
    return min((edge for edge in edges if edge > turn.at_ms), default=None)


def _local_ms(turn: Turn) -> int | None:
    state = turn.state
    if state.wall_offset_ms is None:
        return None
    return turn.at_ms + state.wall_offset_ms + state.utc_offset_min * MINUTE_MS


def _today(turn: Turn, area: str, local_ms: int) -> list[Peak]:
    days = local_ms // (DAY_MIN * MINUTE_MS)
    day, weekday = day_of_month(days), (days + 3) % 7 + 1  # 1970-01-01 was a Thursday
    return [
        peak
        for peak in turn.state.policy.tidal.peaks
        if peak.first_day <= day <= peak.last_day
        and peak.first_weekday <= weekday <= peak.last_weekday
        and (not peak.areas or area in peak.areas)
    ]


def day_of_month(days: int) -> int:
    """Day of the month (1 …) of a day counted from 1970-01-01, in the Gregorian calendar.

    Counted in years that begin with March, so that the leap day is the last (the usual civil-from-days arithmetic).
    """
    of_era = (days + 719_468) % 146_097
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    return of_year - (153 * month + 2) // 5 + 1
