"""Reads the events for the city's centre from the journal, and stores how far the centre has acknowledged them.

There is no outbox table: every event is a note of a step, in order, and a step never changes. Only the cursor is
stored, in one row of table ``meta``. Pruning spares the steps after ``Cursor.step``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import apsw

from edged.core.model.events import ClockSet
from edged.store.codec import decode_event

KEY = "uplink"  # key in table `meta`; value "epoch acked step number"
COUNTERS = (
    "operations"  # key in table `meta`: counters with which central/operation_desk.py refuses replayed orders
)
KEY_LIST = "keys"  # key in table `meta`: the city's key list and its versions, see central/key_desk.py
CARRIED = (KEY, COUNTERS, KEY_LIST)  # rows of `meta` that are carried over from a damaged database


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the centre has acknowledged the events: up to number ``acked``. The search for the next events begins
    after step ``step``; ``number`` (<= ``acked``) is the number of the last event up to that step, from which numbering
    continues.
    """

    acked: int = 0
    step: int = 0
    number: int = 0


class NotedStep(NamedTuple):
    """A step that has notes, or whose event set the clock, or both. ``notes``: their JSON; ``clock``: the JSON of the
    ``ClockSet`` event; None if there is none.
    """

    seq: int
    at_ms: int
    notes: bytes | None
    clock: bytes | None

    def offset_ms(self, before_ms: int) -> int:
        """Wall time minus hall time after this step, in ms; ``before_ms`` if it did not set the clock."""
        return before_ms if self.clock is None else _offset_ms(self.at_ms, self.clock)


def read_cursor(stored: str | None, epoch: int, last_seq: int) -> Cursor:
    """Decode the cursor from table ``meta``; if ``stored`` is None or no cursor, nothing counts as acknowledged. If it
    was stored in another epoch than ``epoch``, event numbers begin again at 1, with the events after the same step, or
    after ``last_seq`` (the journal's last step) if that is earlier.
    """
    try:
        its_epoch, acked, step, number = map(int, (stored or "").split())
    except ValueError:
        return Cursor()
    if its_epoch != epoch:
        return Cursor(0, min(step, last_seq), 0)
    return Cursor(acked, step, number)


def write_cursor(cursor: Cursor, epoch: int) -> str:
    """Encode the cursor for table ``meta``; the inverse of ``read_cursor``."""
    return f"{epoch} {cursor.acked} {cursor.step} {cursor.number}"


def noted_steps(connection: apsw.Connection, after_seq: int, count: int) -> list[NotedStep]:
    """The next ``count`` steps after ``after_seq`` that have notes or set the clock."""
    query = (
        "SELECT seq, at_ms, notes, CASE kind WHEN 'ClockSet' THEN event END FROM steps"
        " WHERE seq > ? AND (notes IS NOT NULL OR kind = 'ClockSet') ORDER BY seq LIMIT ?"
    )
    return [NotedStep(*values) for values in connection.execute(query, (after_seq, count))]


def clock_before(connection: apsw.Connection, seq: int) -> int | None:
    """Wall time minus hall time in ms, as the last ``ClockSet`` up to step ``seq`` set it; None if the journal holds no
    such step (any longer).
    """
    query = "SELECT at_ms, event FROM steps WHERE seq <= ? AND kind = 'ClockSet' ORDER BY seq DESC LIMIT 1"
    found = connection.execute(query, (seq,)).fetchone()
    return None if found is None else _offset_ms(*found)


def _offset_ms(at_ms: int, event: bytes) -> int:
    clock = decode_event(ClockSet.__name__, event)
    assert isinstance(clock, ClockSet)
    return clock.wall_ms - at_ms
