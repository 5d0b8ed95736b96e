"""Contract of everything that hears of steps: it gets each ``Step`` after it was handled, and never touches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edged.core.model.commands import Command, Note
from edged.core.model.events import Event


class Step(NamedTuple):
    """One turn of the loop. ``seq`` counts journaled steps; a tick without effect repeats the last."""

    seq: int
    at_ms: int
    event: Event
    commands: tuple[Command, ...]
    notes: tuple[Note, ...]


class Observer:
    """Hears of steps, by either method or both. Must not block and must not raise."""

    def step(self, step: Step, decision_s: float) -> None:
        """It was taken, and is not on disk yet. ``decision_s``: seconds the core took for it."""

    def committed(self, steps: Sequence[Step]) -> None:
        """These are on disk, in order; their actions were handed over just before."""
