"""Fake drivers for tests of the code that runs drivers: they record what they are asked to do, and fail when a test
wants it.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from edged.core.model.commands import Action, Value
from edged.driver import REASSERT_S, DeviceContext, Options


class SlateOptions(Options, frozen=True):
    """The options of the fake drivers. ``tone`` has no effect: tests use it to make two configurations differ."""

    tone: str = "plain"


class Slate:
    """A fake driver that accepts every value and action. While ``open`` is cleared, ``show`` waits; while ``acting`` is
    cleared, ``act`` waits.

    ``tried``: values that were begun; ``shown``: those that succeeded; ``made``: all instances of a test.
    """

    OPTIONS: ClassVar[type[Options]] = SlateOptions
    deadline_s = 5.0
    reassert_s = REASSERT_S
    pace_s = 0.0
    made: ClassVar[list[Slate]] = []

    def __init__(self, context: DeviceContext | None = None, options: SlateOptions | None = None) -> None:
        self.context = context
        self.options = options
        self.open = asyncio.Event()
        self.open.set()
        self.acting = asyncio.Event()
        self.acting.set()
        self.error: Exception | None = None
        self.act_error: Exception | None = None
        self.tried: list[tuple[str, Value]] = []
        self.shown: list[tuple[str, Value]] = []
        self.acted: list[Action] = []
        self.runs = 0
        self.ended = False
        Slate.made.append(self)

    async def run(self) -> None:
        """Wait until cancelled."""
        self.runs += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True

    async def show(self, point: str, value: Value) -> None:
        """Record ``value`` as shown once ``open`` is set; raises ``error`` instead, if a test has set one."""
        self.tried.append((point, value))
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.shown.append((point, value))

    async def act(self, action: Action) -> None:
        """Record ``action``, then wait until ``acting`` is set; raises ``act_error``, if a test has set one."""
        self.acted.append(action)
        await self.acting.wait()
        if self.act_error is not None:
            raise self.act_error


class Crashing(Slate):
    """A fake driver with a bug: every ``run`` fails at once."""

    async def run(self) -> None:
        self.runs += 1
        raise KeyError("a bug")


class SlowClosing(Slate):
    """A fake driver that, when cancelled, ends only after ``closing`` is set, as if its port were closed slowly.
    ``running``: how many run now; ``most``: the highest number so far.
    """

    closing: ClassVar[asyncio.Event]
    running: ClassVar[int] = 0
    most: ClassVar[int] = 0

    async def run(self) -> None:
        SlowClosing.running += 1
        SlowClosing.most = max(SlowClosing.most, SlowClosing.running)
        try:
            await asyncio.Event().wait()
        finally:
            await SlowClosing.closing.wait()
            SlowClosing.running -= 1
            self.ended = True


class Unbuildable(Slate):
    """A fake driver whose constructor fails."""

    def __init__(self, context: DeviceContext | None = None, options: SlateOptions | None = None) -> None:
        raise ValueError("the same wire is already used otherwise")


class QuickSlate(Slate):
    """A fake driver that also accepts values by ``put``, without waiting."""

    def put(self, point: str, value: Value) -> None:
        """Record ``value`` as shown at once; raises ``error`` instead, if a test has set one."""
        self.tried.append((point, value))
        if self.error is not None:
            raise self.error
        self.shown.append((point, value))
