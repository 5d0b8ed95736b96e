"""What happened in the hall, as CloudEvents 1.0 for the centre: one event per note of a step.

Rules: every note is an event but those about ignored inputs and single actions. That list is never changed: events
are numbered by counting notes, and a number that has left must stand for the same event for ever. Counter readings
are telemetry: where much is waiting to be sent, one a minute and counter is enough. Nothing else is ever left out.

Source: CloudEvents spec 1.0.2, JSON event format; `sequence` and the two attributes of our own are extensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from edged.core.model.commands import Note
from edged.store.uplink import NotedStep

_ENCODER = msgspec.json.Encoder()
TELEMETRY = frozenset({"people.counted"})
THINNED_TO_MS = 60_000  # of telemetry that is thinned, one reading of each counter in this time stays


class Fact(NamedTuple):
    """One event: ``number`` counts from 1 in each epoch; ``at_ms`` is the hall time of its step, ``wall_ms`` what the
    wall clock, as it was set then, showed: sent again, an event says the same time as before."""

    number: int
    at_ms: int
    wall_ms: int
    kind: str
    subject: str
    data: Mapping[str, Any]


def is_event(kind: str) -> bool:
    """Whether a note is sent to the centre."""
    return kind != "ignored" and not kind.startswith("action.")


def count_noted(notes: tuple[Note, ...]) -> int:
    """How many events the notes of a step are."""
    return sum(is_event(note.kind) for note in notes)


def count_stored(step: NotedStep) -> int:
    """``count_noted`` for notes in their stored form."""
    return sum(is_event(note["kind"]) for note in msgspec.json.decode(step.notes or b"[]"))


def noted(notes: tuple[Note, ...], at_ms: int, offset_ms: int, before: int) -> Iterator[Fact]:
    """The events of a step, numbered from ``before`` + 1; ``offset_ms``: wall time less hall time after it."""
    for note in notes:
        if is_event(note.kind):
            before += 1
            yield Fact(before, at_ms, at_ms + offset_ms, note.kind, note.subject, note.data)


def stored(step: NotedStep, offset_ms: int, before: int) -> Iterator[Fact]:
    """``noted`` for a step in its stored form."""
    for note in msgspec.json.decode(step.notes or b"[]"):
        if is_event(note["kind"]):
            before += 1
            yield Fact(
                before, step.at_ms, step.at_ms + offset_ms, note["kind"], note["subject"], note["data"]
            )


class EventWriter:
    """Writes the events of one hall and epoch."""

    def __init__(self, hall: str, epoch: int) -> None:
        self._id = f"{hall}/{epoch}/"
        self._source = f"/halls/{hall}"

    def message(self, fact: Fact, time: str, previous: int, historical: bool) -> bytes:
        """The CloudEvent as JSON. ``time``: RFC 3339. ``previous``: number of the event sent before it; none is
        missing between.
        """
        return _ENCODER.encode(
            {
                "specversion": "1.0",
                "id": f"{self._id}{fact.number}",
                "source": self._source,
                "type": f"edged.{fact.kind}",
                "subject": fact.subject,
                "time": time,
                "datacontenttype": "application/json",
                "data": fact.data,
                "sequence": fact.number,
                "previous": previous,
                "historical": historical,
            }
        )
