"""A wire of datagrams to one address (LED cards): what ``write`` is given leaves as one, each is handed on whole.

Rules: those of ``reopening.py``. Nothing connects, so the wire is up as soon as its socket is there; where the other
host says that nobody listens, it is down until the next try. Datagrams of other senders do not arrive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from edged.links.chance import chance
from edged.links.losses import loss_of
from edged.links.reopening import ByteEnds, Reopening


class UdpLink(Reopening[asyncio.Transport]):
    """Datagrams to ``host:port``, from a free port of ours that answers come back to."""

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
    """The part of a stream's transport that ``Reopening`` uses."""

    def __init__(self, transport: asyncio.DatagramTransport) -> None:
        super().__init__()
        self._transport = transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._transport.sendto(data)

    def abort(self) -> None:
        self._transport.abort()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        cast(asyncio.Transport, self._transport).set_write_buffer_limits(high=high, low=low)
