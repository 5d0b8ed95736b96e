"""Batches jobs for the journal's writer thread: in a rush several steps share one commit, which costs as much as a
commit of one step.

The loop thread collects the jobs, so that the writer thread wakes once per batch; each time it wakes it takes Python's
lock (the GIL), for which the loop would have to wait. Rules: a single job is handed over in the same turn of the loop;
a job right after a commit waits, the longer the more steps that commit had; a job whose sender waits for the result
never waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from edged.clock import monotonic_s
from edged.store.writer import WriterJob

GATHER_S = 0.005  # pause between two commits, per step in the first of them
GATHER_LONG_S = 0.01  # longest pause: a page to a member of staff may be among the steps
GATHER_MAX = 16  # steps in one batch: mosquitto sends at most twenty messages without an acknowledgement


class CommitBatcher:
    """Hands jobs to the writer in batches that share a commit. For the loop thread only."""

    def __init__(self, hand_over: Callable[[Sequence[WriterJob]], None]) -> None:
        self._hand_over = hand_over
        self._jobs: list[WriterJob] = []
        self._under_way = 0  # handed over, result not yet reported
        self._due: asyncio.Handle | None = None
        self._rest_until_s = 0.0

    def put(self, job: WriterJob) -> None:
        """Add a job to the next batch. Never blocks."""
        self._jobs.append(job)
        if job.stop or job.waiter is not None or len(self._jobs) >= GATHER_MAX:
            self._go()
        elif not self._under_way:
            self._wait()

    def reported(self, jobs: int, steps: int) -> None:
        """Record that the writer has done ``jobs`` jobs, of which ``steps`` were committed steps."""
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
