"""An event loop with virtual time: when no task can run, time jumps to the next timer.

It has no file descriptors and no threads, so nothing outside can influence it: sockets become connections in memory
between the ports of this loop, and work for threads runs immediately. Time starts at 0.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from heapq import heappop, heappush
from typing import Any

PORT_FIRST = 20_000  # first port for servers that ask for port 0
SOON_MAX = 1_000_000  # callbacks in one turn
TICK_S = 1e-5  # about the time that a turn takes on a real loop
PAIRS_MAX = 1_000  # connections remembered, in order to cut them


class Standstill(Exception):
    """All tasks wait and no timer is set: a deadlock."""


class Due:
    """A callback and when to call it, like asyncio's TimerHandle."""

    __slots__ = ("__weakref__", "_args", "_call", "_context", "_when")

    def __init__(self, when: float, call: Any, args: tuple[Any, ...], context: Any) -> None:
        self._when = when
        self._call = call
        self._args = args
        self._context = copy_context() if context is None else context

    def when(self) -> float:
        """The virtual time of the call, in seconds."""
        return self._when

    def cancelled(self) -> bool:
        """Whether the callback was cancelled."""
        return self._call is None

    def cancel(self) -> None:
        """Cancel the callback."""
        self._call, self._args = None, ()

    def run(self, loop: VirtualLoop) -> None:
        """Call the callback; an exception goes to the loop's exception handler."""
        try:
            self._context.run(self._call, *self._args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 (as every loop does)
            loop.call_exception_handler({"message": f"in {self._call!r:.80}", "exception": error})


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop in virtual time. ``wrong``: exceptions that nobody caught, as text; ``servers``: listening ports,
    by port number.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._due: list[tuple[float, int, Due]] = []  # a heap; the second keeps the order of equal times
        self._soon: deque[Due] = deque()
        self._count = 0
        self.wrong: list[str] = []
        self.servers: dict[int, MemoryServer] = {}
        self.set_exception_handler(self._nobody_caught)

    def time(self) -> float:
        """Virtual time in seconds since the loop was made."""
        return self._now_s

    @property
    def now_s(self) -> float:
        """Virtual time in seconds since the loop was made; also after it was closed."""
        return self._now_s

    def jump(self, seconds: float) -> None:
        """Advance the time without running timers, as if the whole machine had been frozen."""
        self._now_s += seconds

    # Faster than asyncio's own: no comparing of handles, no select, no debug checks in each turn.

    def call_soon(  # type: ignore[override]  # a handle of our own
        self, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        """Call ``callback`` in the next turn of the loop; returns the handle. As in asyncio, but faster."""
        due = Due(self._now_s, callback, args, context)
        self._soon.append(due)
        return due

    def call_soon_threadsafe(  # type: ignore[override]  # a handle of our own
        self, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        """See asyncio; the same as ``call_soon``, because there are no threads."""
        return self.call_soon(callback, *args, context=context)

    def call_later(  # type: ignore[override]  # a handle of our own
        self, delay: float, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        """Call ``callback`` after ``delay`` virtual seconds; returns the handle, as in asyncio."""
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # a handle of our own
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        """Call ``callback`` at the virtual time ``when`` (seconds); returns the handle, as in asyncio. The call is at
        least ``TICK_S`` from now: otherwise a task that sleeps for 1e-12 s in a loop would stop the time.
        """
        due = Due(max(when, self._now_s + TICK_S), callback, args, context)
        self._count += 1
        heappush(self._due, (due.when(), self._count, due))
        return due

    def _run_once(self) -> None:
        soon, heap = self._soon, self._due
        if not soon:
            while heap and heap[0][2].cancelled():
                heappop(heap)
            if not heap:
                raise Standstill("everybody waits and no timer runs")
            self._now_s = max(self._now_s, heap[0][0])
        while heap and heap[0][0] <= self._now_s:
            soon.append(heappop(heap)[2])
        assert len(self._soon) <= SOON_MAX, "a turn of the loop makes more work than it does"
        for _ in range(len(soon)):
            due = soon.popleft()
            if not due.cancelled():
                due.run(self)

    def _process_events(self, event_list: Any) -> None:
        """No-op: there are no file descriptors."""

    def _write_to_self(self) -> None:
        """No-op: there is no selector to wake up."""

    def _nobody_caught(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.wrong.append(f"{context['message']}: {type(error).__name__}: {error}")

    # -- memory instead of the network --

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        """Listen on a port of this loop (0 or None: any); returns the server."""
        number = port or PORT_FIRST + len(self.servers)
        server = self.servers[number] = MemoryServer(self, protocol_factory, number)
        return server

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any
    ) -> Any:
        """Connect to a port of this loop. Raises ``ConnectionRefusedError`` if nobody listens there."""
        await asyncio.sleep(0)
        server = self.servers.get(port)
        if server is None or server.refuses:
            raise ConnectionRefusedError(111, "Connection refused")
        here, there = MemoryTransport(self), MemoryTransport(self)
        here.other, there.other = there, here
        here.protocol, there.protocol = protocol_factory(), server.factory()
        server.pairs = [*[pair for pair in server.pairs if not pair.is_closing()][-PAIRS_MAX:], there]
        there.protocol.connection_made(there)
        here.protocol.connection_made(here)
        return here, here.protocol


class MemoryServer:
    """A listening port of the loop. ``refuses``: it refuses new connections, as a device without power does."""

    def __init__(self, loop: VirtualLoop, factory: Callable[[], Any], port: int) -> None:
        self._loop = loop
        self.factory = factory
        self.port = port
        self.refuses = False
        self.pairs: list[MemoryTransport] = []
        self.sockets = [self]

    def getsockname(self) -> tuple[str, int]:
        """Host and port, as a socket would return them."""
        return "127.0.0.1", self.port

    def hang_up(self) -> None:
        """Cut every connection that clients have to this server."""
        for pair in self.pairs:
            pair.abort()

    def close(self) -> None:
        """Stop listening on the port; existing connections go on."""
        self._loop.servers.pop(self.port, None)

    async def start_serving(self) -> None:
        """No-op: the server accepts connections from its creation on."""


class MemoryTransport(asyncio.Transport):
    """One end of a connection inside the loop; bytes arrive in the next turn of the loop, in order."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._closing = False
        self.other: MemoryTransport = self
        self.protocol: Any = None

    def write(self, data: Any) -> None:
        """Send ``data`` to the other end."""
        if not self._closing:
            self._loop.call_soon(self.other._arrive, bytes(data))

    def _arrive(self, data: bytes) -> None:
        if not self._closing:
            self.protocol.data_received(data)

    def is_closing(self) -> bool:
        """Whether the connection is closed or being closed."""
        return self._closing

    def close(self) -> None:
        """Close the connection; both protocols learn of it in the next turn of the loop."""
        for end in (self, self.other):
            if not end._closing:
                end._closing = True
                self._loop.call_soon(end.protocol.connection_lost, None)

    def abort(self) -> None:
        """Close the connection as ``close`` does: there is never unsent data to drop."""
        self.close()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Always ``default``."""
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """No-op: there is no buffer."""

    def get_write_buffer_size(self) -> int:
        """Always 0: there is no buffer."""
        return 0

    def pause_reading(self) -> None:
        """No-op: received bytes are always delivered immediately."""

    def resume_reading(self) -> None:
        """No-op, as ``pause_reading``."""

    def can_write_eof(self) -> bool:
        """Always False: these connections cannot close one direction alone."""
        return False
