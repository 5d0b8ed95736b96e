"""Sends log lines to journald with fields of their own, so that ``journalctl EDGED_WINDOW=w11`` finds those about a
window.

Source: systemd.io/JOURNAL_NATIVE_PROTOCOL: one datagram for each entry, made of lines ``NAME=value``; a name may occur
more than once. MESSAGE holds the whole log line, as it would be written to stderr otherwise.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from edged.clock import monotonic_s
from edged.core.model.point import Point, device_of

SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "edged"
FIELDS = {  # key of a log line -> journald field. A point "panel-w1/2" is logged as device panel-w1.
    "event": "EDGED_EVENT",
    "logger": "EDGED_LOGGER",
    "seq": "EDGED_SEQ",
    "window": "EDGED_WINDOW",
    "windows": "EDGED_WINDOW",
    "area": "EDGED_AREA",
    "areas": "EDGED_AREA",
    "ticket": "EDGED_TICKET",
    "tickets": "EDGED_TICKET",
    "device": "EDGED_DEVICE",
    "point": "EDGED_DEVICE",
}
VALUES_MAX = 64  # values per field: a step that closes the hall names every window
VALUE_CHARS_MAX = 80
RETRY_S = 1.0  # between tries to open a missing socket
# errors take the stream: they are often a process's last lines, and journald knows a stream's unit even after it ended
BY_STREAM_LEVEL = 3


def fields_of(line: Mapping[str, Any]) -> bytes:
    """Return the journald fields of a log line, as bytes, made from those of its keys that ``FIELDS`` names; empty if
    it has none of them.
    """
    out: dict[bytes, None] = {}
    for key, field in FIELDS.items():
        value = line.get(key)
        if value is not None and value != "":
            found: Iterable[Any] = value if isinstance(value, list | tuple) else (value,)
            for one in list(found)[:VALUES_MAX]:
                text = device_of(Point(str(one))) if field == "EDGED_DEVICE" else str(one)
                if text and "\n" not in text:
                    out[f"{field}={text[:VALUE_CHARS_MAX]}\n".encode("utf-8", "replace")] = None
    return b"".join(out)


class NativeJournal:
    """A client of journald's native socket. Use it in a thread of its own: ``send`` blocks while journald stalls."""

    def __init__(self, place: str = SOCKET) -> None:
        self._place = place
        self._wire: socket.socket | None = None
        self._retry_at_s = 0.0

    def send(self, line: bytes, fields: bytes) -> bool:
        """Send a log line with its journald ``fields``. ``line`` must begin with ``<level>`` and have only one line
        break, at its end. Returns False if it was not sent, as always for errors and worse (``BY_STREAM_LEVEL``); the
        caller then writes it to the stream.
        """
        text = line[3:-1]
        if line[:1] != b"<" or b"\n" in text or line[1] - 48 <= BY_STREAM_LEVEL:
            return False
        if self._wire is None and not self._open():
            return False
        entry = b"PRIORITY=%b\nSYSLOG_IDENTIFIER=%b\n%bMESSAGE=%b\n" % (
            line[1:2],
            IDENTIFIER.encode(),
            fields,
            text,
        )
        try:
            if self._wire is not None:
                self._wire.send(entry)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:  # too long for one datagram: only this line takes the stream
                self.close()
            return False
        return True

    def close(self) -> None:
        """Close the socket. ``send`` opens it again, but not within ``RETRY_S``."""
        if self._wire is not None:
            self._wire.close()
        self._wire = None
        self._retry_at_s = monotonic_s() + RETRY_S

    def _open(self) -> bool:
        now_s = monotonic_s()
        if now_s < self._retry_at_s:
            return False
        wire = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            wire.connect(self._place)
        except OSError:
            wire.close()
            self._retry_at_s = now_s + RETRY_S
            return False
        self._wire = wire
        return True
