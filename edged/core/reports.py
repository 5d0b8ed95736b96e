"""What an existing queue system tells a hall that follows it (``follow.py``). Members of ``events.Event``."""

from __future__ import annotations

from typing import Literal

from edged.core.value import value


@value
class CallReported:
    """Follow mode: the queue system called ``number`` to ``window``. ``service`` None: what the window serves."""

    point: str
    number: str
    window: str
    service: str | None = None
    seq: int | None = None


@value
class EndReported:
    """Follow mode: the queue system is done with the visitor at ``window`` (``number`` None: whoever is there)."""

    point: str
    window: str
    number: str | None = None
    outcome: Literal["served", "no-show", "parked", "cancelled"] = "served"
    seq: int | None = None


@value
class QueueReported:
    """Follow mode: the numbers that wait for ``service``, all of them, in order."""

    point: str
    service: str
    waiting: tuple[str, ...]
    seq: int | None = None
