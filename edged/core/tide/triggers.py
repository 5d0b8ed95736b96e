"""Triggers: what may ask for a window in addition to the rule, for reasons that a predicted wait does not show.

The arbiter treats them like the rule, one window at a time, and the rule gives the window back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from edged.core.model.forecast import Load
from edged.core.model.turn import Turn
from edged.core.queue import demand
from edged.core.windows import wishes


class Asked(NamedTuple):
    """A trigger that asks for a window: its name, what it measured, and the limit. ``urgency_s``: of several areas the
    one with the greatest gets a window first.
    """

    name: str
    measured: float
    threshold: int
    urgency_s: float


def asks(turn: Turn, area: str, oldest_wait_s: float, load: Load | None) -> Asked | None:
    """The first trigger whose condition holds in ``area``; None if none does. ``oldest_wait_s``: how long its
    longest-waiting visitor has waited; ``load`` None: no wait can be predicted.
    """
    limits = turn.state.policy.tidal.triggers
    state = turn.area(area)
    wish = wishes.open_wish(turn, area) if turn.state.wishes else None
    if wish is not None:
        return Asked(wish.trigger, 1, 1, oldest_wait_s)
    banded = turn.state.policy.tidal.rule == "band"
    if not banded and load is None and 0 < limits.waiting_above < state.waiting:
        return Asked("queue", state.waiting, limits.waiting_above, state.waiting * 60.0)
    per_window = 0 if load is None else limits.waiting_per_window * load.windows
    if 0 < per_window < state.waiting:
        return Asked("saturation", state.waiting, int(per_window), state.waiting * 60.0)
    if not banded and 0 < limits.oldest_wait_s <= oldest_wait_s:
        return Asked("oldest-wait", oldest_wait_s, limits.oldest_wait_s, oldest_wait_s)
    priority_s = priority_wait_s(turn, area)
    if 0 < limits.priority_wait_s <= priority_s:
        return Asked("priority-wait", priority_s, limits.priority_wait_s, priority_s)
    people = _people(turn)
    if 0 < limits.people_above < people and state.waiting and _most_loaded(turn) == area:
        return Asked("people", people, limits.people_above, oldest_wait_s)
    return None


def priority_wait_s(turn: Turn, area: str) -> float:
    """How many seconds the longest-waiting priority visitor of the area has waited; 0 if there is none."""
    since_ms = demand.area_load(turn, area).priority_ms
    return 0.0 if since_ms is None else turn.seconds_since(since_ms)


def _people(turn: Turn) -> int:
    """Return how many people are in the hall: the sum over the counters that report how many are present."""
    present = [turn.state.present[point] for point in turn.state.present]
    return sum(present)


def _most_loaded(turn: Turn) -> str:
    areas = [area for area in turn.lookup.areas if area not in turn.lookup.case_areas]
    return max(areas, key=lambda area: turn.area(area).waiting)


def record_wish(turn: Turn, area: str, name: str, by: str | None = None, window: str | None = None) -> None:
    """Record a person's wish for one more window; it lasts until a window is open, it is withdrawn or it expires.
    Refused with a note for an area of cases (办不成事).

    ``name``: the trigger; ``by``: the operator; ``window``: where a key was pressed.
    """
    if area in turn.lookup.case_areas:
        turn.ignore(area, "cases_are_no_tide", trigger=name, by=by)
    else:
        wishes.make(turn, area, name, by, window)


def not_asked(
    turn: Turn, area: str, reason: str, waiting: int, facts: Mapping[str, str | int | float | None]
) -> None:
    """Note why the rule asks for no window although the predicted wait is long. The same reason is noted only once in a
    row.
    """
    state = turn.area(area)
    if state.refused != reason:
        state.refused = reason
        turn.note("tidal.refused", area, reason=reason, rule="predicted-wait", waiting=waiting, **facts)
