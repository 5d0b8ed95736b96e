"""One Modbus wire shared by many units: one request at a time, lamps first, and a dead unit costs the others nothing.

Rules:
1. An answer counts only if it can be the answer to nothing but the open request (``modbus_frames.fits``). RTU has no
   transaction ids and pymodbus takes any frame of the right unit and function, so this link judges bytes before it.
2. A unit that did not answer in time *owes* one. It rests (0.5 to 10 s) and what arrives is drained; a different
   request whose answer would look the same waits until the debt is paid or ``owed_s`` is over.
3. Writes overtake reads; a newer write to the same coil replaces the one that waits. A unit that missed an answer is
   asked last, and its request is broken off the moment a healthy unit is wanted.
4. The bus reconnects for ever, with backoff and jitter. Callers get only ``DeviceError``s.

Deadlines here are real seconds: the wire does not follow hall time.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import termios
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest

from edged.clock import monotonic_s
from edged.driver import DeviceError, Garbled, Unreachable
from edged.links.chance import chance
from edged.links.modbus_frames import (
    UNIT_IS_SILENT,
    exception_error,
    find_rtu_answer,
    find_tcp_answer,
    only_older,
    rtu_frame,
)
from edged.links.modbus_queue import TRIES, Debt, Pace, Queue, Request
from edged.links.modbus_wire import Client, RawCoilWrite, Wire, open_client, parse_url

DEADLINE_S = 0.2  # relay modules answer in 10-30 ms at 9600 baud; a hall notices a lamp after about 0.5 s
RECONNECT_MIN_S, RECONNECT_MAX_S = 0.5, 10.0  # pause before a wire is opened again, doubling
BREAK_OFF_MAX = 10  # times a request to a silent unit gives way before it may keep the wire for its deadline
GIVE_WAY_S = 0.2  # pause after giving way: a busy wire is not asked for the dead at every free moment
GAP_TRIES = 25  # waits for silence before a request; more means that somebody babbles
SILENT_MAX = (
    6  # exchanges without a single byte before the port is opened afresh (frozen adapter, half-open TCP)
)

# What pymodbus logs is every failed try; this link reports changes, once.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

OnState = Callable[[bool, str], None]
DEFAULT_PACE = Pace()


@dataclass(slots=True)
class BusCounts:
    """Totals since start."""

    exchanges: int = 0
    timeouts: int = 0
    garbled: int = 0
    refused: int = 0
    late: int = 0
    strays: int = 0
    broken_off: int = 0
    opened: int = 0


class ModbusBus:
    """A wire and its queue. Every driver on it awaits ``run``; one of them carries the wire, the next takes over."""

    def __init__(self, url: str, pace: Pace = DEFAULT_PACE, jitter: Callable[[], float] = chance) -> None:
        """Raises ``ValueError`` for a URL that is none. ``jitter`` gives numbers in [0, 1)."""
        self.wire: Wire = parse_url(url)
        self.url = url
        self.counts = BusCounts()
        self._jitter = jitter
        self._pace = pace
        self._find = find_rtu_answer if self.wire.rtu else find_tcp_answer
        self._queue = Queue()
        self._listeners: list[OnState] = []
        self._leader = asyncio.Lock()
        self._runners = 0
        self._wake = asyncio.Event()
        self._up: bool | None = None
        self._reason = "not connected yet"
        self._gone = ""  # why the open connection ended
        self._current: Request | None = None  # the exchange on the wire
        self._scope: asyncio.Timeout | None = None  # its deadline
        self._sent = b""  # its frame, until answered
        self._noise = False  # bytes came that answer nothing
        self._silent = 0
        self._quiet_from_s = 0.0

    @property
    def connected(self) -> bool:
        """True while the port or socket is open."""
        return bool(self._up)

    def on_state(self, callback: OnState) -> Callable[[], None]:
        """Call ``callback(up, reason)`` once per change of the wire. Returns how to stop that."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def rest_s(self, unit: int) -> float:
        """Seconds until ``unit`` may be asked again; 0 for a unit in good standing."""
        known = self._queue.units.get(unit)
        return max(0.0, known.rest_until_s - monotonic_s()) if known else 0.0

    async def read_coils(
        self, unit: int, address: int, count: int, *, deadline_s: float = DEADLINE_S
    ) -> tuple[bool, ...]:
        """FC01. Raises ``DeviceError``."""
        pdu = ReadCoilsRequest(dev_id=unit, address=address, count=count)
        answer = await self._ask(Request(unit, pdu, deadline_s))
        return tuple(answer.bits[:count])

    async def read_registers(
        self, unit: int, address: int, count: int, *, deadline_s: float = DEADLINE_S
    ) -> tuple[int, ...]:
        """FC03. Raises ``DeviceError``."""
        pdu = ReadHoldingRegistersRequest(dev_id=unit, address=address, count=count)
        answer = await self._ask(Request(unit, pdu, deadline_s))
        return tuple(answer.registers)

    async def write_coil(
        self, unit: int, address: int, value: int, *, coil: int | None = None, deadline_s: float = DEADLINE_S
    ) -> None:
        """FC05 with ``value`` as it stands (0xFF00 on, 0 off, or the module's own). Raises ``DeviceError``.

        Writes with the same ``coil`` (default: the address) are one lamp: the newest replaces those that still wait,
        and all their callers learn its outcome.
        """
        slot = (unit, address if coil is None else coil)
        await self._ask(Request(unit, RawCoilWrite(unit, address, value), deadline_s, slot))

    async def run(self) -> None:
        """Keep the wire open and serve the queue until cancelled. Several may run: one works, the others stand by."""
        self._runners += 1
        try:
            async with self._leader:
                await self._connect_for_ever()
        finally:
            self._runners -= 1
            if not self._runners:
                self._drop("stopped")
                self._up = None  # nobody watches any more; nothing to tell

    async def _ask(self, request: Request) -> Any:
        if not self._up:
            raise Unreachable(self._reason)
        if self.rest_s(request.unit) > 0:
            raise Unreachable("unit did not answer, resting")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        request.waiting.append(future)
        self._queue.add(request)
        self._wake.set()
        open_now = self._current
        if open_now is not None and self._queue.suspect(open_now) and not self._queue.suspect(request):
            self._break_off(open_now)
        return await future

    def _break_off(self, request: Request) -> None:
        if request.broken_off < BREAK_OFF_MAX and self._end_exchange():
            request.broken_off += 1

    def _end_exchange(self) -> bool:
        """Let the open exchange's deadline pass now. False where it ends already."""
        scope = self._scope
        if scope is None or scope.expired() or scope.when() == 0.0:
            return False
        scope.reschedule(0.0)
        return True

    async def _connect_for_ever(self) -> None:
        delay_s = RECONNECT_MIN_S
        while True:
            served = self.counts.exchanges
            client = open_client(self.wire, self._trace_packet, self._trace_connect)
            self._gone = ""
            try:
                if await self._open(client):
                    await self._serve(client)
            finally:
                client.close()
            if not self._gone:
                continue  # merely silent: opened afresh without telling anybody
            self._set_up(False, self._gone)
            if self.counts.exchanges > served:
                delay_s = RECONNECT_MIN_S
            await asyncio.sleep(delay_s * (1 - self._jitter() / 2))
            delay_s = min(RECONNECT_MAX_S, delay_s * 2)

    async def _open(self, client: Client) -> bool:
        try:
            if not await client.connect():
                self._gone = "cannot open"
        except (OSError, ValueError, termios.error, ModbusException) as error:
            self._gone = f"cannot open: {error}"
        _end_if_cancelled()
        if self._gone:
            return False
        plug = client.ctx.transport.get_extra_info("socket")
        if plug is not None:  # a lamp does not wait for a full segment
            plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.counts.opened += 1
        self._silent = 0
        self._set_up(True, "")
        return True

    async def _serve(self, client: Client) -> None:
        """Until the connection ends, or stays silent for so long that a fresh one is worth a try."""
        while not self._gone and self._silent < SILENT_MAX:
            request = self._queue.take(monotonic_s())
            if request is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._exchange(client, request)
            _end_if_cancelled()

    async def _exchange(self, client: Client, request: Request) -> None:
        unit, now_s = self._queue.unit(request.unit), monotonic_s()
        clash_until_s = unit.clash_until_s(request, now_s)
        if clash_until_s:
            self._hold(request, clash_until_s)
            return
        if not await self._silence():
            self._missed(request, Garbled("the line is never silent"))
            return
        self._current, self._noise = request, False
        request.first_sent_s = request.first_sent_s or monotonic_s()
        broken_off, answer = request.broken_off, None
        try:
            async with asyncio.timeout(request.deadline_s) as self._scope:
                answer = await client.execute(False, request.pdu)
        except TimeoutError:
            pass
        except (ModbusException, OSError) as error:
            self._gone = self._gone or str(error)
        except asyncio.CancelledError:
            request.settle(Unreachable("stopped"))
            raise
        finally:
            self._current = self._scope = None
            self._sent = b""
        if answer is not None:
            self._answered(request, answer)
        elif self._gone:
            request.settle(Unreachable(self._gone))
        else:
            self._unanswered(request, gave_way=request.broken_off > broken_off)

    def _answered(self, request: Request, answer: ModbusPDU) -> None:
        self.counts.exchanges += 1
        self._silent = 0
        if answer.isError():
            self.counts.refused += 1
            error = exception_error(answer.exception_code)
            if answer.exception_code in UNIT_IS_SILENT:
                self._missed(request, error)
                return
            request.settle(error)
        else:
            request.settle(answer)
        self._queue.unit(request.unit).answered(request, monotonic_s())

    def _unanswered(self, request: Request, *, gave_way: bool) -> None:
        if self.wire.rtu:
            self._queue.unit(request.unit).owed.append(Debt(request, monotonic_s() + self._pace.owed_s))
        if gave_way:
            self.counts.broken_off += 1
            self._hold(request, monotonic_s() + GIVE_WAY_S)
        else:
            self._silent = 0 if self._noise else self._silent + 1
            garbled = Garbled("answer is not the one asked for")
            self._missed(request, garbled if self._noise else Unreachable("no answer in time"))

    def _hold(self, request: Request, until_s: float) -> None:
        """In line again, but not to be sent before ``until_s``."""
        request.not_before_s = until_s
        self._queue.put_back(request)
        asyncio.get_running_loop().call_later(until_s - monotonic_s(), self._wake.set)

    def _missed(self, request: Request, error: DeviceError) -> None:
        """Count a miss; try again behind all others, or rest the unit and tell everyone who waits for it."""
        if isinstance(error, Garbled):
            self.counts.garbled += 1
        else:
            self.counts.timeouts += 1
        unit = self._queue.unit(request.unit)
        unit.misses += 1
        request.tries_left -= 1
        if unit.misses < TRIES and request.tries_left > 0:
            self._queue.put_back(request)
            return
        unit.rest(monotonic_s(), self._pace, self._jitter())
        request.settle(error)
        self._queue.drop(Unreachable("unit did not answer, resting"), request.unit)

    async def _silence(self) -> bool:
        """Wait for the gap between frames. False where the line does not fall silent."""
        for _ in range(GAP_TRIES):
            wait_s = self._quiet_from_s + self.wire.gap_s - monotonic_s()
            if wait_s <= 0:
                return True
            await asyncio.sleep(wait_s)
        return False

    def _trace_packet(self, sending: bool, data: bytes) -> bytes:
        """pymodbus shows every packet here before it acts on it: only a proven answer is let through."""
        now_s = monotonic_s()
        if sending:
            self._sent = data
            self._quiet_from_s = now_s + len(data) * self.wire.char_s
            return data
        self._quiet_from_s = max(now_s, self._quiet_from_s)
        answer = self._find(self._sent, data) if self._sent else b""
        if answer:
            self._sent = b""
        elif not self._late(data) and not self._noise:
            self._noise = True
            self.counts.strays += 1
        return answer

    def _late(self, data: bytes) -> bool:
        """True where ``data`` is an answer to a request that was given up; it pays what a unit owes."""
        if not self.wire.rtu:
            older = only_older(self._sent, data)
            self.counts.late += older
            return older
        for number, unit in self._queue.units.items():
            for debt in unit.owed:
                if find_rtu_answer(rtu_frame(number, debt.request.pdu_bytes), data):
                    unit.owed.remove(debt)
                    self.counts.late += 1
                    self._queue.recheck(number)
                    self._wake.set()
                    return True
        return False

    def _trace_connect(self, up: bool) -> None:
        if not up:
            self._gone = "connection lost"
            self._wake.set()
            self._end_exchange()

    def _set_up(self, up: bool, reason: str) -> None:
        self._reason = reason
        if up == self._up:
            return
        self._up = up
        if not up:
            self._drop(reason)
        for listener in list(self._listeners):
            listener(up, reason)

    def _drop(self, reason: str) -> None:
        self._reason = reason
        self._queue.units.clear()  # a new connection is a new chance, and nobody owes anything on it
        self._queue.drop(Unreachable(reason))


_buses: weakref.WeakValueDictionary[str, ModbusBus] = weakref.WeakValueDictionary()


def _end_if_cancelled() -> None:
    """pymodbus waits with ``wait_for``, which in Python 3.11 swallows a cancellation that comes with the outcome."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def bus(url: str) -> ModbusBus:
    """The one bus of this process on that wire. Raises ``ValueError`` where two devices disagree on its settings."""
    wire = parse_url(url)
    shared = _buses.get(wire.address)
    if shared is None:
        shared = _buses[wire.address] = ModbusBus(url)
    if shared.wire != wire:
        raise ValueError(f"{url!r}: the same wire is already used as {shared.url!r}")
    return shared
