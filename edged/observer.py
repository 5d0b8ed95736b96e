"""Contract of observers: they receive each ``Step`` after the core has handled it, and change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edged.core.model.commands import Command, Note
from edged.core.model.events import Event


class Step(NamedTuple):
    """One event and its results. ``seq`` counts the steps in the journal; a tick without effect is not stored and
    repeats the last number.
    """

    seq: int
    at_ms: int
    event: Event
    commands: tuple[Command, ...]
    notes: tuple[Note, ...]


class Observer:
    """Receives steps by one or both of these methods, which must not block and must not raise."""

    def step(self, step: Step, decision_s: float) -> None:
        """Called after the core handled a step, before it is on disk. ``decision_s``: seconds the core needed."""

    def committed(self, steps: Sequence[Step]) -> None:
        """Called when these steps are on disk, in order, just after their actions were handed to the outputs."""
