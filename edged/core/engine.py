"""The engine: one event in, commands and notes out. The same events always give the same commands.

The caller must never let ``at_ms`` go back, and must feed every due ``Tick`` (``next_due_ms``), stamped with its due
time, before a later event. ``check`` asserts the invariants; a broken one ends the process, which then starts again
from the journal.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

from edged.core import dispatch, invariants, orders, rush, safe_mode, sequence, timers, trial
from edged.core.calendar import wall
from edged.core.cases import case_book
from edged.core.hours import day, phases
from edged.core.model.commands import Command, Note
from edged.core.model.events import (
    CallReported,
    ClockDoubted,
    ClockSet,
    DeviceEvent,
    EndReported,
    Event,
    GoneOn,
    JournalRenewed,
    KeyPressed,
    OverrideSet,
    PolicyApplied,
    Resumed,
    RosterTold,
    SafeModeSet,
    SiteLoaded,
    Tick,
    TicketPrinted,
    TicketRequested,
    WindowAsked,
)
from edged.core.model.lookup import Lookup
from edged.core.model.state import State
from edged.core.model.turn import AreaLoad, Turn
from edged.core.people import alarms
from edged.core.rebuild import load_site, resume
from edged.core.signage import signs
from edged.core.tide import tidal_loop
from edged.core.visits import outcomes, promises
from edged.core.windows import activation, attendance, machine, overrides, preparation

DUE_SLACK = 256  # outdated entries allowed in the heap before it is rebuilt

# events that show that somebody is in the hall
SOMEBODY = (
    TicketPrinted,
    TicketRequested,
    KeyPressed,
    OverrideSet,
    CallReported,
    EndReported,
    JournalRenewed,  # somebody may hold a number of today
)
# events about today, possibly before the hall opens: the business day begins first
OF_TODAY = (RosterTold, GoneOn, WindowAsked)


class Engine:
    """The hall's state and its entry points: ``handle``, or ``lamps_first`` to get the commands for lamps early.

    ``with_signs`` False: what lamps, panels and boards show is not computed, which saves time where nobody looks at it
    (backtests). Decisions are the same, because none depends on what is shown.
    """

    def __init__(self, state: State | None = None, *, with_signs: bool = True) -> None:
        self.state = State() if state is None else state
        self._with_signs = with_signs
        self._due: list[tuple[int, str, str]] = []  # a heap; outdated entries are skipped
        self._pushed: dict[tuple[str, str], int] = {}  # the newest entry of each in the heap
        self._lookup: Lookup | None = None
        self._loads: dict[str, AreaLoad] = {}
        if self.state.site is not None:
            self._lookup = Lookup(self.state.site)
            self._index_due()

    @property
    def next_due_ms(self) -> int | None:
        """The stamp of the next ``Tick`` that the engine needs; None if nothing is due."""
        while self._due:
            due_ms, kind, key = self._due[0]
            if self._due_of(kind, key) == due_ms:
                return due_ms
            self._pop_due()
        return None

    def handle(self, at_ms: int, event: Event) -> tuple[tuple[Command, ...], tuple[Note, ...]]:
        """Apply one event at hall time ``at_ms`` and return its commands and notes."""
        commands: tuple[Command, ...] = ()
        notes: tuple[Note, ...] = ()
        for commanded, noted in self.lamps_first(at_ms, event):
            commands += commanded
            notes += noted
        return commands, notes

    def lamps_first(self, at_ms: int, event: Event) -> Iterator[tuple[tuple[Command, ...], tuple[Note, ...]]]:
        """Like ``handle``, but in parts: first commands for lamps, then the rest. The caller must exhaust the iterator.

        The first part has the lamps of the windows that the event itself changed. Evaluating the tide and composing
        texts comes after, because it takes most of the time.
        """
        assert at_ms >= self.state.at_ms, f"time went back: {at_ms} < {self.state.at_ms}"
        self.state.at_ms = at_ms
        if isinstance(event, SiteLoaded):
            yield self._load(at_ms, event)
            return
        if self._lookup is None:
            yield self._before_site(event)
            return
        turn = Turn(self.state, self._lookup, at_ms, self._loads)
        if isinstance(event, DeviceEvent) and sequence.is_redelivery(turn, event):
            turn.ignore(event.point, "duplicate", seq=event.seq)
        else:
            if isinstance(event, SOMEBODY):
                day.turn_day(turn)
                self.state.active_ms = at_ms
                trial.somebody_is_here(turn)
            elif isinstance(event, OF_TODAY):
                day.turn_day(turn)
            self._dispatch(turn, event)
        self._settle_windows(turn)
        certain = 0
        if not turn.ticking and turn.commands:  # in a tick nobody waits for a lamp
            certain = len(turn.commands)
            yield tuple(turn.commands), ()
        self._finish(turn)
        orders.note_outcome(turn, event)
        yield tuple(turn.commands[certain:]), tuple(turn.notes)

    def _load(self, at_ms: int, event: SiteLoaded) -> tuple[tuple[Command, ...], tuple[Note, ...]]:
        lookup = Lookup(event.site)
        turn = Turn(self.state, lookup, at_ms)
        if load_site(turn, event.site):
            self._lookup, self._loads = lookup, turn.loads
            phases.judge_all(turn)
            self._index_due()
            self.state.paced_ms = 0  # show everything now
            self._settle_windows(turn)
            self._finish(turn)
        return tuple(turn.commands), tuple(turn.notes)

    def _before_site(self, event: Event) -> tuple[tuple[Command, ...], tuple[Note, ...]]:
        if isinstance(event, ClockSet):
            self._set_clock(event)
            return (), ()
        if isinstance(event, PolicyApplied):
            trial.set_policy(self.state, event)
            return (), ()
        return (), (Note("ignored", type(event).__name__, {"reason": "no_site"}),)

    def _dispatch(self, turn: Turn, event: Event) -> None:
        take = dispatch.HANDLERS.get(type(event))
        if take is not None:
            take(turn, event)
            return
        match event:
            case Tick():
                self._tick(turn)
            case PolicyApplied():
                trial.switch(turn, event)
                self._fit_policy(turn)
            case SafeModeSet():
                if safe_mode.switch(turn, event):
                    self._fit_policy(turn)
            case ClockDoubted():
                alarms.sound(turn, "clock-wrong", turn.lookup.site.hall)
            case ClockSet():
                alarms.clear(turn, "clock-wrong", turn.lookup.site.hall)
                before_ms = wall.local_ms(turn)
                self._set_clock(event)
                after_ms = wall.local_ms(turn)
                assert after_ms is not None
                forward_ms = None if before_ms is None else after_ms - before_ms
                if forward_ms is not None:
                    timers.after_clock(turn, forward_ms)
                phases.set_clock(turn, forward_ms)
                case_book.recompute_deadlines(turn)
                promises.set_last_days(turn)
            case Resumed():
                resume(turn, event)
                self._index_due()

    def _fit_policy(self, turn: Turn) -> None:
        """Apply another policy to what is stored: recompute case deadlines and opening hours, and mark every area and
        window for evaluation.
        """
        for area in turn.lookup.areas:
            turn.touch_area(area)
        case_book.recompute_deadlines(turn)
        for window in turn.lookup.windows:
            turn.touch_window(window)
        phases.judge_all(turn)

    def _tick(self, turn: Turn) -> None:
        """Fire every timer and deadline that is due now."""
        turn.ticking = True
        due = self._take_due(turn.at_ms)
        for window, state in [(key, self.state.windows[key]) for kind, key in due if kind == "window"]:
            state.due_ms = None
            if state.state == "ACTIVATING":
                activation.no_answer(turn, window)
            elif state.state == "INVITED":
                activation.not_now(turn, window, activation.NO_ANSWER)
            elif state.state == "COOLDOWN":
                activation.end_cooldown(turn, window)
            elif state.ticket is not None and self.state.tickets[state.ticket].state == "CALLED":
                machine.call_deadline(turn, window)
            elif state.state == "DRAINING":
                outcomes.presume_gone(turn, window)
        for area, state_of_area in self.state.areas.items():
            if state_of_area.due_ms is not None and state_of_area.due_ms <= turn.at_ms:
                turn.touch_due(area)
        for name in [key for kind, key in due if kind == "timer"]:
            if (
                self.state.timers.get(name, turn.at_ms + 1) <= turn.at_ms
            ):  # unless an earlier one has dropped or moved it
                timers.fire(turn, name)

    def _take_due(self, at_ms: int) -> list[tuple[str, str]]:
        due: list[tuple[str, str]] = []
        while self._due and self._due[0][0] <= at_ms:
            due_ms, kind, key = self._pop_due()
            if kind != "area" and self._due_of(kind, key) == due_ms:
                due.append((kind, key))
        return list(dict.fromkeys(due))

    def _settle_windows(self, turn: Turn) -> None:
        """Bring the windows into the state that follows from the event, then set their lamps."""
        phases.follow(turn)
        for window in list(turn.dirty_windows):
            activation.settle(turn, window)
            overrides.settle(turn, window)
        if (
            self._with_signs and not turn.ticking
        ):  # in a tick a window that goes dark is often lit again at once
            signs.sign_lamps(turn)

    def _finish(self, turn: Turn) -> None:
        rush.keep_pace(turn)
        if turn.dirty_areas:
            tidal_loop.evaluate(turn)
        for window in list(turn.dirty_windows):
            activation.settle(turn, window)  # evaluate may have drained an idle window
            preparation.settle(turn, window)
        attendance.watch(turn)
        if self._with_signs:
            signs.sign(turn)
        for area in turn.dirty_areas:
            self._push_due("area", area)
        for window in turn.dirty_windows:
            self._push_due("window", window)
        for name in turn.timed:
            self._push_due("timer", name)
        if turn.put_off:
            self._push_due("rush", "")

    def _push_due(self, kind: str, key: str) -> None:
        due_ms = self._due_of(kind, key)
        if due_ms is not None and self._pushed.get((kind, key)) != due_ms:
            heappush(self._due, (due_ms, kind, key))
            self._pushed[kind, key] = due_ms
        if len(self._due) > DUE_SLACK + 2 * len(self._pushed):
            self._index_due()

    def _pop_due(self) -> tuple[int, str, str]:
        due_ms, kind, key = heappop(self._due)
        if self._pushed.get((kind, key)) == due_ms:
            del self._pushed[kind, key]
        return due_ms, kind, key

    def _due_of(self, kind: str, key: str) -> int | None:
        if kind == "area":
            area = self.state.areas.get(key)
            return None if area is None else area.due_ms
        if kind == "timer":
            return self.state.timers.get(key)
        if kind == "rush":
            return rush.due_ms(self.state)
        window = self.state.windows.get(key)
        return None if window is None else window.due_ms

    def _index_due(self) -> None:
        self._due.clear()
        self._pushed.clear()
        for area in self.state.areas:
            self._push_due("area", area)
        for window in self.state.windows:
            self._push_due("window", window)
        for name in self.state.timers:
            self._push_due("timer", name)
        self._push_due("rush", "")

    def _set_clock(self, event: ClockSet) -> None:
        self.state.wall_offset_ms = event.wall_ms - self.state.at_ms
        self.state.utc_offset_min = event.utc_offset_min

    def check(self) -> None:
        """Assert the invariants (``invariants.py``). Raises ``AssertionError`` if one does not hold."""
        if self._lookup is not None:
            invariants.check(self.state, self._lookup)
