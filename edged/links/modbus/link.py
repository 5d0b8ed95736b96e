"""One Modbus bus shared by many units: one request at a time, lamps first; a unit that does not answer delays the
others as little as possible.

Rules:
1. An answer counts only if it can be the answer to nothing but the open request (``frames.fits``), because RTU has no
   transaction ids. pymodbus encodes the PDUs (``pdus``); its client would accept any frame with the right function.
2. A unit that did not answer in time may still answer: it *owes* an answer. It is not asked for 0.5 to 10 s, and a late
   answer is discarded. A different request to it whose answer would look the same waits until the late answer came or
   ``owed_s`` has passed.
3. Writes go before reads; a newer write to the same coil replaces one that waits. A unit that missed an answer is asked
   last, and waiting for it is given up as soon as a unit that answers is to be asked.
4. The bus reconnects for ever, with backoff and jitter. Callers get only ``DeviceError``s.
5. A TCP connection that the module closes while no answer is missing is no loss: many modules close an idle connection,
   some after each answer. It is opened again (at the next request if nothing was asked on it) and nothing is reported;
   a request that was cut off is sent once more. After two connections with one answer each, every request gets a
   connection of its own.
6. A module that answers "busy" is there: the same request is sent again a little later. Any exception answer proves
   that the module is there.
7. A request on an idle bus is written before the call returns, and the arrival of an answer writes the next request
   (no task switch and no turn of the event loop in between).

Deadlines are real seconds, also when hall time runs faster.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from edged.clock import monotonic_s
from edged.core.model.losses import OTHER, Loss
from edged.driver import DeviceError, Garbled, Unreachable
from edged.links.chance import chance
from edged.links.losses import loss_of
from edged.links.modbus import pdus
from edged.links.modbus.frames import (
    ACCEPTED,
    AGAIN_LATER,
    FAILED,
    LATE,
    MBAP,
    RTU_MIN,
    UNIT_IS_SILENT,
    answer_size,
    exception_error,
    find_rtu_answer,
    find_tcp_answer,
    misfit,
    only_older,
    rtu_frame,
    tcp_frame,
)
from edged.links.modbus.queue import TRIES, Debt, ModbusRequest, Pace, RequestQueue
from edged.links.modbus.wire import ModbusEnds, ModbusWire, open_wire, parse_url

DEADLINE_S = 0.2  # relay modules answer in 10-30 ms at 9600 baud; a hall notices a lamp after about 0.5 s
RECONNECT_MIN_S, RECONNECT_MAX_S = 0.5, 10.0  # pause before a wire is opened again, doubling
FAIR_S = 0.06  # of silence after a request, within which a working module begins to answer
BREAK_OFF_MAX = 50  # times that a request to a silent unit is cut short before FAIR_S; after that no more
GIVE_WAY_S = 0.2  # pause after a request was cut short, so that silent units do not use up a busy bus
GAP_TRIES = 25  # waits for silence before a request; after so many a unit babbles
SILENT_MAX = 6  # exchanges without one byte before the port is opened afresh (frozen adapter, half-open TCP)
HELD_MAX = 512  # bytes kept while an answer is incomplete: twice the longest frame
TRANSACTIONS = 65_535
REGISTERS, BLOCKS = 1 << 16, 2 << 16  # where the slots of register and of block writes begin
SINGLE_LIVES = 2  # connections in a row with one answer each: from then on each request gets its own
CLOSE_S = 5.0  # a kernel driver may wait for unsent bytes; the next open then fails and is tried again

OnState = Callable[[bool, Loss], None]
DEFAULT_PACE = Pace()
STOPPED = Loss(OTHER, "stopped")


@dataclass(slots=True)
class BusCounts:
    """Counters of one bus since the start of the process."""

    exchanges: int = 0
    timeouts: int = 0
    garbled: int = 0
    refused: int = 0
    late: int = 0
    strays: int = 0
    broken_off: int = 0
    opened: int = 0


class ModbusBus:
    """One bus: its connection and its queue of requests. Every driver on the bus awaits ``run``. One of these calls
    does the work; when it is cancelled, another takes over.
    """

    def __init__(self, url: str, pace: Pace = DEFAULT_PACE, jitter: Callable[[], float] = chance) -> None:
        """``url``: see ``wire.py``. Raises ``ValueError`` if it is invalid. ``jitter`` returns numbers in [0, 1)."""
        self.wire: ModbusWire = parse_url(url)
        self.url = url
        self.counts = BusCounts()
        self._jitter = jitter
        self._pace = pace
        self._find = find_rtu_answer if self.wire.rtu else find_tcp_answer
        self._queue = RequestQueue()
        self._listeners: list[OnState] = []
        self._leader = asyncio.Lock()
        self._runners = 0
        self._up: bool | None = None
        self._why = Loss(OTHER, "not connected yet")
        self._gone: Loss | None = None  # why the open connection ended
        self._transport: asyncio.Transport | None = None
        self._asked = asyncio.Event()  # something waits while the connection is closed
        self._idle = False  # closed while idle: opened again for the next request
        self._here = 0  # answers on the open connection
        self._single_lives = 0
        self._over = asyncio.Event()  # the open connection ended, or a fresh one is worth a try
        self._current: ModbusRequest | None = None  # the exchange on the wire
        self._deadline: asyncio.TimerHandle | None = None  # of that exchange
        self._sent = b""  # its frame, until answered
        self._held = b""  # bytes received since, not an answer yet
        self._transaction = 0
        self._noise = False  # bytes came that answer nothing
        self._odd = ""  # what is wrong with them, where that is known
        self._silent = 0
        self._quiet_from_s = 0.0
        self._gap: asyncio.TimerHandle | None = None  # waits for silence before a request
        self._gaps = 0

    @property
    def connected(self) -> bool:
        """True while the port or socket is open."""
        return bool(self._up)

    def on_state(self, callback: OnState) -> Callable[[], None]:
        """Call ``callback(up, why)`` once per change of the connection. Returns a function that ends this."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def rest_s(self, unit: int) -> float:
        """Seconds until ``unit`` may be asked again after it did not answer; 0 for a unit that answers."""
        known = self._queue.units.get(unit)
        return max(0.0, known.rest_until_s - monotonic_s()) if known else 0.0

    async def read_coils(
        self, unit: int, address: int, count: int, *, deadline_s: float = DEADLINE_S
    ) -> tuple[bool, ...]:
        """Read coils (FC01); returns ``count`` states from ``address`` on. Raises ``Unreachable`` without an answer in
        time, ``Garbled`` for an answer that does not fit, and for a Modbus exception the error of
        ``frames.exception_error``.
        """
        answer = await self._ask(ModbusRequest(unit, pdus.ask_coils(address, count), deadline_s))
        return pdus.coils(answer, count)

    async def read_inputs(
        self, unit: int, address: int, count: int, *, deadline_s: float = DEADLINE_S
    ) -> tuple[bool, ...]:
        """Read discrete inputs (FC02); otherwise like ``read_coils``."""
        answer = await self._ask(ModbusRequest(unit, pdus.ask_inputs(address, count), deadline_s))
        return pdus.coils(answer, count)

    async def read_registers(
        self, unit: int, address: int, count: int, *, deadline_s: float = DEADLINE_S
    ) -> tuple[int, ...]:
        """Read holding registers (FC03); returns ``count`` values (unsigned, 16 bits) from ``address`` on. Raises like
        ``read_coils``.
        """
        answer = await self._ask(ModbusRequest(unit, pdus.ask_registers(address, count), deadline_s))
        return pdus.registers(answer)

    async def read_input_registers(
        self, unit: int, address: int, count: int, *, deadline_s: float = DEADLINE_S
    ) -> tuple[int, ...]:
        """Read input registers (FC04); otherwise like ``read_registers``."""
        answer = await self._ask(ModbusRequest(unit, pdus.ask_input_registers(address, count), deadline_s))
        return pdus.registers(answer)

    def write_coil(
        self, unit: int, address: int, value: int, *, slot: int | None = None, deadline_s: float = DEADLINE_S
    ) -> asyncio.Future[bytes]:
        """Write a coil (FC05) with ``value`` unchanged (0xFF00 on, 0 off, or a value of the module's own). Await the
        result for the outcome.

        On an idle bus the request is written before this returns. Writes with the same ``slot`` (default: the address)
        belong to one lamp: the newest replaces those that wait, and all their callers get its outcome. Raises, at once
        or when awaited, the same errors as ``read_coils``.
        """
        place = (unit, address if slot is None else slot)
        return self._ask(ModbusRequest(unit, pdus.set_coil(address, value), deadline_s, place))

    def write_register(
        self, unit: int, address: int, value: int, *, slot: int | None = None, deadline_s: float = DEADLINE_S
    ) -> asyncio.Future[bytes]:
        """Write a holding register (FC06); otherwise like ``write_coil``."""
        place = (unit, REGISTERS + address if slot is None else slot)
        return self._ask(ModbusRequest(unit, pdus.set_register(address, value), deadline_s, place))

    def write_block(self, unit: int, pdu: bytes, *, deadline_s: float = DEADLINE_S) -> asyncio.Future[bytes]:
        """Send a PDU made by ``pdus`` (FC06, FC0F or FC10); otherwise like ``write_coil``, with the PDU's address as
        its slot.
        """
        place = (unit, BLOCKS + int.from_bytes(pdu[1:3], "big"))
        return self._ask(ModbusRequest(unit, pdu, deadline_s, place))

    async def run(self) -> None:
        """Keep the connection open and send the queued requests until cancelled. Of several calls only one works; the
        others wait, and one of them takes over when it is cancelled.
        """
        self._runners += 1
        try:
            async with self._leader:
                await self._connect_for_ever()
        finally:
            self._runners -= 1
            if not self._runners:
                self._drop(STOPPED)
                self._up = None  # no driver is left to be notified

    def _ask(self, request: ModbusRequest) -> asyncio.Future[bytes]:
        if not self._up:
            raise Unreachable(self._why.detail, self._why.word)
        if self.rest_s(request.unit) > 0:
            raise Unreachable("unit did not answer, resting")
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        request.waiting.append(future)
        self._queue.add(request)
        self._asked.set()
        open_now = self._current
        if open_now is None:
            self._pump()
        elif self._queue.suspect(open_now) and not self._queue.suspect(request):
            self._break_off(open_now)
        return future

    def _break_off(self, request: ModbusRequest) -> None:
        if monotonic_s() - self._quiet_from_s >= FAIR_S:
            self._unanswered(request)
        elif request.broken_off < BREAK_OFF_MAX:
            request.broken_off += 1
            self._unanswered(request, gave_way=True)

    # -- one connection after the other --

    async def _connect_for_ever(self) -> None:
        delay_s = RECONNECT_MIN_S
        while True:
            served = self.counts.exchanges
            self._gone = None
            self._idle = False
            self._over.clear()
            ends = ModbusEnds(self._received, self._ended)
            try:
                if await self._open(ends):
                    self._pump()
                    await self._over.wait()
            finally:
                await self._close(ends)
            if self._gone is None:  # silent, or closed while no answer was missing: reopened without a report
                if self._idle and not len(self._queue):
                    self._asked.clear()
                    await self._asked.wait()
                continue
            self._set_up(False, self._gone)
            if self.counts.exchanges > served:
                delay_s = RECONNECT_MIN_S
            await asyncio.sleep(delay_s * (1 - self._jitter() / 2))
            delay_s = min(RECONNECT_MAX_S, delay_s * 2)

    async def _open(self, ends: ModbusEnds) -> bool:
        try:
            self._transport = await open_wire(self.wire, ends)
        except (OSError, ValueError) as error:
            self._gone = Loss(loss_of(error).word, f"cannot open: {error or type(error).__name__}")
            return False
        self.counts.opened += 1
        self._silent = self._gaps = self._here = 0
        self._held = b""
        self._set_up(True, Loss(""))
        return True

    async def _close(self, ends: ModbusEnds) -> None:
        """Close the connection and wait until it is closed. The request on it fails."""
        request, transport = self._finish(), self._transport
        self._transport = None
        if self._gap is not None:
            self._gap.cancel()
            self._gap = None
        if request is not None:
            why = self._gone or STOPPED
            request.settle(Unreachable(why.detail, why.word))
        if transport is not None:
            transport.abort()
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await ends.closed.wait()

    def _ended(self, error: Exception | None) -> None:
        """Handle the end of the connection; ``error`` None: the other side closed it in order."""
        if self._transport is None or self._over.is_set():
            return
        request = self._current
        if self._answered_and_over(request, error):
            if request is not None:
                self._finish()
                request.again = True
                self._queue.put_back(request)
        elif request is None and error is None and self._over_network and self.counts.exchanges:
            self._idle = True  # a module that has answered before closed a connection without requests
        else:
            silent = (
                "connection lost" if request is None else "the module closed the connection without answering"
            )
            self._gone = loss_of(error) if error else Loss("closed", silent)
        self._over.set()

    def _answered_and_over(self, request: ModbusRequest | None, error: Exception | None) -> bool:
        """Whether the connection ended normally, as many modules close a connection when it is idle or after an answer.
        It did if it is a network connection that brought at least one answer, and either no request was open and no
        error occurred, or the open request was not repeated yet.

        Also counts the connections in a row that brought only one answer.
        """
        if not self._over_network or not self._here:
            return False
        self._single_lives = self._single_lives + 1 if self._here == 1 else 0
        return error is None if request is None else not request.again

    @property
    def _over_network(self) -> bool:
        return self.wire.kind != "rtu"

    # -- one exchange after the other --

    def _pump(self) -> None:
        """Send the next request, unless the bus is not connected or another request waits for its answer. If the line
        was not silent for ``gap_s`` yet, do so later.
        """
        while self._transport is not None and not (self._over.is_set() or self._current or self._gap):
            now_s = monotonic_s()
            wait_s = self._quiet_from_s + self.wire.gap_s - now_s
            if wait_s > 0 and self._gaps < GAP_TRIES:
                if len(self._queue):
                    self._gaps += 1
                    self._gap = asyncio.get_running_loop().call_later(wait_s, self._gap_over)
                return
            request = self._queue.take(now_s)
            if request is None:
                return
            self._gaps = 0
            clash_until_s = self._queue.unit(request.unit).clash_until_s(request, now_s)
            if clash_until_s:
                self._hold(request, clash_until_s)
            elif wait_s > 0:
                self._missed(request, Garbled("the line is never silent"))
            else:
                self._send(self._transport, request, now_s)

    def _gap_over(self) -> None:
        self._gap = None
        self._pump()

    def _send(self, transport: asyncio.Transport, request: ModbusRequest, now_s: float) -> None:
        if self.wire.rtu:
            frame = rtu_frame(request.unit, request.pdu)
        else:
            self._transaction = self._transaction % TRANSACTIONS + 1
            frame = tcp_frame(self._transaction, request.unit, request.pdu)
        self._current, self._sent, self._held, self._noise = request, frame, b"", False
        self._odd = ""
        request.first_sent_s = request.first_sent_s or now_s
        try:
            transport.write(frame)
        except Exception as error:  # noqa: BLE001 - whatever a wire's library raises, this connection is over
            self._ended(error)
        self._quiet_from_s = now_s + len(frame) * self.wire.char_s
        fair_s = self._quiet_from_s - now_s + FAIR_S
        answer_s = (
            len(frame) + answer_size(request.pdu) + RTU_MIN
        ) * self.wire.char_s  # of both on a serial line
        wait_s = request.deadline_s + answer_s if request.broken_off < BREAK_OFF_MAX else fair_s
        self._deadline = asyncio.get_running_loop().call_later(wait_s, self._unanswered, request)

    def _finish(self) -> ModbusRequest | None:
        """End the open request, answered or not, and return it; None if none is open."""
        request, self._current, self._sent = self._current, None, b""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        return request

    def _received(self, data: bytes) -> None:
        """Accept bytes only if they certainly answer the open request. All others are a late answer, an incomplete one,
        or noise.
        """
        self._quiet_from_s = max(monotonic_s(), self._quiet_from_s)
        self._held = (self._held + data)[-HELD_MAX:]
        answer = self._find(self._sent, self._held) if self._sent else b""
        if answer:
            request = self._finish()
            assert request is not None
            self._held = b""
            self._answered(request, answer[1:-2] if self.wire.rtu else answer[MBAP:])
        elif not self._late() and not self._noise:
            self._noise = True
            self.counts.strays += 1

    def _answered(self, request: ModbusRequest, pdu: bytes) -> None:
        self.counts.exchanges += 1
        self._here += 1
        self._silent = 0
        refused = pdu[0] & FAILED
        self.counts.refused += refused > 0
        if refused and pdu[1] in UNIT_IS_SILENT:
            self._missed(request, exception_error(pdu[1]))
        elif refused and pdu[1] in AGAIN_LATER:
            self._again_later(request, pdu[1])
        else:
            request.settle(exception_error(pdu[1]) if refused else pdu)
            self._queue.unit(request.unit).answered(request, monotonic_s())
        if self._single_lives >= SINGLE_LIVES:
            self._idle = True
            self._over.set()
        else:
            self._pump()

    def _again_later(self, request: ModbusRequest, code: int) -> None:
        """Handle a "busy" answer with exception code ``code``: repeat the request later, or fail it if it was first
        sent ``busy_max_s`` ago. A write for which the code says "accepted, still working" counts as done; its driver
        reads back whether it took effect.
        """
        now_s = monotonic_s()
        self._queue.unit(request.unit).answered(request, now_s)
        if code == ACCEPTED and request.slot is not None:
            request.settle(request.pdu[:5])
        elif now_s - request.first_sent_s < self._pace.busy_max_s:
            self._hold(request, now_s + self._pace.busy_s)
        else:
            busy = exception_error(code)
            request.settle(Unreachable(f"{busy}, for {self._pace.busy_max_s:g} s", busy.word))

    def _unanswered(self, request: ModbusRequest, gave_way: bool = False) -> None:
        """Give up waiting for the answer to ``request``: its deadline passed, or a unit that answers is to be asked
        (``gave_way``).
        """
        self._odd = self._odd or misfit(self._sent, self._held, self.wire.rtu)
        self._finish()
        if self.wire.rtu:
            self._queue.unit(request.unit).owed.append(Debt(request, monotonic_s() + self._pace.owed_s))
        if gave_way:
            self.counts.broken_off += 1
            self._hold(request, monotonic_s() + GIVE_WAY_S)
        else:
            self._silent = 0 if self._noise else self._silent + 1
            garbled = Garbled(self._odd or "answer is not the one asked for")
            silent = Unreachable(self._odd or "no answer in time")
            self._missed(request, garbled if self._noise else silent)
        if self._silent >= SILENT_MAX:
            self._over.set()  # a frozen adapter, a half-open connection: a fresh one is worth a try
        else:
            self._pump()

    def _hold(self, request: ModbusRequest, until_s: float) -> None:
        """Put a request back into the queue, not to be sent before ``until_s``."""
        request.not_before_s = until_s
        self._queue.put_back(request)
        asyncio.get_running_loop().call_later(until_s - monotonic_s(), self._pump)

    def _missed(self, request: ModbusRequest, error: DeviceError) -> None:
        """Count a missing or garbled answer. After the first one the request is tried once more, when no request for a
        unit that answers is waiting. After ``TRIES`` in a row the unit is left alone for a while, and all requests for
        it fail.
        """
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
        self._queue.drop(Unreachable("unit did not answer, resting", error.word), request.unit)

    def _late(self) -> bool:
        """Whether the received bytes are a late answer to a request given up earlier; if so, no further late answer to
        it is expected.
        """
        if not self.wire.rtu:
            older = only_older(self._sent, self._held)
            if older:
                self._odd = misfit(self._sent, self._held, rtu=False)
                self._held = b""
            self.counts.late += older
            return older
        for number, unit in self._queue.units.items():
            for debt in unit.owed:
                frame = find_rtu_answer(rtu_frame(number, debt.request.pdu), self._held)
                if frame:
                    self._held = self._held[self._held.index(frame) + len(frame) :]
                    unit.owed.remove(debt)
                    self.counts.late += 1
                    if self._current is not None and self._current.unit == number:
                        self._odd = LATE
                    self._queue.recheck(number)
                    self._pump()
                    return True
        return False

    def _set_up(self, up: bool, why: Loss) -> None:
        same = up == self._up and (up or why.word == self._why.word)
        self._why = why
        if same:
            return
        self._up = up
        self._single_lives = 0
        if not up:
            self._drop(why)
        for listener in list(self._listeners):
            listener(up, why)

    def _drop(self, why: Loss) -> None:
        self._why = why
        self._queue.units.clear()  # no late answers can come on a new connection
        self._queue.drop(Unreachable(why.detail, why.word))


_buses: weakref.WeakValueDictionary[str, ModbusBus] = weakref.WeakValueDictionary()


def bus(url: str) -> ModbusBus:
    """The bus for ``url``, shared by all devices of this process on it. Raises ``ValueError`` if two devices give
    different settings for the same port.
    """
    wire = parse_url(url)
    shared = _buses.get(wire.address)
    if shared is None:
        shared = _buses[wire.address] = ModbusBus(url)
    if shared.wire != wire:
        raise ValueError(f"{url!r}: the same wire is already used as {shared.url!r}")
    return shared
