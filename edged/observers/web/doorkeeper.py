"""Limits HTTP connections in number and duration, so that slow clients cannot use up the file descriptors that serial
ports and the journal need.

Every connection has a deadline: first for the request's head, then for the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

CONNECTIONS_MAX = 16  # a scraper, a health probe, some browsers; the rest of LimitNOFILE=1024 is the hall's
HEAD_TIMEOUT_S = 5.0  # a head comes in one packet on a LAN
ANSWER_TIMEOUT_S = 30.0  # a client that has not read its answer by then is disconnected


class Doorkeeper:
    """Counts connections and ends those over the cap or past their deadline."""

    def __init__(self, refused: Callable[[str], None], head_timeout_s: float = HEAD_TIMEOUT_S) -> None:
        """``refused(reason)`` is called for every connection ended early: "http-full" or "http-slow"."""
        self._refused = refused
        self._head_timeout_s = head_timeout_s
        self._deadlines: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}

    @property
    def open(self) -> int:
        """How many connections are open now."""
        return len(self._deadlines)

    def guard(self, inner: asyncio.Protocol) -> asyncio.Protocol:
        """Wrap ``inner`` in a protocol that enforces the limits."""
        return _Guarded(self, inner)

    def request_came(self, transport: asyncio.BaseTransport | None) -> None:
        """Replace the connection's deadline by the one for the answer, because the head of its request is complete."""
        if transport in self._deadlines:
            self._arm(transport, ANSWER_TIMEOUT_S)

    def enter(self, transport: asyncio.BaseTransport) -> bool:
        """Count a new connection; False if there are too many."""
        if len(self._deadlines) >= CONNECTIONS_MAX:
            self._refused("http-full")
            return False
        self._arm(transport, self._head_timeout_s)
        return True

    def leave(self, transport: asyncio.BaseTransport) -> None:
        """Record that the connection of ``transport`` ended."""
        timer = self._deadlines.pop(transport, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """End every connection."""
        for transport in list(self._deadlines):
            transport.close()

    def _arm(self, transport: asyncio.BaseTransport, seconds: float) -> None:
        self.leave(transport)
        loop = asyncio.get_running_loop()
        self._deadlines[transport] = loop.call_later(seconds, self._expire, transport)

    def _expire(self, transport: asyncio.BaseTransport) -> None:
        self._refused("http-slow")
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()  # close() would wait until the client reads


class _Guarded(asyncio.Protocol):
    """The protocol of one connection: passes every call on to ``inner``, or aborts the connection at once if there are
    too many.
    """

    def __init__(self, keeper: Doorkeeper, inner: asyncio.Protocol) -> None:
        self._keeper = keeper
        self._inner = inner
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._keeper.enter(transport):
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
            return
        self._transport = transport
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._transport is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._keeper.leave(self._transport)
            self._inner.connection_lost(exc)
