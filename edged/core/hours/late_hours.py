"""延时服务 by key: an area, or the hall, closes later today. By name and for a limited time, as every decision by hand.

The key takes what overrides take (``overrides.said``): ``[area] [by=name] [for_s=seconds]``. The time is added to the
closing time that stands for today, or to now where that has passed; it ends with the day, and the business day's end
stays its limit. Shorter hours are the centre's to order (``hours-flex``).
"""

from __future__ import annotations

from edged.core.calendar import wall
from edged.core.hours import phases
from edged.core.model.events import WHOLE_HALL, HoursFlexed, KeyPressed
from edged.core.model.turn import Turn
from edged.core.windows import overrides

KEY = "extend-hours"


def press(turn: Turn, event: KeyPressed) -> None:
    """The key for late hours: from a window for its area, from the duty manager for any area."""
    said = overrides.said(turn, event)
    if said is None:
        return
    if said.for_s == 0:
        turn.ignore(said.target, "override_without_time", key=KEY)
        return
    limits = turn.state.policy.overrides
    for_s = min(limits.default_s if said.for_s is None else said.for_s, limits.longest_s)
    if said.target != WHOLE_HALL and said.target not in turn.lookup.areas:
        turn.ignore(said.target, "unknown_area", by=said.by)
        return
    areas = [said.target] if said.target != WHOLE_HALL else list(turn.lookup.areas)
    closings = {area: closes for area in areas if (closes := phases.closes_min(turn, area)) is not None}
    if not closings:
        turn.ignore(said.target, "hours_unknown", by=said.by)
    for area, closes_min in closings.items():
        later_min = min(wall.DAY_MIN, closes_min + -(-for_s // 60))
        phases.flex(turn, HoursFlexed(area, None, later_min, said.by))
