"""A byte stream that is reopened for ever: the common part of serial ports, TCP and UDP connections, and keypads.
Rules:

1. ``on_state`` is called once per change. A failed try to reopen is reported only if its reason is of another kind than
   the one reported last.
2. The old connection is closed before a new one is opened (an open file descriptor keeps its device name taken).
3. It never gives up: the pause before the next try grows up to a limit, with jitter.
4. Received bytes are passed on immediately; nothing is discarded when the connection opens.
5. A connection that accepts no bytes for ``WRITE_S`` is closed, so that unsent bytes are not delivered minutes later.
6. If a connection ends without an event, a check every ``POLL_S`` notices it (``_vanished``). If a device is silent,
   only its driver knows whether that is a fault; it then calls ``reopen``.

Times are real seconds.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

import serialx

from edged.clock import monotonic_s
from edged.core.model.losses import OTHER, Loss
from edged.driver import Refused, Unreachable
from edged.links.chance import chance
from edged.links.losses import loss_of

OPEN_S = 3.0  # a tty opens in milliseconds, a LAN connection in tens; more is a hung driver
CLOSE_S = 5.0  # a kernel driver may wait for unsent bytes; the next open then fails and is tried again
WRITE_S = 2.0  # 2 s at 9600 baud are 1,900 bytes, more than any frame plus the kernel's fifo
POLL_S = 0.5  # two looks find a vanished port within 1 s, which leaves 2 s to open it again
VANISHED_POLLS = 2  # udev may re-create a link while we look
PAUSE_MIN_S = 0.1
PAUSE_MAX_S = 2.0  # a port plugged in again is open within 3 s
STABLE_S = 5.0  # a connection that lived this long was a good one: the next pause is short again
WRITE_BYTES_MAX = 16 * 1024  # one frame; the largest in a hall is under 1 KiB

OnBytes = Callable[[bytes], None]
OnState = Callable[[bool, Loss], None]
TransportT = TypeVar("TransportT", bound=asyncio.Transport)


class ByteEnds(asyncio.Protocol):
    """The asyncio protocol of one connection. ``on_bytes`` gets received bytes; ``ended`` resolves to the reason of its
    end.
    """

    def __init__(self, on_bytes: OnBytes) -> None:
        loop = asyncio.get_running_loop()
        self._on_bytes = on_bytes
        self.ended: asyncio.Future[Loss] = loop.create_future()
        self.closed = asyncio.Event()
        self._clear = asyncio.Event()  # nothing waits to be sent
        self._clear.set()

    def data_received(self, data: bytes) -> None:
        self._on_bytes(data)

    def pause_writing(self) -> None:
        self._clear.clear()

    def resume_writing(self) -> None:
        self._clear.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(Loss("closed", "closed by the other side") if exc is None else loss_of(exc))
        self.closed.set()
        self._clear.set()

    def end(self, why: Loss) -> None:
        """Resolve ``ended`` with a reason; only the first one counts."""
        if not self.ended.done():
            self.ended.set_result(why)

    async def drained(self) -> None:
        """Wait until the operating system has accepted every byte, or the connection has ended."""
        await self._clear.wait()


class Reopening(ABC, Generic[TransportT]):
    """A ``ByteLink`` over asyncio transports. ``place``: its name in logs. ``jitter`` returns random numbers in [0, 1),
    by which the pauses between attempts vary."""

    def __init__(self, place: str, jitter: Callable[[], float] = chance) -> None:
        self.place = place
        self.opened = 0  # times it came up, for metrics and tests
        self._jitter = jitter
        self._turn = asyncio.Lock()
        self._on_state: OnState = _nobody
        self._up: bool | None = None
        self._why = Loss(OTHER, "not opened yet")
        self._transport: TransportT | None = None
        self._ends: ByteEnds | None = None

    @abstractmethod
    async def _open(self, ends: ByteEnds) -> TransportT:
        """Try to open a connection. Raises ``OSError``, ``ValueError`` or an error of serialx if that fails; nothing is
        open then.
        """

    def _vanished(self) -> str:
        """Why the open connection cannot work any longer (such as: its port is gone), "" if it can. Called every
        ``POLL_S``.
        """
        return ""

    def _discard(self, transport: TransportT) -> None:  # most wires keep nothing back
        """Drop bytes that the operating system has not sent yet. Most connections have none."""

    @property
    def connected(self) -> bool:
        """Whether the connection is open."""
        return bool(self._up)

    async def run(self, on_bytes: OnBytes, on_state: OnState) -> None:
        """Keep the connection open until cancelled, and reopen it whenever it ends. Must not run twice at the same
        time.
        """
        self._on_state = on_state
        self._up = None
        shorts = 0
        try:
            while True:
                lived_s = await self._live(on_bytes)
                shorts = 1 if lived_s >= STABLE_S else min(shorts + 1, 16)
                pause_s = min(PAUSE_MAX_S, PAUSE_MIN_S * 2 ** (shorts - 1))
                await asyncio.sleep(pause_s * (1 - self._jitter() / 2))
        finally:
            self._up, self._why = None, Loss(OTHER, "stopped")

    async def write(self, data: bytes) -> None:
        """Send all of ``data`` and wait until the operating system has it. Raises ``Unreachable`` while the connection
        is down, ``Refused`` for more than ``WRITE_BYTES_MAX``.
        """
        if len(data) > WRITE_BYTES_MAX:
            raise Refused(f"{len(data)} bytes are no frame")
        async with self._turn:
            transport, ends = self._transport, self._ends
            if transport is None or ends is None:
                raise _unreachable(self._why)
            if ends.ended.done():  # given up, and not reported yet
                raise _unreachable(ends.ended.result())
            try:
                transport.write(data)
                async with asyncio.timeout(WRITE_S):
                    await ends.drained()
            except TimeoutError:
                self.reopen(Loss("takes-nothing", "takes no bytes"))
            except (OSError, serialx.SerialException) as error:
                ends.end(loss_of(error))
            if ends.ended.done():
                raise _unreachable(ends.ended.result())

    def reopen(self, why: Loss) -> None:
        """End the connection because of ``why``; ``run`` opens it again."""
        if self._ends is not None and not self._ends.ended.done():
            assert self._transport is not None
            self._discard(self._transport)
            self._ends.end(why)

    async def _live(self, on_bytes: OnBytes) -> float:
        """Open a connection and keep it until it ends; returns how many seconds it lasted (0 if it could not be
        opened).
        """
        ends = ByteEnds(on_bytes)
        try:
            async with asyncio.timeout(OPEN_S):
                transport = await self._open(ends)
        except TimeoutError:
            self._set(False, Loss("no-answer", "does not open"))
            return 0.0
        except (OSError, ValueError, serialx.SerialException) as error:
            self._set(False, loss_of(error))
            return 0.0
        transport.set_write_buffer_limits(high=0)  # so that drained() means: the kernel has it
        opened_s = monotonic_s()
        try:
            self._transport, self._ends = transport, ends
            self.opened += 1
            self._set(True, Loss("", "open"))
            why = await self._watch(ends)
        finally:
            self._transport = self._ends = None
            transport.abort()
            await _wait(ends.closed, CLOSE_S)
        self._set(False, why)
        return monotonic_s() - opened_s

    async def _watch(self, ends: ByteEnds) -> Loss:
        missed = 0
        while True:
            await asyncio.wait({ends.ended}, timeout=POLL_S)
            if ends.ended.done():
                return ends.ended.result()
            reason = self._vanished()
            missed = missed + 1 if reason else 0
            if missed >= VANISHED_POLLS:
                return Loss("port-missing", reason)

    def _set(self, up: bool, why: Loss) -> None:
        changed = up is not self._up or (not up and why.word != self._why.word)
        self._up, self._why = up, why
        if changed:
            self._on_state(up, why)


def _unreachable(why: Loss) -> Unreachable:
    return Unreachable(why.detail, why.word)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass


def _nobody(_up: bool, _why: Loss) -> None:
    """The ``on_state`` callback before ``run`` sets one: no-op."""
