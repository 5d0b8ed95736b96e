"""The log of a simulated daemon: a pipe whose reader may stop, and a log writer without a thread.

Two things are checked: the event loop never waits for the reader, and every line is read, still queued, or counted as
lost.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from edged.log_writer import LogWriter

PIPE_BYTES = 512  # small, because a simulation logs only a line or two a minute
WAITING_BYTES = 1_024  # small, so that a stall of some minutes fills it
LEVELS = ("info", "warning", "error", "exception", "critical")
LINES_MAX = 20  # of the daemon's log, shown with a broken promise
LINES_LOST = "log-lines-lost"


class LogPipe:
    """The pipe from the daemon to the reader of its log. ``stalled``: the reader has stopped, and the pipe takes at
    most ``PIPE_BYTES`` more.
    """

    def __init__(self, stalled: bool = False) -> None:
        self.stalled = stalled
        self.lines = 0  # lines written into the pipe
        self.reported = 0  # lost lines that the log reported
        self._bytes = 0

    def room(self, size: int) -> bool:
        """Whether the pipe has room for ``size`` bytes."""
        return not self.stalled or self._bytes + size <= PIPE_BYTES

    def take(self, line: bytes) -> None:
        """Put a whole line into the pipe."""
        self._bytes = self._bytes + len(line) if self.stalled else 0
        fields = json.loads(line)
        if fields["event"] == LINES_LOST:
            self.reported += fields["lost"]
        else:
            self.lines += 1


class InlineLogWriter(LogWriter):
    """A log writer without a thread: writes on the event loop, as far as the pipe has room."""

    bytes_max = WAITING_BYTES

    def __init__(self, pipe: LogPipe) -> None:
        self._pipe = pipe
        self._in_turn = False
        super().__init__(-1)

    def put(self, line: bytes, fields: bytes = b"") -> None:
        """Queue one line with its line break, and write as much as the pipe takes; never waits."""
        super().put(line, fields)
        self.pump()

    def pump(self) -> None:
        """Write queued lines until the pipe has no room for the next one."""
        self._in_turn = True
        while self._waiting and self._pipe.room(len(self._waiting[0][0])):
            self._turn()
        self._in_turn = False

    def waiting(self) -> tuple[int, int]:
        """The number of queued lines, and their bytes."""
        return len(self._waiting), sum(len(line) for line, _ in self._waiting)

    def _start(self) -> None:
        """No-op: there is no thread."""

    def _write(self, line: bytes) -> bool:
        room = self._pipe.room(len(line))
        assert room or self._in_turn, "log: the loop waits for whoever reads the log"
        if room:
            self._pipe.take(line)
        return room


class WorldLog:
    """The log of the daemon's successive processes. ``last``: the latest warnings and errors, shown with a broken
    promise.
    """

    def __init__(self) -> None:
        self.last: deque[str] = deque(maxlen=LINES_MAX)
        self._pipe = LogPipe()
        self.begin()

    def begin(self) -> None:
        """Start the log of a new process. Lines that the previous process still had in its queue are lost."""
        self._pipe = LogPipe(self._pipe.stalled)
        self._writer = InlineLogWriter(self._pipe)
        self._put = 0

    def write(self, method: str, event: dict[str, Any]) -> None:
        """Log one entry of the daemon. ``method``: its level, such as "info"; debug entries are ignored."""
        if method in LEVELS[1:]:
            self.last.append(f"  log: {method} {event}")
        if method in LEVELS:
            self._put += 1
            self._writer.put(json.dumps(event, default=str).encode() + b"\n")

    def stall(self, stalled: bool) -> None:
        """Stop the log reader, or let it read again."""
        self._pipe.stalled = stalled
        if not stalled:
            self._writer.pump()

    def check(self) -> None:
        """Check that the queue stays within its limit and that every line is in the pipe, queued, or counted as lost.
        Raises ``AssertionError`` otherwise.
        """
        (waiting, size), lost = self._writer.waiting(), self._writer.lost
        assert size <= WAITING_BYTES, f"log: {size} bytes wait for whoever reads the log"
        known = self._pipe.lines + waiting + lost
        assert known == self._put, f"log: {self._put - known} lines are neither read nor counted as lost"
        assert self._pipe.reported <= lost, (
            f"log: {self._pipe.reported} lines were said to be lost, {lost} are"
        )
