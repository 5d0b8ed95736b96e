"""The socket that paho uses, with buffers in both directions, cut into packets.

Rules: a burst costs one read and one write. TCP_NODELAY is set from the beginning: paho does not, and Nagle's algorithm
would hold a lamp's command until the broker's delayed ACK (40 ms). TCP_QUICKACK is set after every read, because
mosquitto by default leaves Nagle's algorithm on, which holds the next input until our delayed ACK.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress

from edged.links.mqtt.packets import packet_end

READ_BYTES = 16_384  # one read: about 100 device messages, 5 ms of work at most before other handlers run
QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux only
WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class MqttWire:
    """Replaces paho's socket. ``take`` returns the whole packets received so far; ``lend`` hands one of them to paho,
    whose next ``recv`` reads it.
    """

    def __init__(self, raw: socket.socket, limit_bytes: int) -> None:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.raw = raw
        self.ended = False  # nothing more will come: the broker closed, or the connection broke
        self.fault: OSError | None = None  # what broke it, where that is known
        self._limit_bytes = limit_bytes
        self._tls = isinstance(raw, ssl.SSLSocket)
        self._drained = False
        self._in = b""
        self._start = self._at = 0
        self._lent = b""
        self._out = bytearray()

    def fill(self) -> bool:
        """Read from the socket once. False if nothing has arrived; at the end of the stream ``ended`` becomes True."""
        if self._drained:
            self._drained = False
            return False
        try:
            data = self.raw.recv(READ_BYTES)
        except WAIT:
            return False
        except OSError as error:
            data, self.fault = b"", error
        self.ended = not data
        # A short read emptied the kernel's buffer, so asking again would say so; TLS keeps a buffer of its own.
        self._drained = 0 < len(data) < READ_BYTES and not self._tls
        self._in = self._in[self._at :] + data if self._at < len(self._in) else data
        self._at = 0
        return True

    def acknowledge(self) -> None:
        """Send the TCP ACK now, so that the other side's Nagle algorithm does not wait 40 ms for it.

        To be called after each read: the kernel falls back to delayed ACKs by itself (tcp(7)).
        """
        if QUICKACK is not None:
            with suppress(OSError):  # closed meanwhile
                self.raw.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)

    def take(self) -> tuple[int, bytes] | None:
        """First byte and body of the next complete packet; None if there is none. Raises ``ValueError`` for a malformed
        one.
        """
        if self._at == len(self._in):
            return None
        bounds = packet_end(self._in, self._at, self._limit_bytes)
        if bounds is None or bounds[1] > len(self._in):
            return None
        self._start, self._at = self._at, bounds[1]
        return self._in[self._start], self._in[bounds[0] : bounds[1]]

    def lend(self) -> None:
        """Pass the packet that ``take`` returned last on to paho's next ``recv`` calls."""
        self._lent = self._in[self._start : self._at]

    def recv(self, size: int) -> bytes:
        """At most ``size`` bytes of the packet that was passed on. If there are none, returns b"" at the end of the
        stream, and raises ``BlockingIOError`` before.
        """
        if not self._lent:
            if self.ended:
                return b""
            raise BlockingIOError
        data, self._lent = self._lent[:size], self._lent[size:]
        return data

    def send(self, data: bytes | bytearray) -> int:
        """Buffer all of ``data`` until ``flush``. The caller limits the buffer."""
        self._out += data
        return len(data)

    def flush(self) -> bool:
        """Write as much as the kernel accepts. True once the buffer is empty. Raises ``OSError`` on a broken
        connection.
        """
        while self._out:
            try:
                sent = self.raw.send(self._out)
            except WAIT:
                return False
            del self._out[:sent]
        return True

    @property
    def backlog_bytes(self) -> int:
        """Number of buffered bytes that the kernel has not accepted yet."""
        return len(self._out)

    def close(self) -> None:
        """Write what the kernel accepts without blocking, then close."""
        with suppress(OSError):
            self.flush()
        self.raw.close()

    def peer_end_ms(self) -> int | None:
        """When the broker's certificate expires, in ms since 1970 UTC; None without TLS."""
        if not isinstance(self.raw, ssl.SSLSocket):
            return None
        shown = self.raw.getpeercert() or {}
        end = shown.get("notAfter")
        return None if not isinstance(end, str) else int(ssl.cert_time_to_seconds(end)) * 1000

    def fileno(self) -> int:
        """The socket's file descriptor; -1 once closed."""
        return self.raw.fileno()

    def setblocking(self, flag: bool) -> None:
        """Call the socket's method of this name."""
        self.raw.setblocking(flag)
