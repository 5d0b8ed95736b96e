"""Reads events from the journal again, oldest first, that were not sent or not acknowledged."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import apsw

from edged.central import cloud_events
from edged.central.cloud_events import Fact
from edged.store.uplink import Cursor, NotedStep, clock_before, noted_steps

T = TypeVar("T")

FACTS_MAX = 10_000  # in memory; a step at the end of a day has one for each ticket
PAGE_STEPS_MAX = 64  # read and parsed in one go: about half a millisecond of the loop


class Outbox(Protocol):
    """What sending history needs of the journal: to read the steps on disk, and to store up to where the centre has
    them. A Protocol, so that a test can put a journal in memory in its place.
    """

    @property
    def epoch(self) -> int: ...
    @property
    def durable(self) -> bool: ...
    @property
    def taken(self) -> Cursor: ...
    async def ask(self, query: Callable[[apsw.Connection], T]) -> T: ...
    def keep_taken(self, cursor: Cursor) -> None: ...
    def on_commit(self, callback: Callable[[Any], None]) -> None: ...
    def on_durable(self, callback: Callable[[bool], None]) -> None: ...


class History:
    """Reads the journal once, from the step after ``step`` to its end, and returns its events for the city. ``number``:
    the number of the last event up to ``step``.

    ``offset_ms``: wall time minus hall time at ``step``, used if the journal no longer contains it.
    """

    def __init__(self, outbox: Outbox, step: int, number: int, offset_ms: int) -> None:
        self._outbox = outbox
        self._offset_ms = offset_ms
        self._clock_found = False
        self._step = step
        self._number = number
        self._facts: deque[Fact] = deque()

    async def take(self, after: int, until: int, count: int) -> list[Fact]:
        """The next ``count`` events with numbers from ``after`` + 1 to ``until``; fewer at the end of what is on
        disk.
        """
        taken: list[Fact] = []
        while len(taken) < count:
            if not self._facts and not await self._read():
                break
            if self._facts[0].number > until:
                break
            fact = self._facts.popleft()
            if fact.number > after:
                taken.append(fact)
        return taken

    def put_back(self, facts: list[Fact]) -> None:
        """Return events that could not be sent; ``take`` yields them again."""
        self._facts.extendleft(reversed(facts))

    async def _read(self) -> bool:
        """Read one more page; False at the end of the journal on disk."""
        if not self._clock_found:
            self._clock_found = True
            known_ms = await self._outbox.ask(lambda connection: clock_before(connection, self._step))
            self._offset_ms = self._offset_ms if known_ms is None else known_ms
        while not self._facts:
            page = await read_page(self._outbox, self._step, PAGE_STEPS_MAX)
            if not page:
                return False
            for step in page:
                self._offset_ms = step.offset_ms(self._offset_ms)
                self._facts.extend(cloud_events.stored(step, self._offset_ms, self._number))
                if self._facts:
                    self._number = self._facts[-1].number
                self._step = step.seq
                if len(self._facts) >= FACTS_MAX:  # the rest of the page is read again
                    break
        return True


async def read_page(outbox: Outbox, after_seq: int, count: int) -> list[NotedStep]:
    """The next ``count`` committed steps that have notes, or that set the clock by which later notes are dated."""
    return await outbox.ask(lambda connection: noted_steps(connection, after_seq, count))
