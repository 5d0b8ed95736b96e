"""UDP datagrams to and from one address (LED cards): each ``write`` sends one datagram, and each received one is passed
on whole.

Rules: those of ``reopening.py``. UDP has no connection, so this is up as soon as its socket is open; after an ICMP
"port unreachable" it is down until the next try. Datagrams of other senders are not received.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from edged.links.chance import chance
from edged.links.losses import loss_of
from edged.links.reopening import ByteEnds, Reopening


class UdpLink(Reopening[asyncio.Transport]):
    """Datagrams to ``host:port`` from a free local port, to which the answers come."""

    def __init__(self, host: str, port: int, jitter: Callable[[], float] = chance) -> None:
        super().__init__(f"{host}:{port}/udp", jitter)
        self._address = (host, port)

    async def _open(self, ends: ByteEnds) -> asyncio.Transport:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Ends(ends), remote_addr=self._address)
        return _Datagrams(transport)


class _Ends(asyncio.DatagramProtocol):
    def __init__(self, ends: ByteEnds) -> None:
        self._ends = ends

    def datagram_received(self, data: bytes, _address: object) -> None:
        self._ends.data_received(data)

    def error_received(self, error: Exception) -> None:
        self._ends.end(loss_of(error))

    def connection_lost(self, error: Exception | None) -> None:
        self._ends.connection_lost(error)

    def pause_writing(self) -> None:
        self._ends.pause_writing()

    def resume_writing(self) -> None:
        self._ends.resume_writing()


class _Datagrams(asyncio.Transport):
    """The part of an asyncio transport that ``Reopening`` uses, over a datagram transport."""

    def __init__(self, transport: asyncio.DatagramTransport) -> None:
        super().__init__()
        self._transport = transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._transport.sendto(data)

    def abort(self) -> None:
        self._transport.abort()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        cast(asyncio.Transport, self._transport).set_write_buffer_limits(high=high, low=low)
