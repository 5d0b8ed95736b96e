"""Drivers for tests of what runs drivers: they remember what they were told, and fail when asked to."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from edged.core.model.commands import Action, Value
from edged.driver import REASSERT_S, DeviceContext, Options


class SlateOptions(Options, frozen=True):
    """``tone`` tells one configuration from another."""

    tone: str = "plain"


class Slate:
    """A device that takes everything, one thing at a time, once ``open`` is set."""

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
        """Until cancelled."""
        self.runs += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True

    async def show(self, point: str, value: Value) -> None:
        """Take a level, as soon as ``open`` says so; raises ``error``."""
        self.tried.append((point, value))
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.shown.append((point, value))

    async def act(self, action: Action) -> None:
        """Take an action, as soon as ``acting`` says so; raises ``act_error``."""
        self.acted.append(action)
        await self.acting.wait()
        if self.act_error is not None:
            raise self.act_error


class Crashing(Slate):
    """A driver with a bug: every ``run`` fails at once."""

    async def run(self) -> None:
        self.runs += 1
        raise KeyError("a bug")


class Stubborn(Slate):
    """A driver whose port takes ``closing`` to be let go of."""

    closing: ClassVar[asyncio.Event]
    running: ClassVar[int] = 0
    most: ClassVar[int] = 0

    async def run(self) -> None:
        Stubborn.running += 1
        Stubborn.most = max(Stubborn.most, Stubborn.running)
        try:
            await asyncio.Event().wait()
        finally:
            await Stubborn.closing.wait()
            Stubborn.running -= 1
            self.ended = True


class Unbuildable(Slate):
    """A driver that cannot be made from its options."""

    def __init__(self, context: DeviceContext | None = None, options: SlateOptions | None = None) -> None:
        raise ValueError("the same wire is already used otherwise")


class QuickSlate(Slate):
    """A device that takes levels without any waiting, texts at most once in ``pace_s``."""

    def put(self, point: str, value: Value) -> None:
        """Take a level now; raises ``error``."""
        self.tried.append((point, value))
        if self.error is not None:
            raise self.error
        self.shown.append((point, value))
