"""Heartbeat deadlines, which the watchdog checks, and detection of tasks that end by themselves.

asyncio's TaskGroup accepts a child that returns, or that ends as cancelled though nobody cancelled it (awaiting a
library's cancelled future does that), as finished: the daemon would go on without it. ``lasting`` turns that into a
failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from edged.clock import monotonic_s


class PartEnded(RuntimeError):
    """A task that should run as long as the daemon ended by itself: a bug, which ends the process."""


class Heartbeat:
    """A task's deadline (``clock.monotonic_s``), which the task renews before each wait; once it has passed, the task
    hangs.
    """

    __slots__ = ("due_s",)

    def __init__(self) -> None:
        self.due_s = monotonic_s()

    def expect(self, within_s: float) -> None:
        """Renew the deadline: the task renews it again within so many real seconds."""
        self.due_s = monotonic_s() + within_s


async def lasting(name: str, part: Awaitable[object]) -> None:
    """Await ``part`` until cancelled. Passes on its exceptions, and raises ``PartEnded`` if it ends otherwise."""
    try:
        await part
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise PartEnded(f"{name} was cancelled from inside") from None
    raise PartEnded(f"{name} ended by itself")
