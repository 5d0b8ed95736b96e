"""An event loop whose time is virtual: when nobody has anything to do, it is the time of the next timer.

It has no file descriptors and no threads, so nothing real can slip in: what would open a socket finds memory wires
between the ports of this loop, what would use a thread runs at once. Time starts at 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

PORT_FIRST = 20_000  # of servers that ask for any port
TICK_S = 1e-5  # what a real loop needs for a turn
PAIRS_MAX = 1_000  # connections that a world remembers, to cut them


class Standstill(Exception):
    """Everybody waits and no timer runs."""


class VirtualLoop(asyncio.BaseEventLoop):
    """``wrong`` collects what nobody caught. ``jump`` lets time pass without anybody noticing it go by."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._clock_resolution = 1e-9
        self._selector = self
        self.wrong: list[str] = []
        self.servers: dict[int, MemoryServer] = {}
        self.set_exception_handler(self._nobody_caught)

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_s

    @property
    def now_s(self) -> float:
        """Virtual seconds, also once the loop is closed."""
        return self._now_s

    def jump(self, seconds: float) -> None:
        """As if the whole machine had stood still."""
        self._now_s += seconds

    def select(self, timeout: float | None) -> tuple[()]:
        """Instead of a selector's: nothing ever comes from outside."""
        if timeout is None:
            raise Standstill("everybody waits and no timer runs")
        self._now_s += timeout
        return ()

    def call_at(  # type: ignore[override]  # the stub's generic arguments say no more
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """As every loop's; but time goes on at least ``TICK_S``, or who sleeps 1e-12 s would do so for ever."""
        return super().call_at(max(when, self._now_s + TICK_S), callback, *args, context=context)

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""

    def _nobody_caught(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.wrong.append(f"{context['message']}: {type(error).__name__}: {error}")

    # -- memory instead of the network --

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        """Listen on a port of this loop."""
        number = port or PORT_FIRST + len(self.servers)
        server = self.servers[number] = MemoryServer(self, protocol_factory, number)
        return server

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any
    ) -> Any:
        """Connect to a port of this loop. Raises ``ConnectionRefusedError``."""
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
    """A listening port. ``refuses``: nobody gets through; ``hang_up``: whoever did is thrown out."""

    def __init__(self, loop: VirtualLoop, factory: Callable[[], Any], port: int) -> None:
        self._loop = loop
        self.factory = factory
        self.port = port
        self.refuses = False
        self.pairs: list[MemoryTransport] = []
        self.sockets = [self]

    def getsockname(self) -> tuple[str, int]:
        """As of a socket."""
        return "127.0.0.1", self.port

    def hang_up(self) -> None:
        """Cut every connection."""
        for pair in self.pairs:
            pair.abort()

    def close(self) -> None:
        """Listen no more."""
        self._loop.servers.pop(self.port, None)

    async def start_serving(self) -> None:
        """It serves already."""


class MemoryTransport(asyncio.Transport):
    """One end of a connection inside the loop; bytes arrive in the next turn, in order."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._closing = False
        self.other: MemoryTransport = self
        self.protocol: Any = None

    def write(self, data: Any) -> None:
        """Send."""
        if not self._closing:
            self._loop.call_soon(self.other._arrive, bytes(data))

    def _arrive(self, data: bytes) -> None:
        if not self._closing:
            self.protocol.data_received(data)

    def is_closing(self) -> bool:
        """Closed, or about to be."""
        return self._closing

    def close(self) -> None:
        """Both ends hear of it in the next turn."""
        for end in (self, self.other):
            if not end._closing:
                end._closing = True
                self._loop.call_soon(end.protocol.connection_lost, None)

    def abort(self) -> None:
        """As ``close``: nothing is ever unsent."""
        self.close()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Nothing is known."""
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0

    def pause_reading(self) -> None:
        """Readers keep up."""

    def resume_reading(self) -> None:
        """Readers keep up."""

    def can_write_eof(self) -> bool:
        """Nobody needs it."""
        return False
