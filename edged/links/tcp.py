"""A byte wire over TCP: serial servers and LED cards with a network port. Rules: those of ``reopening.py``."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from edged.links.chance import chance
from edged.links.reopening import ByteEnds, Reopening


class TcpByteLink(Reopening[asyncio.Transport]):
    """One connection to ``host:port``, without Nagle's delay."""

    def __init__(self, host: str, port: int, jitter: Callable[[], float] = chance) -> None:
        super().__init__(f"{host}:{port}", jitter)
        self._address = (host, port)

    async def _open(self, ends: ByteEnds) -> asyncio.Transport:
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: ends, *self._address)
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return transport
