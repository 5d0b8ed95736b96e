"""The contract of observers, such as the log or the metrics: they receive each ``Step`` after the core has handled it,
and change nothing in the core.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edged.core.model.commands import Command, Note
from edged.core.model.events import Event


class Step(NamedTuple):
    """One event and what the core did with it: ``commands`` to devices, and ``notes`` that say why. ``at_ms``: the
    event's hall time. ``seq``: the step's number in the journal. A clock tick without effect is not stored in the
    journal; its ``seq`` is that of the step before.
    """

    seq: int
    at_ms: int
    event: Event
    commands: tuple[Command, ...]
    notes: tuple[Note, ...]


class Observer:
    """Base of observers. A subclass overrides one or both of these methods; they must not block and must not raise."""

    def step(self, step: Step, decision_s: float) -> None:
        """Called after the core handled a step, before it is on disk. ``decision_s``: seconds the core needed."""

    def committed(self, steps: Sequence[Step]) -> None:
        """Called when these steps are on disk, in their order. Their actions (announcements, tickets to print) have
        just been handed to the devices.
        """
