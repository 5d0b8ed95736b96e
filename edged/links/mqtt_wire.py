"""The socket that paho gets: buffered both ways.

Rules: a burst costs one read and one write, not three reads and a write per packet; TCP_NODELAY from the first byte,
because paho sets none and Nagle would hold a lamp's command until the broker's delayed ACK (40 ms); TCP_QUICKACK after
every read, because mosquitto's default lets Nagle hold the next input until our delayed ACK.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress

READ_BYTES = 16_384  # one read: about 100 device messages, 5 ms of work at most before other handlers run
QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux only


class Wire:
    """What paho takes for its socket: buffered both ways, so that a burst costs two system calls and not hundreds."""

    def __init__(self, raw: socket.socket) -> None:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.raw = raw
        self._in = b""
        self._at = 0
        self._out = bytearray()

    def recv(self, size: int) -> bytes:
        """At most ``size`` bytes. Raises ``BlockingIOError`` where there is nothing yet."""
        if self._at >= len(self._in):
            self._in, self._at = self.raw.recv(READ_BYTES), 0
            if QUICKACK is not None:
                # Not sticky: the kernel falls back to delayed ACKs by itself (tcp(7)), so it is set after each read.
                self.raw.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
        start = self._at
        self._at = min(start + size, len(self._in))
        return self._in[start : self._at]

    def send(self, data: bytes | bytearray) -> int:
        """Take all of ``data``; it leaves with ``flush``. The cap is kept by whoever publishes."""
        self._out += data
        return len(data)

    def flush(self) -> bool:
        """Write what the kernel takes. True when everything is out. Raises ``OSError`` on a broken connection."""
        while self._out:
            try:
                sent = self.raw.send(self._out)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return False
            del self._out[:sent]
        return True

    def pending(self) -> int:
        """Bytes read from the kernel and not yet handed out."""
        inside = self.raw.pending() if isinstance(self.raw, ssl.SSLSocket) else 0
        return len(self._in) - self._at + inside

    @property
    def backlog_bytes(self) -> int:
        """Bytes that the kernel did not take yet."""
        return len(self._out)

    def close(self) -> None:
        """Last words out, as far as they go without waiting."""
        with suppress(OSError):
            self.flush()
        self.raw.close()

    def fileno(self) -> int:
        """The file descriptor, -1 once closed."""
        return self.raw.fileno()

    def setblocking(self, flag: bool) -> None:
        """Pass through to the socket."""
        self.raw.setblocking(flag)
