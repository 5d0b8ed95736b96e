"""``Turn``: one event on its way through the core. Handlers read the hall's state from it and leave their results in
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from edged.core.model.commands import Action, Body, Command, Note
from edged.core.model.events import WHOLE_HALL, OverrideKind
from edged.core.model.forecast import Load
from edged.core.model.lookup import Lookup
from edged.core.model.point import Point
from edged.core.model.policy import Band, Pw
from edged.core.model.state import AreaState, Override, PendingAction, State, Ticket, WindowState

PENDING_KEPT = 1000  # ten full device queues; more means that outcomes are not reported


class AreaLoad(NamedTuple):
    """The computed demand of an area and the wait that follows from it. Valid until something in the area changes, or
    until the stamp ``until_ms``.

    ``each_s``: the mean time of each service in seconds. ``commanded``: the "+1" windows that serve the area or have
    been asked to. ``oldest_ms`` and ``priority_ms``: the stamps since which the longest-waiting visitor, and the
    longest-waiting one with priority, wait. ``wait_range_s``: the predicted wait (low, middle, high) in seconds, as
    newcomers are told; None while no prediction is possible.

    ``unmanned``: how many windows should serve but have nobody there; ``load`` leaves these out. ``manned`` False: that
    is so at all of them; then ``load`` counts them as if somebody were there, so that "+1" windows can still be decided
    on.
    """

    load: Load
    each_s: Mapping[str, float]
    commanded: tuple[str, ...]
    oldest_ms: int | None
    priority_ms: int | None
    wait_range_s: tuple[int, int, int] | None
    until_ms: int
    manned: bool
    unmanned: float


class Turn:
    """Collects the outputs of one event: commands to devices and notes for observers. The ``touch_*`` methods mark
    windows and areas that must be evaluated again before the turn ends.
    """

    __slots__ = (
        "_lost",
        "alarmed",
        "at_ms",
        "cases_changed",
        "commands",
        "dirty_areas",
        "dirty_pagers",
        "dirty_windows",
        "issuing_changed",
        "loads",
        "lookup",
        "notes",
        "only_due",
        "put_off",
        "state",
        "ticking",
        "timed",
    )

    def __init__(
        self, state: State, lookup: Lookup, at_ms: int, loads: dict[str, AreaLoad] | None = None
    ) -> None:
        self.state = state
        self.lookup = lookup
        self.at_ms = at_ms
        self._lost: bool | None = None
        self.alarmed = False  # whether an alarm was raised or cleared
        self.ticking = False  # whether this turn is a due tick: rule "pw" decides in ticks only
        self.commands: list[Command] = []
        self.notes: list[Note] = []
        self.dirty_windows: dict[str, None] = {}  # dicts keep the order: same events, same commands
        self.dirty_areas: dict[str, None] = {}
        self.dirty_pagers: dict[Point, None] = {}
        self.only_due: set[str] = set()  # dirty areas in which nothing changed but their due time came
        self.put_off = False  # whether what changed is evaluated later (rush.py)
        self.issuing_changed = False  # whether the levels of dispensers are computed again
        self.cases_changed = False  # whether what shows the cases is computed again
        self.timed: dict[str, None] = {}  # timers that were set in this turn
        # computed loads of areas (``demand.area_load``), kept between turns until the area changes
        self.loads: dict[str, AreaLoad] = {} if loads is None else loads

    def note(self, kind: str, subject: str, **data: str | int | float | None) -> None:
        """Record a fact for observers and for the centre."""
        self.notes.append(Note(kind, subject, data))

    def ignore(self, subject: str, reason: str, **data: str | int | float | None) -> None:
        """Record an input that changes nothing, and why."""
        self.notes.append(Note("ignored", subject, {"reason": reason, **data}))

    def act(self, point: Point, body: Body) -> str:
        """Command a device to do something once (``body``) at ``point``; returns the id under which it reports the
        outcome.
        """
        action_id = f"a{self.state.next_action}"
        self.state.next_action += 1
        self.state.actions[action_id] = PendingAction(point, body, self.at_ms)
        self.commands.append(Action(action_id, point, body))
        if len(self.state.actions) > PENDING_KEPT:
            self.settle_unknown(next(iter(self.state.actions)))
        return action_id

    def settle_unknown(self, action_id: str) -> None:
        """Stop waiting for a device to report the outcome of an action, because no report will come. A note
        "action.unknown" records this.
        """
        pending = self.state.actions.pop(action_id)
        self.note("action.unknown", action_id, body=pending.body.kind, point=pending.point)

    def set_timer(self, name: str, due_ms: int) -> None:
        """Let the timer ``name`` ("kind/key", see ``timers.py``) fire at the stamp ``due_ms``, or at once if that has
        passed. An earlier setting of the same timer is replaced.
        """
        self.state.timers[name] = max(due_ms, self.at_ms)  # a clock may jump over a date
        self.timed[name] = None

    def drop_timer(self, name: str) -> None:
        """Cancel the timer ``name``; no error if there is none."""
        self.state.timers.pop(name, None)

    @property
    def a_device_is_lost(self) -> bool:
        """Whether any device of the hall cannot be reached. Computed once per turn, because every area asks."""
        if self._lost is None:
            self._lost = not all(device.up for device in self.state.devices.values())
        return self._lost

    def touch_window(self, window: str) -> None:
        """Mark a window: what its lamp, display and panel show is computed again."""
        self.dirty_windows[window] = None
        for area in self.lookup.window_areas.get(window, ()):
            self.loads.pop(area, None)

    def touch_pager(self, point: Point | None) -> None:
        """Mark a pager: what it shows is computed again. No-op if ``point`` is None."""
        if point is not None:
            self.dirty_pagers[point] = None

    def touch_area(self, area: str) -> None:
        """Mark an area whose queue or windows changed: its need for "+1" windows is evaluated and its displays are
        computed again.
        """
        self.dirty_areas[area] = None
        self.only_due.discard(area)
        for near in self.lookup.near_areas.get(area, ()):
            self.loads.pop(near, None)

    def touch_cases(self) -> None:
        """Mark the cases: what lamps, displays, panels and pagers show of them is computed again."""
        self.cases_changed = True
        if self.state.cases:
            self.touch_pager(self.lookup.site.duty_pager)
            self.touch_pager(self.lookup.site.duty_panel)
        for window in self.lookup.case_windows:
            self.dirty_windows[window] = None

    def touch_due(self, area: str) -> None:
        """Mark an area whose deadline has come: its need for "+1" windows is evaluated again, although nothing in it
        changed.
        """
        if area not in self.dirty_areas:
            self.dirty_areas[area] = None
            self.only_due.add(area)

    def touch_postponed(self, area: str) -> None:
        """Mark an area that an earlier turn changed but left unevaluated, because there was too much to do."""
        self.dirty_areas[area] = None
        self.only_due.discard(area)

    def window(self, window: str) -> WindowState:
        """The state of the window with this id."""
        return self.state.windows[window]

    def area(self, area: str) -> AreaState:
        """The state of the area with this id."""
        return self.state.areas[area]

    def band(self, area: str) -> Band:
        """The values of rule "band" that apply to an area: its own, or else the hall's."""
        tidal = self.state.policy.tidal
        return tidal.areas.get(area, tidal.band)

    def pw(self, area: str) -> Pw:
        """The values of rule "pw" (predicted wait) that apply to an area: its own, or else the hall's."""
        tidal = self.state.policy.tidal
        return tidal.pw_areas.get(area, tidal.pw)

    def rest_s(self, area: str) -> int:
        """For how many seconds a "+1" window is not opened again after this area gave it back."""
        if self.state.policy.tidal.rule == "band":
            return self.band(area).cooldown_s
        return self.pw(area).rest_s

    def override(self, kind: OverrideKind, target: str) -> Override | None:
        """The override in force for a window or an area; None if there is none."""
        found = self.state.overrides
        return found.get(override_key(kind, target)) if found else None

    def issuing_paused(self, area: str) -> Override | None:
        """The manual decision (override) because of which no numbers are given in ``area``; None if there is none.

        A decision for the whole hall does not stop numbers in areas that serve cases (办不成事); only one that names
        the area does.
        """
        named = self.override("pause-issuing", area)
        return (
            named if area in self.lookup.case_areas else named or self.override("pause-issuing", WHOLE_HALL)
        )

    def ticket_at(self, window: str) -> Ticket | None:
        """The ticket that is called or served at a window; None if there is none."""
        ticket = self.state.windows[window].ticket
        return None if ticket is None else self.state.tickets[ticket]

    def seconds_since(self, start_ms: int) -> float:
        """Seconds of hall time from ``start_ms`` to now, rounded to milliseconds."""
        return (self.at_ms - start_ms) / 1000


def override_key(kind: OverrideKind, target: str) -> str:
    """The key in ``State.overrides`` of the override ``kind`` of ``target`` (a window, an area or a ticket)."""
    return f"{kind}/{target}"
