"""The journal as the outbox of the centre: where the centre's acknowledgements stand, and how events are read again.

There is no second table: every event stands in the notes of a step, in order, and a step never changes. What has to
be remembered is one line of ``meta``. Whoever prunes the journal leaves the steps after ``Cursor.step``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import apsw

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
    """A step with something to tell: its ``notes`` as stored."""

    seq: int
    at_ms: int
    notes: bytes


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
    """The next ``count`` steps after ``after_seq`` that noted something."""
    query = "SELECT seq, at_ms, notes FROM steps WHERE seq > ? AND notes IS NOT NULL ORDER BY seq LIMIT ?"
    return [NotedStep(*values) for values in connection.execute(query, (after_seq, count))]
