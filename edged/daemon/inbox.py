"""Orders events in time: they leave the inbox one by one, stamped, with every due tick before them.

``stamp = max(hall clock, last stamp, last tick)``: with that, feeding the journal's events again (ticks regenerated
from the engine's own due times) meets every event at the same state as the first time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from edged.clock import Clock, monotonic_s, perf_s
from edged.core.model.events import Event, Resumed, Tick
from edged.store.records import ALONE, Attachments

DEPTH_MAX = 10_000  # events waiting for the core: minutes of the busiest hall; beyond it something is broken
FIRST_MAX = 8  # events of one absence
WAKE_S = 1.0  # real seconds between looks at the clock when nothing happens
FREEZE_S = 5.0  # a longer silence than WAKE_S + this means the whole process stood still (suspend, SIGSTOP)


class Item(NamedTuple):
    """One event on its way into the core. ``arrived_s`` (``perf_s``) is for measuring; None if nothing arrived."""

    at_ms: int
    event: Event
    ack: Callable[[], None] | None = None
    attachments: Attachments = ALONE
    arrived_s: float | None = None


class Inbox:
    """A bounded queue of events; ``get`` stamps them with hall time. Filled from the loop's thread, emptied by the
    loop.
    """

    def __init__(self, clock: Clock, last_ms: int, next_due: Callable[[], int | None]) -> None:
        self._clock = clock
        self._last_ms = last_ms
        self._next_due = next_due
        self._queue: deque[tuple[Event, Callable[[], None] | None, Attachments, float]] = deque()
        self._woken: asyncio.Future[None] | None = None  # what ``get`` waits for, while it waits
        self._timer: asyncio.TimerHandle | None = None  # rings no later than ``get`` must look again
        self._rings_s = 0.0  # when, in ``monotonic_s``
        self._alive_s = monotonic_s()
        self._alive_ms = clock.at_ms()
        self._first: deque[Event] = deque(maxlen=FIRST_MAX)

    def __len__(self) -> int:
        return len(self._queue) + len(self._first)

    def put(
        self, event: Event, ack: Callable[[], None] | None = None, attachments: Attachments = ALONE
    ) -> bool:
        """Queue ``event``; False if the inbox is full (the caller counts the rejection and does not acknowledge)."""
        if len(self._queue) >= DEPTH_MAX:
            return False
        self._queue.append((event, ack, attachments, perf_s()))
        self._wake()
        return True

    def was_away(self, *events: Event) -> None:
        """The process stood still for a while: put ``events`` (a ``Resumed``) in front, stamped with the last moment
        before the gap, after what was due by then.
        """
        self._first.extend(events)

    @property
    def last_wake_s(self) -> float:
        """When the loop last checked the inbox, in ``monotonic_s``; it does so at least once a second."""
        return self._alive_s

    def take_now(self) -> Item:
        """The next item, without waiting; for emptying the inbox at the end. The inbox must not be empty."""
        item = self._take()
        assert item is not None
        return item

    async def get(self) -> Item:
        """The next stamped event or due tick; waits for one."""
        while True:
            self._look_back()
            item = self._take()
            if item is not None:
                return item
            await self._wait()

    def _take(self) -> Item | None:
        stamp = self._last_ms if self._first else max(self._clock.at_ms(), self._last_ms)
        due_ms = self._next_due()
        if due_ms is not None and due_ms <= stamp:
            self._last_ms = max(due_ms, self._last_ms)
            return Item(self._last_ms, Tick())
        if self._first:
            return Item(stamp, self._first.popleft())
        if not self._queue:
            return None
        event, ack, attachments, arrived_s = self._queue.popleft()
        self._last_ms = stamp
        return Item(stamp, event, ack, attachments, arrived_s)

    async def _wait(self) -> None:
        """Wait for an event, for the next due tick, or ``WAKE_S`` seconds; it may return earlier.

        A timer that rings too early stays, because a new one for each message costs more than looking once too often.
        """
        loop, due_ms = asyncio.get_running_loop(), self._next_due()
        delay_s = WAKE_S if due_ms is None else min(WAKE_S, self._clock.real_delay_s(due_ms))
        rings_s = monotonic_s() + delay_s
        if self._timer is None or rings_s < self._rings_s:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._rings_s = loop.call_later(delay_s, self._ring), rings_s
        self._woken = loop.create_future()
        try:
            await self._woken
        finally:
            self._woken = None

    def _ring(self) -> None:
        self._timer = None
        self._wake()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _look_back(self) -> None:
        """Notice that the process stood still, before a timer of that time fires."""
        now_s, now_ms = monotonic_s(), self._clock.at_ms()
        away_s, away_ms = now_s - self._alive_s, now_ms - self._alive_ms
        self._alive_s, self._alive_ms = now_s, now_ms
        if away_s > WAKE_S + FREEZE_S:
            self.was_away(Resumed(gap_ms=away_ms, restart=False))
