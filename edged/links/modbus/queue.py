"""The queue of requests of one Modbus bus, without I/O: lamps first, only the newest write per coil, units that do not
answer last.

Each request gets exactly one outcome. The caller of a write that was replaced gets the outcome of the newer one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from edged.driver import DeviceError, Unreachable
from edged.links.modbus.frames import alike

TRIES = 2  # one retry: a single flipped bit must not lose a device
PENDING_MAX = 256  # requests waiting: 8 modules of 32 lamps all changing at once
WRITES_IN_ROW_MAX = 16  # then one read: under a storm of writes devices must still be watched


@dataclass(frozen=True, slots=True)
class Pace:
    """Waiting times in real seconds. A unit that did not answer is not asked for ``rest_min_s``; each further miss
    doubles this, up to ``rest_max_s``. A late answer is expected for ``owed_s``; a module that takes longer counts as
    restarted, and has forgotten the request. A module that answers "busy" is asked again every ``busy_s``, for at most
    ``busy_max_s``.
    """

    rest_min_s: float = 0.5
    rest_max_s: float = 10.0
    owed_s: float = 3.0
    busy_s: float = 0.1
    busy_max_s: float = 5.0


@dataclass(slots=True, eq=False)
class ModbusRequest:
    """One request and the callers that wait for its answer. ``pdu``: function code and data. ``slot``: (unit, output)
    of a write, which a newer write with the same slot replaces; None for a read.
    """

    unit: int
    pdu: bytes
    deadline_s: float
    slot: tuple[int, int] | None = None
    tries_left: int = TRIES
    first_sent_s: float = 0.0
    not_before_s: float = 0.0
    broken_off: int = 0
    again: bool = False  # sent a second time because the connection ended under it
    waiting: list[asyncio.Future[bytes]] = field(default_factory=list)

    def settle(self, answer: bytes | DeviceError) -> None:
        """Give the outcome (the answer's PDU, or an error) to everyone who still waits."""
        for future in self.waiting:
            if future.done():
                continue
            if isinstance(answer, DeviceError):
                future.set_exception(answer)
                future.exception()  # mark as retrieved: the caller may be gone
            else:
                future.set_result(answer)


@dataclass(slots=True)
class Debt:
    """An answer to ``request`` that may still come late, and the time until which it is expected, in seconds of
    ``edged.clock.monotonic_s``.
    """

    request: ModbusRequest
    until_s: float


@dataclass(slots=True)
class ModbusUnit:
    """What the bus knows about one unit: ``misses``, the unanswered requests in a row; ``rest_until_s``, before which
    it is not asked, in seconds of ``edged.clock.monotonic_s``; ``owed``, the answers that may still come late.
    """

    misses: int = 0
    rest_until_s: float = 0.0
    owed: list[Debt] = field(default_factory=list)

    def clash_until_s(self, request: ModbusRequest, now_s: float) -> float:
        """The time until which a late answer could be taken for the answer to ``request``, in seconds of
        ``edged.clock.monotonic_s`` (as ``now_s``); 0 if none can.

        A late answer to an earlier try of the same request is no problem: it is still what is wanted.
        """
        self.owed = [debt for debt in self.owed if debt.until_s > now_s]
        clashing = (d for d in self.owed if d.request is not request and alike(d.request.pdu, request.pdu))
        return max((debt.until_s for debt in clashing), default=0.0)

    def answered(self, request: ModbusRequest, now_s: float) -> None:
        """Record an answer to ``request``. If the request was sent more than once, another answer to it may follow: it
        is expected for at most twice the time since the first try.
        """
        self.misses = 0
        for debt in self.owed:
            if debt.request is request:
                debt.until_s = min(debt.until_s, now_s + 2 * (now_s - request.first_sent_s))

    def rest(self, now_s: float, pace: Pace, jitter: float) -> None:
        """Send no request to the unit for a while, which doubles with every further miss; ``jitter`` in [0, 1) shortens
        it by up to 10 %.
        """
        pause_s = min(pace.rest_max_s, pace.rest_min_s * 2.0 ** min(max(0, self.misses - TRIES), 10))
        self.rest_until_s = now_s + pause_s * (1 - jitter / 10)


class RequestQueue:
    """The waiting requests, and what is known about their units."""

    def __init__(self) -> None:
        self.units: dict[int, ModbusUnit] = {}
        self._line: list[ModbusRequest] = []
        self._writes_in_row = 0

    def __len__(self) -> int:
        return len(self._line)

    def unit(self, number: int) -> ModbusUnit:
        """The record of unit ``number``, made if there is none."""
        return self.units.setdefault(number, ModbusUnit())

    def suspect(self, request: ModbusRequest) -> bool:
        """Whether the request's unit did not answer the last time it was asked."""
        return self.unit(request.unit).misses > 0

    def add(self, request: ModbusRequest) -> None:
        """Append ``request``. If a write with the same slot waits, ``request`` replaces it. Raises ``Unreachable`` if
        ``PENDING_MAX`` requests wait already.
        """
        older = self._twin(request)
        if older is not None:
            request.waiting.extend(older.waiting)
            self._line[self._line.index(older)] = request
        elif len(self._line) >= PENDING_MAX:
            raise Unreachable("too many requests wait for the wire")
        else:
            self._line.append(request)

    def put_back(self, request: ModbusRequest) -> None:
        """Put a request back to the head of the queue. If a newer write with the same slot waits, drop the request
        instead; its callers get the outcome of the newer write.
        """
        newer = self._twin(request)
        if newer is not None:
            newer.waiting.extend(request.waiting)
        else:
            self._line.insert(0, request)

    def take(self, now_s: float) -> ModbusRequest | None:
        """Remove and return the next request; None if none is due. Writes go first, then reads, then requests for units
        that did not answer; after ``WRITES_IN_ROW_MAX`` writes in a row one read goes before them.
        """
        self._line = [r for r in self._line if not all(f.done() for f in r.waiting)]
        ready = [request for request in self._line if request.not_before_s <= now_s]
        if not ready:
            return None
        reads_first = self._writes_in_row >= WRITES_IN_ROW_MAX
        request = min(ready, key=lambda r: 2 if self.suspect(r) else int((r.slot is None) != reads_first))
        self._line.remove(request)
        self._writes_in_row = self._writes_in_row + 1 if request.slot is not None else 0
        return request

    def recheck(self, unit: int) -> None:
        """Make all waiting requests for ``unit`` due now, because the late answer for which they waited has come."""
        for request in self._line:
            if request.unit == unit:
                request.not_before_s = 0.0

    def drop(self, error: DeviceError, unit: int | None = None) -> None:
        """Remove the waiting requests for ``unit`` (None: for all units), and let them fail with ``error``."""
        dropped = [r for r in self._line if unit is None or r.unit == unit]
        self._line = [r for r in self._line if r not in dropped]
        for request in dropped:
            request.settle(error)

    def _twin(self, request: ModbusRequest) -> ModbusRequest | None:
        if request.slot is None:
            return None
        return next((other for other in self._line if other.slot == request.slot), None)
