"""Deadlines of the daemon's tasks, by which the watchdog finds one that is stuck, and detection of tasks that end
although they should not.

If a task of an asyncio TaskGroup returns, the group goes on without it. The same happens if the task ends as cancelled
although nobody cancelled it, for instance because it awaited a future that a library cancelled. The daemon would
continue without that task; ``lasting`` makes it a failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from edged.clock import monotonic_s


class PartEnded(RuntimeError):
    """A task that should run as long as the daemon has ended by itself. That is a bug; the process ends, and systemd
    starts it again.
    """


class Heartbeat:
    """The time by which a task must report again (``due_s``), in seconds of ``edged.clock.monotonic_s``. The task moves
    it before each wait; a task whose time is past is stuck.
    """

    __slots__ = ("due_s",)

    def __init__(self) -> None:
        self.due_s = monotonic_s()

    def expect(self, within_s: float) -> None:
        """Set the deadline to ``within_s`` real seconds from now. The task promises to set it again before that."""
        self.due_s = monotonic_s() + within_s

    async def sleep(self, seconds: float) -> None:
        """Move the deadline to ``seconds`` real seconds from now, and sleep until then."""
        self.expect(seconds)
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, within_s: float) -> None:
        """Move the deadline to ``within_s`` real seconds from now, wait for ``event`` until then, and clear the
        event.
        """
        self.expect(within_s)
        handle = asyncio.get_running_loop().call_later(within_s, event.set)
        try:
            await event.wait()
        finally:
            handle.cancel()
            event.clear()


async def lasting(name: str, part: Awaitable[object]) -> None:
    """Await ``part``, which should run until cancelled. Raises ``PartEnded``, with ``name`` in its text, if it returns
    or is cancelled from inside; passes on any other exception.
    """
    try:
        await part
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise PartEnded(f"{name} was cancelled from inside") from None
    raise PartEnded(f"{name} ended by itself")
