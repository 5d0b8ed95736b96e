"""Heartbeat deadlines, which the watchdog checks; and how a task that ends by itself is noticed.

asyncio's TaskGroup takes a child that returns, or that ends as cancelled though nobody cancelled it (a library's
cancelled future does that), for one that is done: the daemon would live on without it. ``lasting`` makes it a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from edged.clock import monotonic_s


class PartEnded(RuntimeError):
    """A task meant to run as long as the daemon ended by itself: a bug, on which the process ends."""


class Heartbeat:
    """A task's deadline (``clock.monotonic_s``), renewed before each wait: later than that, the task hangs."""

    __slots__ = ("due_s",)

    def __init__(self) -> None:
        self.due_s = monotonic_s()

    def expect(self, within_s: float) -> None:
        """Renew: the task is back within so many real seconds."""
        self.due_s = monotonic_s() + within_s


async def lasting(name: str, part: Awaitable[object]) -> None:
    """Await ``part`` until cancelled. Raises what it raises, and ``PartEnded`` where it ends in any other way."""
    try:
        await part
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise PartEnded(f"{name} was cancelled from inside") from None
    raise PartEnded(f"{name} ended by itself")
