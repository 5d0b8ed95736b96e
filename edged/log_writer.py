"""Writes log lines in a thread of its own, so that a reader who stops reading holds nothing up.

Rules (the table of decision 0031): a line that cannot be written is dropped and counted, never waited for in the loop.
What waits is bounded (``WAITING_BYTES_MAX``); where that is full the newest lines are dropped, because the oldest say
how it began, and once lines leave again one of them says how many were lost. A descriptor that somebody else made
non-blocking is waited for. A journald that lost its sockets is connected to anew; what breaks otherwise stays broken.
journald gets lines with fields of their own by its native socket (``journald.py``); where that is not there or refuses
one, the line takes the stream.
"""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from edged.clock import monotonic_s
from edged.journald import IDENTIFIER, NativeJournal

WAITING_BYTES_MAX = (
    1 << 20
)  # some thousand lines: an hour of a busy hall at ten lines a minute, a rush at any rate
WAITING_LINES_MAX = 10_000
RETRY_S = 1.0  # between tries at a journal that went away
BUSY_S = 1.0  # between looks at a descriptor that takes nothing
STREAM = "/run/systemd/journal/stdout"  # sd_journal_stream_fd(3)
GONE = {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ECONNREFUSED, errno.ENOENT, errno.EBADF}


class LogWriter:
    """Writes to ``descriptor``; ``journal``: it is journald's, reached again at ``STREAM`` when it went away.

    ``native``: journald's socket for lines with fields, or None.
    """

    bytes_max = WAITING_BYTES_MAX

    def __init__(
        self,
        descriptor: int,
        journal: bool = False,
        connect: Callable[[], int] | None = None,
        native: NativeJournal | None = None,
    ) -> None:
        self._descriptor = descriptor
        self._connect = (connect or open_journal) if journal else None
        self._native = native
        self._waiting: deque[tuple[bytes, bytes]] = (
            deque()
        )  # bounded by WAITING_BYTES_MAX and WAITING_LINES_MAX
        self._bytes = 0
        self._lost = 0
        self._told = 0
        self._retry_at_s = 0.0
        self._busy = False
        self._stopping = False
        self._changed = threading.Condition()
        self._start()

    @property
    def lost(self) -> int:
        """Lines that were dropped, or broke on their way, since the start."""
        return self._lost

    def put(self, line: bytes, fields: bytes = b"") -> None:
        """One line with its end, and journald's ``fields`` of it; returns at once."""
        size = len(line) + len(fields)
        with self._changed:
            if self._bytes + size > self.bytes_max or len(self._waiting) >= WAITING_LINES_MAX:
                self._lost += 1
                return
            self._waiting.append((line, fields))
            self._bytes += size
            self._changed.notify_all()

    def drain(self, within_s: float) -> bool:
        """Wait until every line is written; False if that took too long. For the end of a process, not for the
        loop.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, within_s)

    def stop(self) -> None:
        """End the thread, as soon as it does not hang in a write."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def _start(self) -> None:
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def _run(self) -> None:
        while self._turn():
            pass

    def _turn(self) -> bool:
        """The next line, once there is one; False where there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            if not self._waiting:
                return False
            line, fields = self._waiting.popleft()
            self._bytes -= len(line) + len(fields)
            self._busy = True
            lost = self._lost
        written = self._send(line, fields)
        if written and lost > self._told and self._send(_told(lost - self._told, line), b""):
            self._told = lost
        with self._changed:
            self._busy = False
            self._lost += not written
            self._changed.notify_all()
        return True

    def _send(self, line: bytes, fields: bytes) -> bool:
        return (self._native is not None and self._native.send(line, fields)) or self._write(line)

    def _write(self, line: bytes) -> bool:
        """The whole line, however long that takes; False where it is lost."""
        rest = memoryview(line)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                with suppress(OSError, ValueError):
                    select.select((), (self._descriptor,), (), BUSY_S)
            except OSError as error:
                if error.errno not in GONE or not self._reconnect():
                    return False
                rest = memoryview(line)
        return True

    def _reconnect(self) -> bool:
        now_s = monotonic_s()
        if self._connect is None or now_s < self._retry_at_s:
            return False
        self._retry_at_s = now_s + RETRY_S
        try:
            fresh = self._connect()
        except OSError:
            return False
        os.dup2(fresh, self._descriptor)  # what writes to stderr by itself (a crash) goes there, too
        os.close(fresh)
        return True


def open_journal() -> int:
    """A stream to journald, as it hands one to a service. Raises ``OSError``.

    Seven lines open it: identifier, unit (taken from the sender's cgroup unless root says so), priority, whether lines
    begin with "<n>", and where it forwards (systemd's src/journal/journald-stream.c).
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as wire:
        wire.connect(STREAM)
        wire.sendall(f"{IDENTIFIER}\n\n6\n1\n0\n0\n0\n".encode())
        return wire.detach()


def _told(count: int, like: bytes) -> bytes:
    """The log line that says how many lines are missing."""
    prefix = b"<4>" if like.startswith(b"<") else b""
    if b"{" not in like[:4]:
        return b"%d log lines were lost\n" % count
    fields = {"event": "log-lines-lost", "level": "warning", "logger": "edged.logs", "lost": count}
    return prefix + json.dumps(fields).encode() + b"\n"
