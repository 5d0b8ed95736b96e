"""The journal as the outbox of the centre: where the centre's acknowledgements stand, and how events are read again.

There is no second table: every event stands in the notes of a step, in order, and a step never changes. What has to
be remembered is one line of ``meta``. Whoever prunes the journal leaves the steps after ``Cursor.step``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import apsw

from edged.core.model.events import ClockSet
from edged.store.codec import decode_event

KEY = "uplink"  # of `meta`: "epoch acked step number"
COUNTERS = "operations"  # of `meta`: what central/operation_desk.py remembers against replays
CARRIED = (KEY, COUNTERS)  # lines that outlive a damaged database, where they can be read


@dataclass(frozen=True, slots=True)
class Cursor:
    """The centre has every event up to number ``acked``. After step ``step`` ``number`` events (<= acked) had been
    counted: numbers are counted on from there."""

    acked: int = 0
    step: int = 0
    number: int = 0


class NotedStep(NamedTuple):
    """A step with something to tell: its ``notes`` as stored; or with the event that set the clock, or with both."""

    seq: int
    at_ms: int
    notes: bytes | None
    clock: bytes | None

    def offset_ms(self, before_ms: int) -> int:
        """Wall time less hall time after this step; ``before_ms`` where it set no clock."""
        return before_ms if self.clock is None else _offset_ms(self.at_ms, self.clock)


def read_cursor(stored: str | None, epoch: int, last_seq: int) -> Cursor:
    """The cursor in ``meta``. In another epoch than it was written in, numbers begin anew after the same step."""
    try:
        its_epoch, acked, step, number = map(int, (stored or "").split())
    except ValueError:
        return Cursor()
    if its_epoch != epoch:
        return Cursor(0, min(step, last_seq), 0)
    return Cursor(acked, step, number)


def write_cursor(cursor: Cursor, epoch: int) -> str:
    """What ``read_cursor`` reads."""
    return f"{epoch} {cursor.acked} {cursor.step} {cursor.number}"


def noted_steps(connection: apsw.Connection, after_seq: int, count: int) -> list[NotedStep]:
    """The next ``count`` steps after ``after_seq`` that noted something or set the clock."""
    query = (
        "SELECT seq, at_ms, notes, CASE kind WHEN 'ClockSet' THEN event END FROM steps"
        " WHERE seq > ? AND (notes IS NOT NULL OR kind = 'ClockSet') ORDER BY seq LIMIT ?"
    )
    return [NotedStep(*values) for values in connection.execute(query, (after_seq, count))]


def clock_before(connection: apsw.Connection, seq: int) -> int | None:
    """Wall time less hall time in ms, as it stood after step ``seq``; None where the journal does not know any more."""
    query = "SELECT at_ms, event FROM steps WHERE seq <= ? AND kind = 'ClockSet' ORDER BY seq DESC LIMIT 1"
    found = connection.execute(query, (seq,)).fetchone()
    return None if found is None else _offset_ms(*found)


def _offset_ms(at_ms: int, event: bytes) -> int:
    clock = decode_event(ClockSet.__name__, event)
    assert isinstance(clock, ClockSet)
    return clock.wall_ms - at_ms
