"""What the hall promises, seen from outside: from events and commands alone, not from how the core keeps its state.

A broken one is an ``AssertionError`` whose text starts with the promise's name. Each was seen to break on a bug planted
for it: ``tests/sim/worlds/test_planted_bugs.py``.
"""

from __future__ import annotations

from edged.core.commands import Action, Command, Desired, Lamp, Note, Page, Print, Say, WindowPicture
from edged.core.events import DeviceEvent, Event, KeyPressed, SiteLoaded
from edged.core.signage import slot
from edged.core.site import Site
from edged.core.state import State


class Promises:
    """Watches every step of one world."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._holds: dict[str, str | None] = {}  # window -> number on it
        self._issued: dict[str, int] = {}  # number -> when it was given out last
        self._called: set[str] = set()
        self._last_action = 0
        self._pages: set[int] = set()
        self._levels: dict[str, object] = {}
        self._lamp_of = {w.lamp: w.id for w in site.windows if w.lamp and w.tidal}
        self._window_of = {w.panel: w.id for w in site.windows if w.panel}
        self._touched: dict[str, bool] = {}  # tidal window -> somebody used its panel since it last went dark

    def step(
        self, state: State, event: Event, commands: tuple[Command, ...], notes: tuple[Note, ...]
    ) -> None:
        """One step of the engine."""
        if isinstance(event, KeyPressed) and event.point in self._window_of:
            self._touched[self._window_of[event.point]] = True
        if isinstance(event, SiteLoaded):
            self._levels.clear()
        for note in notes:
            self._note(state, note)
        for command in commands:
            if isinstance(command, Desired):
                self._level(command)
            else:
                self._action(command)
        if any(isinstance(c, Desired) and isinstance(c.value, WindowPicture) for c in commands):
            self._one_window_each()

    def changed_nothing(
        self, event: DeviceEvent, commands: tuple[Command, ...], notes: tuple[Note, ...]
    ) -> None:
        """``event`` came a second time, unchanged: once is enough."""
        told = [note for note in notes if note.kind != "ignored"]
        assert not commands, f"once: the second {event} commanded {commands}"
        assert not told, f"once: the second {event} did {told}"

    def _note(self, state: State, note: Note) -> None:
        if note.kind == "ticket.issued":
            given_ms = self._issued.get(note.subject, -1)
            assert given_ms < state.day_start_ms, f"numbers: {note.subject} was given out twice today"
            self._issued[note.subject] = state.at_ms
            self._called.discard(note.subject)
        elif note.kind in ("ticket.called", "ticket.recalled"):
            self._called.add(note.subject)
        elif note.kind == "tidal.requested":
            used = sum(1 for window in state.windows.values() if window.area is not None)
            assert used <= state.policy.tidal.pool, f"pool: {used} windows of {state.policy.tidal.pool}"

    def _level(self, command: Desired) -> None:
        key = slot(command.point, command.value)
        assert self._levels.get(key) != command.value, f"levels: {key} is commanded again as it stands"
        self._levels[key] = command.value
        value = command.value
        if isinstance(value, WindowPicture):
            self._holds[value.window] = value.number
        elif isinstance(value, Lamp) and command.point in self._lamp_of:
            window = self._lamp_of[command.point]
            if value.state == "on":
                assert self._touched.get(window), f"staffed: {window} is lit and nobody touched its panel"
            elif value.state == "off":
                self._touched[window] = False

    def _one_window_each(self) -> None:
        held = [number for number in self._holds.values() if number is not None]
        assert len(held) == len(set(held)), f"one window: a number is at two of {self._holds}"

    def _action(self, action: Action) -> None:
        number = int(action.id.removeprefix("a"))
        if isinstance(action.body, Page) and number in self._pages:
            return  # asked again after a restart, under its old id
        assert number > self._last_action, f"actions: {action.id} after a{self._last_action}"
        self._last_action = number
        if isinstance(action.body, Page):
            self._pages.add(number)
        if isinstance(action.body, Print):
            assert action.body.number in self._issued, f"prints: {action.body.number} was never given out"
        elif isinstance(action.body, Say) and action.body.ticket:
            assert action.body.ticket in self._called, f"calls: {action.body.ticket} is announced, not called"
