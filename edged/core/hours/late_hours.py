"""Late hours (延时服务) by key: an area, or the hall, closes later today; with a name and for a limited time.

The key has the argument of the override keys (``overrides.parsed``): ``[area] [by=name] [for_s=seconds]``. The seconds
are added to today's closing time, or to now if that has passed, up to midnight. Only the centre can order shorter hours
(``hours-flex``).
"""

from __future__ import annotations

from edged.core.calendar import wall
from edged.core.hours import phases
from edged.core.model.events import WHOLE_HALL, HoursFlexed, KeyPressed
from edged.core.model.turn import Turn
from edged.core.windows import overrides

KEY = "extend-hours"


def press(turn: Turn, event: KeyPressed) -> None:
    """Handle the key for late hours: at a window for its area, at the duty manager's panel for any area."""
    said = overrides.parsed(turn, event)
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
