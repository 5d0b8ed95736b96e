"""Reads from the journal, oldest first, the events that the centre has not acknowledged, to send them again."""

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
    """What sending history needs of the journal: to read the steps on disk, and to store how far the centre has
    acknowledged events. A Protocol, so that a test can put a journal in memory in its place.
    """

    @property
    def epoch(self) -> int: ...
    @property
    def durable(self) -> bool: ...
    @property
    def cursor(self) -> Cursor: ...
    async def ask(self, query: Callable[[apsw.Connection], T]) -> T: ...
    def keep_cursor(self, cursor: Cursor) -> None: ...
    def on_commit(self, callback: Callable[[Any], None]) -> None: ...
    def on_durable(self, callback: Callable[[bool], None]) -> None: ...


class History:
    """One reading of the journal, from the step after ``step`` to its end, that returns the events of the steps.
    ``number``: the number of the last event up to ``step``.

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
        """Return the next events with numbers from ``after`` + 1 to ``until`` (inclusive), at most ``count`` of them;
        fewer if the journal on disk has no more.
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
        """Take back events that ``take`` returned and that could not be sent; the next ``take`` returns them again."""
        self._facts.extendleft(reversed(facts))

    async def _read(self) -> bool:
        """Read steps from the journal until there is an event that was not returned yet. False if the journal on disk
        has none.
        """
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
    """Return the next ``count`` committed steps after step ``after_seq`` that matter for events: those with notes, and
    those that set the wall clock, which dates the notes that follow.
    """
    return await outbox.ask(lambda connection: noted_steps(connection, after_seq, count))
