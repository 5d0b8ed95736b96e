"""What a day amounted to, read from its journal: counts, waits, and the last explanations for the screen.

Reads on a connection of its own, read-only, while the daemon writes: SQLite's WAL allows that, and the daemon never
waits for it.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from edged.core.commands import AreaPicture, Desired, Note, WindowPicture
from edged.core.events import ClockSet
from edged.observer import Step
from edged.store import database
from edged.store.records import decode_step

EXPLANATIONS_KEPT = 8
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
)


@dataclass(slots=True)
class Tally:
    """Running totals over the steps of a journal. Times in hall seconds."""

    steps: int = 0
    wall_offset_ms: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    waits_s: list[float] = field(default_factory=list)
    to_staffed_s: list[float] = field(default_factory=list)
    areas: dict[str, AreaPicture] = field(default_factory=dict)
    windows: dict[str, WindowPicture] = field(default_factory=dict)
    explanations: deque[tuple[int, Note]] = field(default_factory=lambda: deque(maxlen=EXPLANATIONS_KEPT))

    def step(self, step: Step) -> None:
        """Add one step."""
        self.steps += 1
        if isinstance(step.event, ClockSet):
            self.wall_offset_ms = step.event.wall_ms - step.at_ms
        for command in step.commands:
            if isinstance(command, Desired):
                if isinstance(command.value, AreaPicture):
                    self.areas[command.value.area] = command.value
                elif isinstance(command.value, WindowPicture):
                    self.windows[command.value.window] = command.value
        for note in step.notes:
            self._note(step.at_ms, note)

    def _note(self, at_ms: int, note: Note) -> None:
        self.notes[note.kind] += 1
        if note.kind == "ticket.called":
            self.waits_s.append(_number(note, "wait_s"))
        elif note.kind == "tidal.opened":
            self.to_staffed_s.append(_number(note, "to_staffed_s"))
        if note.kind in EXPLAINED:
            self.explanations.append((at_ms, note))

    @property
    def waiting(self) -> int:
        """Visitors waiting now, in all areas."""
        return sum(area.waiting for area in self.areas.values())


class Tail:
    """Follows a journal file: ``read`` hands over the steps committed since the last call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: apsw.Connection | None = None
        self._seq = 0

    def read(self) -> list[Step]:
        """New steps in order; none while the file is not there yet."""
        if self._connection is None:
            if not self._path.exists():
                return []
            try:
                self._connection = database.connect(self._path, read_only=True)
            except apsw.Error:
                return []
        try:
            steps = [decode_step(row) for row in database.rows(self._connection, self._seq)]
        except apsw.SQLError:  # the schema is being made
            return []
        if steps:
            self._seq = steps[-1].seq
        return steps

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close(True)


def quantile(values: list[float], share: float) -> float | None:
    """The ``share`` quantile (nearest rank), rounded to 0.1; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)


def mean(values: list[float]) -> float | None:
    """The mean, rounded to 0.1; None of nothing."""
    return round(sum(values) / len(values), 1) if values else None


def _number(note: Note, key: str) -> float:
    value = note.data.get(key)
    return float(value) if isinstance(value, int | float) else 0.0
