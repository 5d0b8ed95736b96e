"""Jobs on their way to the journal's writer: in a rush several steps share a commit, which costs what one step's does.

The loop thread gathers, so that the writer is woken once for all of them: woken for each it would ask for Python's lock
each time, and the loop would wait for it. Rules: a job that comes alone is handed over in this turn of the loop; what
follows on the heels of a commit waits, the longer the more that one held; who waits for an answer is not kept waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from edged.clock import monotonic_s
from edged.store.writer import WriterJob

GATHER_S = 0.005  # from one commit to the next, for each step that the last one held
GATHER_LONG_S = 0.01  # … but no longer: a page may be among them
GATHER_MAX = 16  # … and no more: mosquitto sends twenty messages before it wants an acknowledgement


class CommitBatcher:
    """Hands jobs to the writer in batches that share a commit. All methods are for the loop thread."""

    def __init__(self, hand_over: Callable[[Sequence[WriterJob]], None]) -> None:
        self._hand_over = hand_over
        self._jobs: list[WriterJob] = []
        self._under_way = 0  # handed over and not told
        self._due: asyncio.Handle | None = None
        self._rest_until_s = 0.0

    def put(self, job: WriterJob) -> None:
        """One job more. Never blocks."""
        self._jobs.append(job)
        if job.stop or job.waiter is not None or len(self._jobs) >= GATHER_MAX:
            self._go()
        elif not self._under_way:
            self._wait()

    def told(self, jobs: int, steps: int) -> None:
        """The writer is done with ``jobs``; ``steps`` of them were committed."""
        self._under_way -= jobs
        if steps:
            self._rest_until_s = monotonic_s() + min(GATHER_S * steps, GATHER_LONG_S)
        if self._jobs and not self._under_way:
            self._wait()

    def _wait(self) -> None:
        if self._due is None:
            loop, rest_s = asyncio.get_running_loop(), self._rest_until_s - monotonic_s()
            self._due = loop.call_later(rest_s, self._go) if rest_s > 0 else loop.call_soon(self._go)

    def _go(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        jobs, self._jobs = self._jobs, []
        self._under_way += len(jobs)
        self._hand_over(jobs)
