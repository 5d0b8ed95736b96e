"""The queue of one Modbus bus, without I/O: lamps first, newest write per coil, silent units last.

A request is settled exactly once; whoever waits for a write that was overtaken learns the outcome of the newer one.
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
    """Real seconds. A unit that did not answer rests ``rest_min_s``, doubling to ``rest_max_s``; its answer is reckoned
    with for ``owed_s``: a module that answers later has restarted in between. One that is busy is asked again every
    ``busy_s``, for ``busy_max_s``.
    """

    rest_min_s: float = 0.5
    rest_max_s: float = 10.0
    owed_s: float = 3.0
    busy_s: float = 0.1
    busy_max_s: float = 5.0


@dataclass(slots=True, eq=False)
class ModbusRequest:
    """One exchange that a driver waits for. ``pdu``: function code and data; ``slot``: (unit, coil) of a write."""

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
        """Hand the outcome, the answer's PDU, to everyone who still waits."""
        for future in self.waiting:
            if future.done():
                continue
            if isinstance(answer, DeviceError):
                future.set_exception(answer)
                future.exception()  # seen: whoever began it may have left the hall since
            else:
                future.set_result(answer)


@dataclass(slots=True)
class Debt:
    """An answer that may still come late, and until when (seconds)."""

    request: ModbusRequest
    until_s: float


@dataclass(slots=True)
class ModbusUnit:
    """What the bus knows of one unit: unanswered requests in a row, its rest, and the answers that it still owes."""

    misses: int = 0
    rest_until_s: float = 0.0
    owed: list[Debt] = field(default_factory=list)

    def clash_until_s(self, request: ModbusRequest, now_s: float) -> float:
        """Until when a late answer could pass for the answer to ``request``; 0 if none can.

        A request's own earlier try does not count: what it asked for is still what is wanted.
        """
        self.owed = [debt for debt in self.owed if debt.until_s > now_s]
        clashing = (d for d in self.owed if d.request is not request and alike(d.request.pdu, request.pdu))
        return max((debt.until_s for debt in clashing), default=0.0)

    def answered(self, request: ModbusRequest, now_s: float) -> None:
        """Record an answer of the unit. If it answers an earlier try, the last try's answer will take no longer."""
        self.misses = 0
        for debt in self.owed:
            if debt.request is request:
                debt.until_s = min(debt.until_s, now_s + 2 * (now_s - request.first_sent_s))

    def rest(self, now_s: float, pace: Pace, jitter: float) -> None:
        """Leave the unit alone, longer with every further miss; ``jitter`` in [0, 1) shortens that by up to 10 %."""
        pause_s = min(pace.rest_max_s, pace.rest_min_s * 2.0 ** min(max(0, self.misses - TRIES), 10))
        self.rest_until_s = now_s + pause_s * (1 - jitter / 10)


class RequestQueue:
    """The waiting requests, and the units they are for."""

    def __init__(self) -> None:
        self.units: dict[int, ModbusUnit] = {}
        self._line: list[ModbusRequest] = []
        self._writes_in_row = 0

    def __len__(self) -> int:
        return len(self._line)

    def unit(self, number: int) -> ModbusUnit:
        """The unit ``number``, known or new."""
        return self.units.setdefault(number, ModbusUnit())

    def suspect(self, request: ModbusRequest) -> bool:
        """True while the unit has not answered its last request."""
        return self.unit(request.unit).misses > 0

    def add(self, request: ModbusRequest) -> None:
        """Put a new request in line; it takes the place of a waiting write to the same coil. Raises ``Unreachable``."""
        older = self._twin(request)
        if older is not None:
            request.waiting.extend(older.waiting)
            self._line[self._line.index(older)] = request
        elif len(self._line) >= PENDING_MAX:
            raise Unreachable("too many requests wait for the wire")
        else:
            self._line.append(request)

    def put_back(self, request: ModbusRequest) -> None:
        """Put a request back at the head of the queue, unless a newer write to the same coil came meanwhile."""
        newer = self._twin(request)
        if newer is not None:
            newer.waiting.extend(request.waiting)
        else:
            self._line.insert(0, request)

    def take(self, now_s: float) -> ModbusRequest | None:
        """The next request to send: writes, then reads, then those for units that stay silent."""
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
        """Examine again the requests that were held back for a late answer of ``unit``."""
        for request in self._line:
            if request.unit == unit:
                request.not_before_s = 0.0

    def drop(self, error: DeviceError, unit: int | None = None) -> None:
        """Settle all waiting requests (of ``unit``) with ``error``."""
        dropped = [r for r in self._line if unit is None or r.unit == unit]
        self._line = [r for r in self._line if r not in dropped]
        for request in dropped:
            request.settle(error)

    def _twin(self, request: ModbusRequest) -> ModbusRequest | None:
        if request.slot is None:
            return None
        return next((other for other in self._line if other.slot == request.slot), None)
