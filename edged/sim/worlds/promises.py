"""The hall's promises (rules that must hold at any moment), checked from outside: from events, commands and notes
alone, not from the core's state.

A broken promise raises ``AssertionError``, whose text starts with the promise's name. For each promise a test plants a
bug that breaks it: ``tests/sim/worlds/test_planted_bugs.py``, ``tests/core/test_random_days.py``.
"""

from __future__ import annotations

from typing import NamedTuple

from edged.core.model.commands import (
    Action,
    AreaSummary,
    Command,
    Desired,
    Lamp,
    Note,
    Page,
    Print,
    Say,
    WindowSummary,
    without_request,
)
from edged.core.model.events import (
    CallReported,
    CommandDone,
    CommandFailed,
    DeviceEvent,
    Event,
    KeyPressed,
    PolicyApplied,
    QueueReported,
    RatingGiven,
    Resumed,
    SiteLoaded,
    TicketPrinted,
    TicketRequested,
)
from edged.core.model.policy import Policy
from edged.core.model.site import Site
from edged.core.model.state import State
from edged.core.signage.signs import slot

PATIENCE_MS = 20_000  # a loudspeaker that does not report the end for so long counts as done
OVERRIDE = "override"  # the rule of a window opened by a person, which may exceed the pool
DROPPED = ("ticket.cancelled", "ticket.no_show", "ticket.issue_failed")


class Facts(NamedTuple):
    """The few facts of the hall, right after a step, that the check of this step needs. ``used``: how many "+1" windows
    are in use in the whole hall: asked, serving, or being released.
    """

    at_ms: int
    day_start_ms: int
    site: Site | None
    policy: Policy
    used: int

    @classmethod
    def of(cls, state: State) -> Facts:
        """Extract the facts from ``state``."""
        used = sum(1 for window in state.windows.values() if window.area is not None)
        return cls(state.at_ms, state.day_start_ms, state.site, state.policy, used)


class Promises:
    """The checker of the promises in one world; call ``step`` with every step of the engine, in order."""

    def __init__(self, site: Site) -> None:
        self._holds: dict[str, str | None] = {}  # window -> number on it
        self._issued: dict[str, int] = {}  # number -> when it was issued last
        self._over: set[str] = set()  # numbers whose visit has ended
        self._called: set[str] = set()
        self._rated: set[str] = set()
        self._last_action = 0
        self._offered: dict[int, Page | Print] = {}
        self._levels: dict[str, object] = {}
        self._touched: dict[str, bool] = {}  # tidal window -> panel used since last unstaffed
        self._speaking: dict[str, tuple[str, int]] = {}  # loudspeaker -> (its last action, when it got it)
        self._last_keys: dict[str, tuple[KeyPressed, int]] = {}  # by panel, and when it was pressed
        self._know(site)

    def step(
        self, facts: Facts, event: Event, commands: tuple[Command, ...], notes: tuple[Note, ...]
    ) -> None:
        """Check one step: an event, and the commands and notes with which the engine answered. ``facts``: of the hall
        right after it. Raises ``AssertionError`` if a promise is broken.
        """
        if isinstance(event, SiteLoaded):
            self._levels.clear()
            if facts.site is not None:
                self._know(facts.site)
        self._check_event(facts, event, notes)
        for note in notes:
            self._note(facts, event, note)
        for command in commands:
            if isinstance(command, Desired):
                self._level(command, isinstance(event, SiteLoaded))
            else:
                self._action(facts, command)
        if any(isinstance(c, Desired) and isinstance(c.value, WindowSummary) for c in commands):
            self._one_window_each()

    def changed_nothing(
        self, event: DeviceEvent, commands: tuple[Command, ...], notes: tuple[Note, ...]
    ) -> None:
        """Check that a repeated message had no effect. ``commands``, ``notes``: the engine's answer to the repetition
        of ``event``.
        """
        changes = [note for note in notes if note.kind != "ignored"]
        assert not commands, f"once: the second {event} commanded {commands}"
        assert not changes, f"once: the second {event} did {changes}"

    def _know(self, site: Site) -> None:
        self._lamp_of = {w.lamp: w.id for w in site.windows if w.lamp and w.tidal}
        self._window_of = {w.panel: w.id for w in site.windows if w.panel}
        self._panel_of = {w.id: w.panel for w in site.windows}
        for gone in set(self._holds) - set(self._panel_of):
            del self._holds[gone]

    def _check_event(self, facts: Facts, event: Event, notes: tuple[Note, ...]) -> None:
        if isinstance(event, KeyPressed):
            if event.point in self._window_of:
                self._touched[self._window_of[event.point]] = True
            self._double_press(facts, event, notes)
        elif isinstance(event, CommandDone | CommandFailed):
            self._speaking = {point: say for point, say in self._speaking.items() if say[0] != event.id}
        elif isinstance(event, Resumed) and event.restart:
            self._speaking.clear()
        elif isinstance(event, PolicyApplied):
            dropped = [note for note in notes if note.kind in DROPPED]
            assert not dropped, f"pushed: a policy ended {dropped}"

    def _double_press(self, facts: Facts, event: KeyPressed, notes: tuple[Note, ...]) -> None:
        if any(note.data.get("reason") == "duplicate" for note in notes):
            return  # the message was repeated, the key was not pressed again
        last = self._last_keys.get(event.point)
        self._last_keys[event.point] = (event, facts.at_ms)
        if last is None or (last[0].key, last[0].arg) != (event.key, event.arg):
            return
        if facts.at_ms - last[1] < facts.policy.calling.double_press_ms:
            moved = [note for note in notes if note.kind.startswith(("ticket.", "window.", "case."))]
            assert not moved, f"double: {event.key} pressed twice did {moved}"

    @staticmethod
    def was_accepted(event: DeviceEvent, notes: tuple[Note, ...], state: State) -> None:
        """Check that the engine did not take the first delivery of ``event`` for a repetition. Also check that an alarm
        is raised about a printed ticket that joins no queue: its visitor would wait in vain.
        """
        reasons = {str(note.data.get("reason")) for note in notes if note.kind == "ignored"}
        assert "duplicate" not in reasons, f"heard: {event} was taken for a repetition"
        if isinstance(event, TicketPrinted) and reasons & {"number_repeated", "unknown_service"}:
            name = f"paper-in-doubt/{event.point}"
            assert name in state.alarms, (
                f"stranded: whoever holds {event.number} waits in vain, and nobody knows"
            )

    def _note(self, facts: Facts, event: Event, note: Note) -> None:
        data = note.data
        if note.kind == "ticket.issued":
            given_ms = self._issued.get(note.subject, -1)
            over = note.subject in self._over and not isinstance(event, TicketRequested)
            assert over or given_ms < facts.day_start_ms, f"numbers: {note.subject} was given out twice today"
            self._over.discard(note.subject)
            self._issued[note.subject] = facts.at_ms
            self._called.discard(note.subject)
        elif note.kind in ("ticket.finished", "ticket.cancelled"):
            self._over.add(note.subject)  # a dispenser whose count began anew may print it again
        elif note.kind in ("ticket.called", "ticket.recalled"):
            self._called.add(note.subject)
            self._call(event, note)
        elif note.kind == "tidal.requested" and data["rule"] != OVERRIDE:
            pool = facts.policy.tidal.pool
            assert facts.used <= pool, f"pool: {facts.used} windows of {pool}"
        elif note.kind == "rating.given":
            given = isinstance(event, RatingGiven) and event.level == data["level"]
            assert given, f"rated: {note.subject} got a {data['level']} from {event}"
            assert str(data["rating"]) not in self._rated, f"rated: {note.subject} twice"
            self._rated.add(str(data["rating"]))
        elif note.kind == "override.set":
            assert data["by"], f"named: {data['override']} of {note.subject} by nobody"
        if note.kind.startswith("tidal.") and str(data.get("area")) in _case_areas(facts):
            raise AssertionError(f"cases: {note.kind} for {data['area']}")

    def _call(self, event: Event, note: Note) -> None:
        """Check that a visitor was called by a key on the window's own panel or by the hall's other queue system
        (follow mode), never by a rule or timer.
        """
        window = str(note.data["window"])
        by_key = isinstance(event, KeyPressed) and event.point == self._panel_of.get(window)
        assert by_key or isinstance(event, CallReported | QueueReported), (
            f"routed: {note.subject} was called to {window} by {event}"
        )
        wait_s = note.data.get("wait_s", 0)
        assert isinstance(wait_s, int | float), f"waits: {note}"
        assert wait_s >= 0, f"waits: {note.subject} waited {wait_s} s"

    def _level(self, command: Desired, configured: bool) -> None:
        key = slot(command.point, command.value)
        assert self._levels.get(key) != command.value, f"levels: {key} is commanded again as it stands"
        self._levels[key] = command.value
        value = command.value
        if isinstance(value, WindowSummary):
            self._holds[value.window] = value.number
            if value.state == "STANDBY" and not configured:  # a new configuration does not send staff away
                self._touched[value.window] = False
        elif isinstance(value, AreaSummary):
            _range(value.area, value)
        elif isinstance(value, Lamp) and command.point in self._lamp_of:
            window = self._lamp_of[command.point]
            if value.state == "on":
                assert self._touched.get(window), f"staffed: {window} is lit and nobody touched its panel"

    def _one_window_each(self) -> None:
        held = [number for number in self._holds.values() if number is not None]
        assert len(held) == len(set(held)), f"one window: a number is at two of {self._holds}"

    def _action(self, facts: Facts, action: Action) -> None:
        number = int(action.id.removeprefix("a"))
        before = self._offered.get(number)
        if before is not None and without_request(before) == without_request(action.body):
            return  # the same page or slip again after a restart, with its old id, not as an answer to a request
        assert number > self._last_action, f"actions: {action.id} after a{self._last_action}"
        self._last_action = number
        if isinstance(action.body, Page | Print):
            self._offered[number] = action.body
        if isinstance(action.body, Print):
            slip = action.body.about != "ticket"
            assert slip or action.body.number in self._issued, (
                f"prints: {action.body.number} was never given out"
            )
            _range(action.body.number, action.body)
        elif isinstance(action.body, Say):
            self._check_speech(facts, action, action.body)

    def _check_speech(self, facts: Facts, action: Action, say: Say) -> None:
        assert not say.ticket or say.ticket in self._called, f"calls: {say.ticket} is announced, not called"
        before = self._speaking.get(action.point)
        assert before is None or facts.at_ms >= before[1] + PATIENCE_MS, (
            f"voice: {action.point} is told {action.id} while it says {before}"
        )
        self._speaking[action.point] = (action.id, facts.at_ms)


def _range(name: str, shown: AreaSummary | Print) -> None:
    """Check that a shown wait estimate has all three values (low, mean, high, in ascending order) or none. ``name``:
    what shows it.
    """
    low_s, mean_s, high_s = shown.wait_low_s, shown.wait_s, shown.wait_high_s
    if low_s is None or mean_s is None or high_s is None:
        assert (low_s, mean_s, high_s) == (None, None, None), f"ranges: half of one for {name}: {shown}"
    else:
        assert 0 <= low_s <= mean_s <= high_s, f"ranges: {name}: {low_s} to {high_s}, on average {mean_s}"


def _case_areas(facts: Facts) -> set[str]:
    """The areas with a service that takes cases (办不成事); they never take part in the tidal loop."""
    services = () if facts.site is None else facts.site.services
    return {service.area for service in services if service.case}
