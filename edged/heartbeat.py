"""Heartbeat deadlines, which the watchdog checks, and detection of tasks that end by themselves.

asyncio's TaskGroup treats a child as finished when it returns or when it ends as cancelled although nobody cancelled it
(awaiting a library's cancelled future does that): the daemon would continue without it. ``lasting`` makes that a
failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from edged.clock import monotonic_s


class PartEnded(RuntimeError):
    """A task that should run as long as the daemon has ended by itself: a bug, which ends the process."""


class Heartbeat:
    """A task's deadline, in seconds of ``edged.clock.monotonic_s``. The task renews it before each wait; a task past
    its deadline is stuck.
    """

    __slots__ = ("due_s",)

    def __init__(self) -> None:
        self.due_s = monotonic_s()

    def expect(self, within_s: float) -> None:
        """Set the deadline to ``within_s`` real seconds from now: by then the task will have renewed it."""
        self.due_s = monotonic_s() + within_s

    async def sleep(self, seconds: float) -> None:
        """Renew the deadline and sleep for ``seconds`` real seconds."""
        self.expect(seconds)
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, within_s: float) -> None:
        """Renew the deadline and wait for ``event``, at most ``within_s`` real seconds; then clear it."""
        self.expect(within_s)
        handle = asyncio.get_running_loop().call_later(within_s, event.set)
        try:
            await event.wait()
        finally:
            handle.cancel()
            event.clear()


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
