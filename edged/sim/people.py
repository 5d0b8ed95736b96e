"""Simulated people at the controller's far ends: clerks at panels, "+1" staff with pagers, visitors at dispensers.

They see only what a person would see (panels, pagers) and do only what a person could do (keys, buttons). A key
that had no effect is pressed again after a while, as people do.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edged.core.events import Key, Priority
from edged.core.site import Site, Window
from edged.sim.arrivals import Arrival, habits

LOOK_AGAIN_S = 20.0  # hall seconds until a person presses again a key that did nothing
ACTIVE = ("OPEN", "CALLING", "SERVING", "DRAINING", "PAUSED")


@dataclass(frozen=True, slots=True)
class PanelView:
    """What a clerk reads off the panel. ``waiting`` is 0 where a panel cannot show it and the light is off."""

    state: str
    number: str | None
    waiting: int


@dataclass(frozen=True, slots=True)
class PageView:
    """What a pager shows."""

    id: str
    staff: str
    window: str


class Wires(Protocol):
    """The hall as people can touch it. Implemented over the drivers' own fakes."""

    def panel(self, window: str) -> PanelView | None:
        """What the window's panel shows; None while it was never written."""

    def press(self, window: str, key: Key, arg: str | None = None) -> None:
        """Press a key on a window's panel (panels without that key do the nearest thing they have)."""

    def answer(self, staff: str, accept: bool) -> None:
        """Press accept or decline on a pager."""

    def take_ticket(self, service: str, priority: Priority) -> None:
        """Press a service on a dispenser."""

    async def next_page(self, staff: str) -> PageView:
        """Wait for the next page to this member of staff."""

    async def changed(self, within_s: float) -> None:
        """Wait until any panel shows something else, at most ``within_s`` hall seconds."""

    def now_s(self) -> float:
        """Hall seconds."""

    async def sleep(self, seconds: float) -> None:
        """Sleep hall seconds."""


class Clerk:
    """One person at one window: calls, waits, serves, recalls, gives up on no-shows."""

    def __init__(self, wires: Wires, site: Site, window: Window, seed: int) -> None:
        self._wires = wires
        self._window = window
        self._seed = seed
        self._rng = random.Random(f"{seed}/clerk/{window.id}")
        self._services = {service.prefix: service for service in site.services}

    async def work(self, staff: str | None, until: Callable[[], bool]) -> None:
        """Log in, then serve whoever the panel says, until ``until`` (checked between visitors)."""
        self._wires.press(self._window.id, "login", staff)
        while not until():
            view = self._wires.panel(self._window.id)
            if view is None or view.state in ("CLOSED", "ACTIVATING"):
                if not await self._see(lambda v: v.state in ACTIVE):
                    self._wires.press(self._window.id, "login", staff)
            elif view.state == "OPEN" and view.waiting > 0:
                await self._wires.sleep(self._rng.uniform(2, 8))
                self._wires.press(self._window.id, "next")
                await self._see(lambda v: v.state != "OPEN")
            elif view.number is not None and view.state in ("CALLING", "SERVING", "DRAINING"):
                await self._attend(view.number)
            elif view.state in ("STANDBY", "COOLDOWN"):
                return
            else:
                await self._wires.changed(LOOK_AGAIN_S)  # nobody waits, or the signs are not complete yet

    async def _attend(self, number: str) -> None:
        visitor = habits(self._seed, number, self._services[number.rstrip("0123456789")])
        if not visitor.comes:
            await self._give_up(number)
            return
        await self._wires.sleep(visitor.walk_s)
        if self._window.confirms_arrival:
            self._wires.press(self._window.id, "arrive")
        await self._wires.sleep(visitor.service_s)
        await self._insist("finish", number)

    async def _give_up(self, number: str) -> None:
        for _ in range(4):  # called three times in all; the next key makes it a no-show
            await self._wires.sleep(self._rng.uniform(12, 16))
            view = self._wires.panel(self._window.id)
            if view is None or view.number != number:
                return
            if view.state == "SERVING":  # taken for arrived because nobody said otherwise
                await self._insist("finish", number)
                return
            self._wires.press(self._window.id, "recall")
            if await self._see(lambda v: v.number != number, 3.0):
                return
        await self._insist("no-show", number)

    async def _insist(self, key: Key, number: str) -> None:
        """Press until the panel lets go of ``number`` (a key may be lost while the controller restarts)."""
        while True:
            view = self._wires.panel(self._window.id)
            if view is not None and view.number != number:
                return
            if key == "finish" and view is not None and view.state == "CALLING":
                self._wires.press(self._window.id, "arrive")
                await self._wires.sleep(2.0)
            self._wires.press(self._window.id, key)
            await self._see(lambda v: v.number != number)

    async def _see(self, condition: Callable[[PanelView], bool], seconds: float = LOOK_AGAIN_S) -> bool:
        """True as soon as the panel shows ``condition``; False after ``seconds`` hall seconds."""
        deadline_s = self._wires.now_s() + seconds
        while True:
            view = self._wires.panel(self._window.id)
            if view is not None and condition(view):
                return True
            left_s = deadline_s - self._wires.now_s()
            if left_s <= 0:
                return False
            await self._wires.changed(left_s)


class Helper:
    """A member of the standby roster: answers pages (or never does), walks, serves until the window is given back."""

    def __init__(self, wires: Wires, site: Site, staff: str, seed: int) -> None:
        self._wires = wires
        self._site = site
        self._staff = staff
        self._seed = seed
        self._rng = random.Random(f"{seed}/staff/{staff}")

    async def work(self, answers: bool) -> None:
        """Until cancelled."""
        while True:
            page = await self._wires.next_page(self._staff)
            if not answers:
                continue
            await self._wires.sleep(self._rng.uniform(5, 20))
            self._wires.answer(self._staff, accept=True)
            await self._wires.sleep(self._rng.uniform(30, 100))
            view = self._wires.panel(page.window)
            if view is None or view.state != "ACTIVATING":
                continue  # somebody else took it, or the tide fell
            window = next(window for window in self._site.windows if window.id == page.window)
            await Clerk(self._wires, self._site, window, self._seed).work(self._staff, lambda: False)


async def visit(wires: Wires, coming: list[Arrival]) -> None:
    """Send every visitor to a dispenser at their time after now."""
    opened_s = wires.now_s()
    for arrival in coming:
        await wires.sleep(max(0.0, opened_s + arrival.at_s - wires.now_s()))
        wires.take_ticket(arrival.service, arrival.priority)
