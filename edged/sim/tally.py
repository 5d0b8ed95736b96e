"""The totals of a day from its journal: counts, waits, and the latest explanations for the screen.

It reads on a connection of its own, read-only, while the daemon writes; SQLite's WAL lets both go on without waiting.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from edged.central.cloud_events import count_noted
from edged.core.model.commands import AreaSummary, Desired, Note, Pager, Panel, Value, WindowSummary
from edged.core.model.events import ClockSet, KeyPressed
from edged.core.model.point import Point
from edged.core.people.answers import SILENT
from edged.observer import Step
from edged.store import database
from edged.store.records import decode_step

EXPLANATIONS_KEPT = 8
WANTED_KEPT = 200  # values kept per output: several may be wanted within the grace time of the final check
Wanted = deque[tuple[int, Value]]  # with its hall ms
EXPLAINED = (
    "tidal.requested",
    "tidal.acknowledged",
    "tidal.unanswered",
    "tidal.opened",
    "tidal.draining",
    "tidal.released",
    "tidal.refused",
    "tidal.escalated",
    "tidal.asked",
    "tidal.stale",
    "tidal.fresh",
    "window.lent",
    "window.returned",
    "device.lost",
    "device.back",
    "policy.applied",
    "hall.resumed",
    "area.hours",
    "window.paused",
    "alarm.raised",
    "alarm.cleared",
    "case.opened",
    "case.acknowledged",
    "case.closed",
    "case.rated",
    "rating.bad",
    "rating.answered",
    "ticket.transferred",
    "override.set",
    "override.expired",
    "announcement.accepted",
)


@dataclass(slots=True)
class DemoTotals:
    """Running totals over the steps of a journal. Durations are in hall seconds."""

    steps: int = 0
    wall_offset_ms: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    waits_s: list[float] = field(default_factory=list)
    to_staffed_s: list[float] = field(default_factory=list)
    areas: dict[str, AreaSummary] = field(default_factory=dict)
    windows: dict[str, WindowSummary] = field(default_factory=dict)
    hours: dict[str, int] = field(default_factory=dict)  # phase of an area (or its mode) -> how often entered
    alarms: Counter[str] = field(default_factory=Counter)
    wanted: dict[tuple[Point, str], Wanted] = field(default_factory=dict)
    wishes: dict[tuple[str, str], bool] = field(default_factory=dict)  # (area, who asked) -> request stands
    unanswered: list[str] = field(default_factory=list)  # keys that had no visible answer
    prompts: dict[Point, str | None] = field(default_factory=dict)  # prompt on each panel and pager
    events: int = 0  # of the hall's history, for the centre
    explanations: deque[tuple[int, Note]] = field(default_factory=lambda: deque(maxlen=EXPLANATIONS_KEPT))

    def step(self, step: Step) -> None:
        """Add the event, commands and notes of one step to the totals."""
        self.steps += 1
        if isinstance(step.event, ClockSet):
            self.wall_offset_ms = step.event.wall_ms - step.at_ms
        answered = set()
        for command in step.commands:
            if isinstance(command, Desired) and isinstance(command.value, Panel | Pager):
                answered.add(command.point)
                self.prompts[command.point] = command.value.prompt
            if isinstance(command, Desired):
                slot = (command.point, command.value.kind)
                self.wanted.setdefault(slot, deque(maxlen=WANTED_KEPT)).append((step.at_ms, command.value))
                if isinstance(command.value, AreaSummary):
                    self._count_mode(command.value)
                    self.areas[command.value.area] = command.value
                elif isinstance(command.value, WindowSummary):
                    self.windows[command.value.window] = command.value
        self.events += count_noted(step.notes)
        for note in step.notes:
            self._note(step.at_ms, note)
        if isinstance(step.event, KeyPressed) and step.event.point not in answered:
            self._note_unanswered(step.event, step.notes)

    def _note_unanswered(self, event: KeyPressed, notes: tuple[Note, ...]) -> None:
        """Record a key press that changed nothing on its panel or pager as unanswered. Exceptions: a prompt is shown
        there already, or the press was a repetition.
        """
        again = any(note.kind == "ignored" and note.data.get("reason") in SILENT for note in notes)
        if not again and self.prompts.get(event.point) is None:
            self.unanswered.append(f"{event.point} {event.key} {event.arg or ''}".rstrip())

    def _note(self, at_ms: int, note: Note) -> None:
        self.notes[note.kind] += 1
        if note.kind == "ticket.called":
            self.waits_s.append(_number(note, "wait_s"))
        elif note.kind == "tidal.opened":
            self.to_staffed_s.append(_number(note, "to_staffed_s"))
        elif note.kind == "tidal.asked":
            self.wishes[note.subject, str(note.data.get("by") or note.data.get("window"))] = True
        elif note.kind == "tidal.wish_over":
            self.wishes.pop((note.subject, str(note.data.get("by"))), None)
        elif note.kind == "area.hours":
            phase = str(note.data["phase"])
            self.hours[phase] = self.hours.get(phase, 0) + 1
        elif note.kind == "alarm.raised":
            self.alarms[str(note.data["alarm"])] += 1
        elif note.kind == "ticket.issued":
            self.notes["ticket.checked_in"] += "appointment" in note.data
        elif note.kind == "ticket.transferred":
            self.notes["ticket.next_stage"] += note.data.get("reason") == "next_stage"
        elif note.kind == "ticket.finished":
            self.notes["ticket.told_once"] += note.data.get("outcome") == "told-once"
        elif note.kind == "staff.answered":
            came = (note.data.get("about"), note.data.get("answer")) == ("commissioner", "accept")
            self.notes["commissioner.came"] += came
        if note.kind in EXPLAINED:
            self.explanations.append((at_ms, note))

    def _count_mode(self, area: AreaSummary) -> None:
        """Count a change of an area's mode of service to another one than "full", such as "extended". Such a change is
        counted here because the area's ``hours`` (open, closed and so on) do not change with it.
        """
        before = self.areas.get(area.area)
        if area.mode not in (None, "full", None if before is None else before.mode):
            self.hours[str(area.mode)] = self.hours.get(str(area.mode), 0) + 1

    @property
    def waiting(self) -> int:
        """People waiting now in all areas."""
        return sum(area.waiting for area in self.areas.values())


class Tail:
    """A reader that follows a journal file while the daemon writes it: ``read`` returns the steps committed since the
    last call.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: apsw.Connection | None = None
        self._seq = 0

    def read(self) -> list[Step]:
        """Read the steps written since the last call, in order; [] while the journal does not exist or has no tables
        yet.
        """
        if self._connection is None:
            if not self._path.exists():
                return []
            try:
                self._connection = database.connect(self._path, read_only=True)
            except apsw.Error:
                return []
        try:
            steps = [decode_step(row) for row in database.rows(self._connection, self._seq)]
        except apsw.SQLError:  # the tables are not created yet
            return []
        if steps:
            self._seq = steps[-1].seq
        return steps

    def close(self) -> None:
        """Close the journal file, if it is open."""
        if self._connection is not None:
            self._connection.close(True)


def quantile(values: list[float], share: float) -> float | None:
    """The value at position ``share`` (0 to 1) of the sorted values, not interpolated, rounded to one decimal; None
    without values.
    """
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)


def mean(values: list[float]) -> float | None:
    """The mean of the values, rounded to one decimal; None without values."""
    return round(sum(values) / len(values), 1) if values else None


def _number(note: Note, key: str) -> float:
    value = note.data.get(key)
    return float(value) if isinstance(value, int | float) else 0.0
