"""Late hours (延时服务): with a key, a named person lets an area or the hall close later today.

The key has the argument of the override keys (``overrides.parsed``): ``[area] [by=name] [for_s=seconds]``. Closing
moves to that many seconds after today's closing time (after now, if that has passed), at most to midnight. Only the
centre can order shorter hours (``hours-flex``).
"""

from __future__ import annotations

from edged.core.calendar import wall
from edged.core.hours import phases
from edged.core.model.events import WHOLE_HALL, HoursFlexed, KeyPressed
from edged.core.model.turn import Turn
from edged.core.windows import overrides

KEY = "extend-hours"


def press(turn: Turn, event: KeyPressed) -> None:
    """Handle the key for late hours. At a window it is for the window's area, at the duty manager's panel for the named
    area or the hall.
    """
    request = overrides.parsed(turn, event)
    if request is None:
        return
    if request.for_s == 0:
        turn.ignore(request.target, "override_without_time", key=KEY)
        return
    limits = turn.state.policy.overrides
    for_s = min(limits.default_s if request.for_s is None else request.for_s, limits.longest_s)
    if request.target != WHOLE_HALL and request.target not in turn.lookup.areas:
        turn.ignore(request.target, "unknown_area", by=request.by)
        return
    areas = [request.target] if request.target != WHOLE_HALL else list(turn.lookup.areas)
    closings = {area: closes for area in areas if (closes := phases.closes_min(turn, area)) is not None}
    if not closings:
        turn.ignore(request.target, "hours_unknown", by=request.by)
    for area, closes_min in closings.items():
        later_min = min(wall.DAY_MIN, closes_min + -(-for_s // 60))
        phases.flex(turn, HoursFlexed(area, None, later_min, request.by))
