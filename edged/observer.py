"""Contract of everything that looks at the loop: it gets each ``Step`` after it was handled, and never touches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edged.core.commands import Command, Note
from edged.core.events import Event


@dataclass(frozen=True, slots=True)
class Step:
    """One turn of the loop. ``seq`` counts journaled steps; a tick without effect repeats the last."""

    seq: int
    at_ms: int
    event: Event
    commands: tuple[Command, ...]
    notes: tuple[Note, ...]


class Observer(Protocol):
    """Looks at steps. Must not block and must not raise."""

    def step(self, step: Step, decision_s: float) -> None:
        """``decision_s``: seconds the core took for this step."""
