"""A device's own numbers: the same one again is a redelivery, and a hole is an input that nobody will send any more.

A broker drops silently what exceeds its queue (mosquitto: ``max_queued_messages``, 1000 per client), and a message that
was refused at the border has a number, too. Messages of one device come in order, so a number that was jumped over is
lost: it is said, counted, and stands as an alarm until the device was whole for ``WHOLE_MS``. The queue itself heals
where the lost input comes again in another way: the next key of a window infers what it skipped, and a ticket that was
printed but never heard of is called by number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any
from zlib import crc32

from edged.core.model.events import DeviceEvent
from edged.core.model.turn import Turn
from edged.core.people import alarms

SEEN_PER_POINT = (
    256  # redelivery is limited to messages in flight (32) plus a short outage; more would only cost memory
)
HOLE_MAX = 1_000  # numbers missing at once: a broker's queue; a wider jump is a counter that was set
WHOLE_MS = 3_600_000  # an hour without a hole: whatever choked has passed
ALARM = "inputs-missed"
TIMER = "missed"


def is_redelivery(turn: Turn, event: DeviceEvent) -> bool:
    """Same device, same number, same content. A number reused with other content is not: that device was reset."""
    if event.seq is None:
        return False
    kind: Any = type(event)
    shape, read = _written(kind)
    digest = crc32((shape % read(event)).encode())
    seen = turn.state.seen.setdefault(event.point, {})
    known = seen.get(event.seq)
    if known == digest:
        return True
    if known is not None:
        del seen[event.seq]
    seen[event.seq] = digest
    if len(seen) > SEEN_PER_POINT:
        del seen[next(iter(seen))]
    _look_for_a_hole(turn, event.point, event.seq, known is not None)
    return False


@cache
def _written(kind: type[DeviceEvent]) -> tuple[str, Callable[[object], Any]]:
    """``repr`` of an event in two halves, at a third of its price: its digests stand in state dumps for ever."""
    names = [field.name for field in fields(kind)]
    return f"{kind.__qualname__}({', '.join(f'{name}=%r' for name in names)})", attrgetter(*names)


def whole_again(turn: Turn, point: str) -> None:
    """No hole for a while: the alarm is over."""
    alarms.clear(turn, ALARM, point)


def _look_for_a_hole(turn: Turn, point: str, seq: int, reset: bool) -> None:
    last = turn.state.last_seq.get(point)
    if last is not None and last - SEEN_PER_POINT < seq <= last and not reset:
        return  # late, or sent twice by somebody: neither a hole nor a new counter
    turn.state.last_seq[point] = seq
    missed = 0 if last is None else seq - last - 1
    if not 0 < missed <= HOLE_MAX:
        return
    turn.note("device.fault", point, fault="inputs missed", missed=missed, after_seq=last)
    alarms.sound(turn, ALARM, point, missed=missed)
    turn.set_timer(f"{TIMER}/{point}", turn.at_ms + WHOLE_MS)
