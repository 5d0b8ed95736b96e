"""Converts the hall's history into CloudEvents 1.0 for the centre.

A step is the core's handling of one input; its notes say what happened, one each. Every note becomes an event, except
notes about ignored inputs and about the outcome of single device commands. That selection must never change: events are
numbered by counting notes, and a number that was sent must stand for the same event for ever. Readings of people
counters are telemetry: while many events wait to be sent, only one per minute and counter is sent. Nothing else is left
out.

Source: CloudEvents spec 1.0.2, JSON event format; ``sequence``, ``previous`` and ``historical`` are extension
attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from edged.core.model.commands import Note
from edged.store.uplink import NotedStep

_ENCODER = msgspec.json.Encoder()
TELEMETRY = frozenset({"people.counted"})
THINNED_TO_MS = 60_000  # of thinned telemetry, one reading of each counter is sent per this time


class Fact(NamedTuple):
    """One event for the centre, made from a note of a step.

    ``number`` counts from 1 in each epoch (the life of one journal: a restored or damaged journal begins a new one).
    ``at_ms`` is the hall time of the step (ms that never go back, no date). ``wall_ms`` is the wall clock as it was set
    at that step, ms since 1970 UTC, so that the event has the same time when it is sent again.
    """

    number: int
    at_ms: int
    wall_ms: int
    kind: str
    subject: str
    data: Mapping[str, Any]


def is_event(kind: str) -> bool:
    """Whether a note is sent to the centre: every one is, except those about ignored inputs and about the outcome of
    single device commands (``action.…``).
    """
    return kind != "ignored" and not kind.startswith("action.")


def count_noted(notes: tuple[Note, ...]) -> int:
    """How many of the notes of a step the centre gets as events."""
    return sum(is_event(note.kind) for note in notes)


def count_stored(step: NotedStep) -> int:
    """How many of the notes of a step the centre gets as events. ``step``: as stored in the journal."""
    return sum(is_event(note["kind"]) for note in msgspec.json.decode(step.notes or b"[]"))


def noted(notes: tuple[Note, ...], at_ms: int, offset_ms: int, before: int) -> Iterator[Fact]:
    """Yield the events of a step, numbered from ``before`` + 1. ``at_ms``: hall time of the step; ``offset_ms``: wall
    time minus hall time after it.
    """
    for note in notes:
        if is_event(note.kind):
            before += 1
            yield Fact(before, at_ms, at_ms + offset_ms, note.kind, note.subject, note.data)


def stored(step: NotedStep, offset_ms: int, before: int) -> Iterator[Fact]:
    """Like ``noted``, for a step as stored in the journal."""
    for note in msgspec.json.decode(step.notes or b"[]"):
        if is_event(note["kind"]):
            before += 1
            yield Fact(
                before, step.at_ms, step.at_ms + offset_ms, note["kind"], note["subject"], note["data"]
            )


class EventWriter:
    """Encodes the events of one hall and epoch as CloudEvents."""

    def __init__(self, hall: str, epoch: int) -> None:
        self._id = f"{hall}/{epoch}/"
        self._source = f"/halls/{hall}"

    def message(self, fact: Fact, time: str, previous: int, historical: bool) -> bytes:
        """Encode ``fact`` as a CloudEvent in JSON. ``time``: when it happened, RFC 3339.

        ``previous``: the number of the event sent before this one, so that the centre notices a gap. ``historical``: it
        is read from the journal and sent later, not at once after its step.
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
