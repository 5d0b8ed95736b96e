"""Writes log lines in a thread of its own, so that a log reader that stops reading blocks nothing.

Rules (see the table of decision 0031): the event loop never waits for a log line. A line that cannot be written is
dropped and counted. The queue is bounded (``WAITING_BYTES_MAX``); when it is full, the newest lines are dropped,
because the oldest show how the trouble began. Once lines can be written again, an additional line says how many were
lost. If another process made the descriptor non-blocking, the thread waits until it accepts bytes again. A stream to
journald is opened again after journald restarted, no other stream is. Lines with fields go to journald's native socket
(``journald.py``), or to the stream if there is no such socket or it refuses the line.
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
RETRY_S = 1.0  # between tries to reconnect to journald
BUSY_S = 1.0  # between tries at a descriptor that accepts nothing
STREAM = "/run/systemd/journal/stdout"  # sd_journal_stream_fd(3)
GONE = {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ECONNREFUSED, errno.ENOENT, errno.EBADF}


class LogWriter:
    """A thread that writes queued log lines to ``descriptor``. ``journal``: whether ``descriptor`` is a stream to
    journald; if such a stream breaks, ``connect`` opens a new one (by default ``open_journal``).

    ``native``: journald's native socket, for lines with fields; None: all lines go to ``descriptor``.
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
        self._reported = 0
        self._retry_at_s = 0.0
        self._busy = False
        self._stopping = False
        self._changed = threading.Condition()
        self._start()

    @property
    def lost(self) -> int:
        """Number of lines since the start that were not written: dropped because the queue was full, or refused by the
        system.
        """
        return self._lost

    def put(self, line: bytes, fields: bytes = b"") -> None:
        """Queue one line, with its line break, and its journald ``fields``. Never waits: if the queue is full, the line
        is dropped and counted.
        """
        size = len(line) + len(fields)
        with self._changed:
            if self._bytes + size > self.bytes_max or len(self._waiting) >= WAITING_LINES_MAX:
                self._lost += 1
                return
            self._waiting.append((line, fields))
            self._bytes += size
            self._changed.notify_all()

    def drain(self, within_s: float) -> bool:
        """Wait until every line is written; False if that took too long. To be called when the process ends, never in
        the loop.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, within_s)

    def stop(self) -> None:
        """Let the thread write the lines that are queued, and then end. Does not wait for that."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def _start(self) -> None:
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def _run(self) -> None:
        while self._turn():
            pass

    def _turn(self) -> bool:
        """Wait for the next line and write it. Returns False when the thread has to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            if not self._waiting:
                return False
            line, fields = self._waiting.popleft()
            self._bytes -= len(line) + len(fields)
            self._busy = True
            lost = self._lost
        written = self._send(line, fields)
        if written and lost > self._reported and self._send(_lost_line(lost - self._reported, line), b""):
            self._reported = lost
        with self._changed:
            self._busy = False
            self._lost += not written
            self._changed.notify_all()
        return True

    def _send(self, line: bytes, fields: bytes) -> bool:
        return (self._native is not None and self._native.send(line, fields)) or self._write(line)

    def _write(self, line: bytes) -> bool:
        """Write the whole line, however long that takes. Returns False if it is lost."""
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
        os.dup2(fresh, self._descriptor)  # what is written to stderr directly (a crash) goes there, too
        os.close(fresh)
        return True


def open_journal() -> int:
    """Open a stream to journald, such as a service has for its stderr; returns the file descriptor. Raises
    ``OSError`` if journald does not listen at ``STREAM``.

    Seven header lines open it: identifier, unit (taken from the sender's cgroup unless root says so), priority, whether
    lines begin with "<n>", and three forwarding flags (systemd's src/journal/journald-stream.c).
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as wire:
        wire.connect(STREAM)
        wire.sendall(f"{IDENTIFIER}\n\n6\n1\n0\n0\n0\n".encode())
        return wire.detach()


def _lost_line(count: int, like: bytes) -> bytes:
    """Return the log line that says how many lines are missing. ``like``: another line, whose format (JSON or text,
    with or without ``<level>``) it gets.
    """
    prefix = b"<4>" if like.startswith(b"<") else b""
    if b"{" not in like[:4]:
        return b"%d log lines were lost\n" % count
    fields = {"event": "log-lines-lost", "level": "warning", "logger": "edged.logs", "lost": count}
    return prefix + json.dumps(fields).encode() + b"\n"
