"""Signs of life: what the watchdog looks at, and how a part that ends unasked is found out.

asyncio's TaskGroup takes a child that returns, or that ends as cancelled though nobody cancelled it (a library's
cancelled future does that), for one that is done: the daemon would live on without it. ``lasting`` makes it a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from edged.clock import monotonic_s


class PartEnded(RuntimeError):
    """A part that is to live as long as the daemon ended by itself: a bug, to be ended with the process."""


class Heartbeat:
    """The deadline by which a part promises to be back (``clock.monotonic_s``). It renews it before every wait."""

    __slots__ = ("due_s",)

    def __init__(self) -> None:
        self.due_s = monotonic_s()

    def expect(self, within_s: float) -> None:
        """I shall be back within so many real seconds."""
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
