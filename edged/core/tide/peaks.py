"""Known rushes of the policy (``peaks``), such as the first days of a month. Times are the hall's local time."""

from __future__ import annotations

from edged.core.calendar import wall
from edged.core.model.policy import Peak
from edged.core.model.turn import Turn


def wanted(turn: Turn, area: str) -> int:
    """How many "+1" windows the policy's known rushes call for in this area now: the largest number if several overlap.
    0 before the clock was ever set.
    """
    local_ms = wall.local_ms(turn)
    if local_ms is None:
        return 0
    minute = wall.minute(local_ms)
    return max(
        (peak.windows for peak in _today(turn, area, local_ms) if peak.start_min <= minute < peak.end_min),
        default=0,
    )


def next_change_ms(turn: Turn, area: str) -> int | None:
    """The next stamp today at which a known rush begins or ends; None if there is none."""
    local_ms = wall.local_ms(turn)
    if local_ms is None:
        return None
    midnight_ms = turn.at_ms - local_ms % wall.DAY_MS
    edges = (
        midnight_ms + minute * wall.MINUTE_MS
        for peak in _today(turn, area, local_ms)
        for minute in (peak.start_min, peak.end_min)
    )
    return min((edge for edge in edges if edge > turn.at_ms), default=None)


def _today(turn: Turn, area: str, local_ms: int) -> list[Peak]:
    days = wall.day(local_ms)
    day, weekday = wall.date(days)[2], wall.weekday(days)
    return [
        peak
        for peak in turn.state.policy.tidal.peaks
        if peak.first_day <= day <= peak.last_day
        and peak.first_weekday <= weekday <= peak.last_weekday
        and (not peak.areas or area in peak.areas)
    ]
