"""The journal's writer without a thread: does the same work in virtual time, delayed by the simulated disk."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from edged.store.writer import FULL_RETRY_S, GROUP_MAX, IDLE_BEAT_S, JournalWriter, WriterJob

JOBS_MAX = 1_000_000  # the journal enforces the real bound; more is an error of the simulation


class InlineWriter(JournalWriter):
    """A journal writer on the event loop, without the thread of the real one. As in the real one, jobs that arrive
    while the disk is busy are committed together in the next transaction.

    ``disk`` (see ``on``) gives the duration of each transaction.
    """

    disk: Any

    def start(self) -> None:
        """Begin to work on the event loop; before that ``put`` must not be called."""
        self._jobs: deque[WriterJob] = deque(maxlen=JOBS_MAX)
        self._over = self._busy = False
        self._timer = asyncio.get_running_loop().call_later(IDLE_BEAT_S, self._take_turn)

    def put(self, jobs: Sequence[WriterJob]) -> None:
        """Queue jobs; they are written after the time that the simulated disk takes."""
        self._jobs.extend(jobs)
        if not self._over and not self._busy:
            self._busy = True
            self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(self.disk.commit_s(), self._take_turn)

    def join(self, timeout_s: float) -> bool:
        """Write everything that is queued, without any delay; always True. If the process was killed, write nothing and
        only release its locks. ``timeout_s`` is not used.
        """
        if not self.disk.alive and not self._over:
            self._over = True
            self._timer.cancel()
            self.disk.close_killed(self._connection)
        while not self._over:
            self._take_turn()
        return True

    def _take_turn(self) -> None:
        self._timer.cancel()
        if not self.disk.alive:
            return
        taken = [self._jobs.popleft() for _ in range(min(GROUP_MAX, len(self._jobs)))]
        self._over = not self.turn(taken)
        self._busy = bool(self._jobs)
        if not self._over:
            idle_s = IDLE_BEAT_S if self._durable else FULL_RETRY_S
            delay_s = self.disk.commit_s() if self._busy else idle_s
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._take_turn)


def on(disk: Any) -> type[InlineWriter]:
    """Make a writer class for ``disk``, whose ``commit_s()`` returns the virtual seconds of the next commit."""
    return type("DiskWriter", (InlineWriter,), {"disk": disk})
