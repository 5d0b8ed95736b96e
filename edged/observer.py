"""Contract of everything that looks at the loop: it gets each ``Step`` after it was handled, and never touches."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from edged.core.model.commands import Command, Note
from edged.core.model.events import Event


class Step(NamedTuple):
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
