"""Orders events in time: the inbox returns them one by one, each with a time stamp and after every tick that is due
before it.

``stamp = max(hall clock, last stamp, last tick)``. With this rule a replay, which feeds the journal's events and
regenerates the ticks from the engine's own due times, meets every event in the same state as the first time.
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
    """One event on its way into the core. ``at_ms``: its stamp in hall time. ``arrived_s``: when it was queued, in
    seconds of ``edged.clock.perf_s``, for latency metrics; None for ticks, and for ``Resumed``, the event which says
    that the process did not run for a while.
    """

    at_ms: int
    event: Event
    ack: Callable[[], None] | None = None
    attachments: Attachments = ALONE
    arrived_s: float | None = None


class Inbox:
    """A bounded queue of events; ``take`` stamps them with hall time. Call all methods in the event loop's thread."""

    def __init__(self, clock: Clock, last_ms: int, next_due: Callable[[], int | None]) -> None:
        self._clock = clock
        self._last_ms = last_ms
        self._next_due = next_due
        self._queue: deque[tuple[Event, Callable[[], None] | None, Attachments, float]] = deque()
        self._deliver: Callable[[], None] | None = None
        self._held = False
        self._call: asyncio.Handle | None = None  # calls ``_deliver`` in the next turn of the event loop
        self._timer: asyncio.TimerHandle | None = None  # calls it when a tick is due, or once in ``WAKE_S``
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
        if not self._held and self._call is None and self._deliver is not None:
            self._call = asyncio.get_running_loop().call_soon(self._called)
        return True

    def hold(self, held: bool) -> None:
        """While ``held``, no call of ``take_all`` is scheduled for new events, because the caller takes them itself in
        this turn of the event loop.
        """
        self._held = held

    def deliver_to(self, take_all: Callable[[], None] | None) -> None:
        """From now on call ``take_all`` soon after an event comes or a tick becomes due, and at least every ``WAKE_S``
        real seconds; None ends that. ``take_all`` calls ``take`` until it returns None.
        """
        self._deliver = take_all
        self._rest()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if take_all is not None:
            self._call = asyncio.get_running_loop().call_soon(self._called)

    def was_away(self, *events: Event) -> None:
        """Put ``events`` (such as ``Resumed``) before everything that waits, because the process stood still or was not
        running. They are stamped with the time of the last event before the standstill. The order is: ticks due by that
        time, ``events``, everything that waits.
        """
        self._first.extend(events)

    @property
    def last_wake_s(self) -> float:
        """The time at which ``take`` last checked the queue, in seconds of ``clock.monotonic_s``; it does so at least
        once in ``WAKE_S``.
        """
        return self._alive_s

    def take_now(self) -> Item:
        """Take the next item without waiting, during start and stop. The inbox must not be empty."""
        item = self._take(self._clock.at_ms())
        assert item is not None
        return item

    def take(self) -> Item | None:
        """The next event or due tick, stamped; None if there is neither."""
        now_ms = self._clock.at_ms()
        self._notice_freeze(now_ms)
        item = self._take(now_ms)
        if item is None:
            self._rest()
        return item

    def _take(self, now_ms: int) -> Item | None:
        stamp = self._last_ms if self._first else max(now_ms, self._last_ms)
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

    def _rest(self) -> None:
        """Schedule the next call of ``take_all`` for when a tick is due, because no event waits.

        A timer that is set for an earlier time stays, because one needless check costs less than a new timer for each
        message.
        """
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._deliver is None:
            return
        due_ms = self._next_due()
        delay_s = WAKE_S if due_ms is None else min(WAKE_S, self._clock.real_delay_s(due_ms))
        rings_s = self._alive_s + delay_s
        if self._timer is None or rings_s < self._rings_s:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._rung)
            self._rings_s = rings_s

    def _called(self) -> None:
        self._call = None
        if self._deliver is not None:
            self._deliver()

    def _rung(self) -> None:
        self._timer = None
        if self._deliver is not None:
            self._deliver()

    def _notice_freeze(self, now_ms: int) -> None:
        """Notice that the whole process stood still (suspend, SIGSTOP), before a timer that became due meanwhile fires,
        and queue a ``Resumed``.
        """
        now_s = monotonic_s()
        away_s, away_ms = now_s - self._alive_s, now_ms - self._alive_ms
        self._alive_s, self._alive_ms = now_s, now_ms
        if away_s > WAKE_S + FREEZE_S:
            self.was_away(Resumed(gap_ms=away_ms, restart=False))
