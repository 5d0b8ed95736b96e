"""A byte stream over TCP (serial servers, LED cards with a network port) or over a Unix socket.

Rules: those of ``reopening.py``.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from edged.links.chance import chance
from edged.links.reopening import ByteEnds, Reopening


class TcpByteLink(Reopening[asyncio.Transport]):
    """One connection to ``host:port``, with TCP_NODELAY."""

    def __init__(self, host: str, port: int, jitter: Callable[[], float] = chance) -> None:
        super().__init__(f"{host}:{port}", jitter)
        self._address = (host, port)

    async def _open(self, ends: ByteEnds) -> asyncio.Transport:
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: ends, *self._address)
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return transport


class UnixByteLink(Reopening[asyncio.Transport]):
    """One connection to the Unix socket at ``path`` of another process on this machine."""

    def __init__(self, path: str, jitter: Callable[[], float] = chance) -> None:
        super().__init__(path, jitter)
        self._path = path

    async def _open(self, ends: ByteEnds) -> asyncio.Transport:
        transport, _ = await asyncio.get_running_loop().create_unix_connection(lambda: ends, self._path)
        return transport
