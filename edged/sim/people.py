"""Simulated people who use the hall's devices: clerks at panels, "+1" staff with pagers, visitors at dispensers.

They see only what real people would see (panels, pagers) and do only what these could do (keys, buttons). If a key has
no effect, they press it again after a while.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from edged.core.model.events import Key, Priority
from edged.core.model.site import Site, Window
from edged.sim.arrivals import Arrival, habits
from edged.sim.rota import Rota

DUTY = "duty-manager"
LOOK_AGAIN_S = 20.0  # hall seconds between looks at a panel that shows nothing new
ACTIVE = ("OPEN", "CALLING", "SERVING", "DRAINING", "PAUSED")


@dataclass(frozen=True, slots=True)
class PanelView:
    """What a clerk reads on the call panel. ``number``: the ticket at the window, None if there is none; ``waiting``:
    how many people wait (on a panel that cannot show it: 1 if its light says that the clerk may call, else 0);
    ``prompt``: the panel's line of text.
    """

    state: str
    number: str | None
    waiting: int
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class PageView:
    """What a pager shows of one page (the call that asks a member of staff to open a window). ``window`` None: the page
    is about something else.
    """

    id: str
    staff: str
    window: str | None
    text: str = ""


class Touchable(Protocol):
    """The devices of a hall as people use them. A Protocol: ``HallWires`` implements it over the drivers' own fakes."""

    def panel(self, window: str) -> PanelView | None:
        """What the window's panel shows; None if it never showed anything."""

    def press(self, window: str, key: Key, arg: str | None = None) -> None:
        """Press a key on a window's panel. If the panel has no such key, press the most similar one, if any."""

    def answer(self, staff: str, accept: bool) -> None:
        """Press accept or decline on a pager."""

    def rate(self, window: str, level: int) -> None:
        """Press rating ``level`` (5 best, 1 worst) on the window's evaluator: its own or the keys of its panel."""

    def take_ticket(self, service: str, priority: Priority, appointment: str | None = None) -> None:
        """Press the button of a service or journey (several services in order) at a dispenser. ``appointment``: the id
        of an appointment to present there. A visitor who sees that no numbers are issued leaves.
        """

    def come_back(self, number: str) -> None:
        """Present an earlier number at a dispenser, to be served again without a new one (二次通行)."""

    async def next_page(self, staff: str) -> PageView:
        """Wait for the next page (call on the pager) to this member of staff."""

    async def changed(self, within_s: float) -> None:
        """Wait until any panel changes, at most ``within_s`` seconds of hall time (the demo's runs faster)."""

    @property
    def patience_s(self) -> float:
        """Hall seconds after which a person presses a key again if it had no effect."""

    def now_s(self) -> float:
        """The present hall time in seconds; only differences have a meaning."""

    async def sleep(self, seconds: float) -> None:
        """Sleep ``seconds`` of hall time."""


@dataclass(slots=True)
class Plans:
    """Events planned at one window. Each happens once, to the next visitor there or (``pause``) when the window is
    free; None: it does not happen.

    ``transfer``: area or window to which the visitor is sent; ``pause``: (reason, hall seconds); ``level``: the rating
    given; ``case_code``: code of a case (办不成事) that the clerk opens for the visitor; ``papers``: papers that the
    visitor must fetch (一次性告知). ``sent_away``: numbers of the visitors who were sent for papers and will come back.
    """

    transfer: str | None = None
    pause: tuple[str, float] | None = None
    level: int | None = None
    case_code: str | None = None
    papers: str | None = None
    sent_away: list[str] = field(default_factory=list)


class DemoClerk:
    """A clerk at one window: calls, waits, serves, recalls, marks no-shows, has lunch, goes home.

    ``plans``: events that a timetable plans for this window.
    """

    def __init__(
        self, wires: Touchable, site: Site, window: Window, seed: int, rota: Rota | None = None
    ) -> None:
        self.plans = Plans()
        self._rota = rota
        self._wires = wires
        self._window = window
        self._seed = seed
        self._rng = random.Random(f"{seed}/clerk/{window.id}")
        self._services = {service.prefix: service for service in site.services}

    async def work(self, staff: str | None, until: Callable[[], bool]) -> None:
        """Log in, then serve the visitors shown on the panel until ``until()`` is true (asked between visitors), the
        "+1" window is released, or the day is over. ``staff``: id to log in with, None for the window's own clerk.
        """
        self._wires.press(self._window.id, "login", staff)
        if self._window.tidal:
            await self._see(lambda v: v.state not in ("STANDBY", "COOLDOWN", "ACTIVATING"))
        while not until():
            view = self._wires.panel(self._window.id)
            free = view is None or view.number is None
            if self._rota is not None and free and self._rota.at_lunch(self._window.id):
                await self._lunch(staff)
            elif view is None or view.state in ("CLOSED", "ACTIVATING"):
                if self._rota is not None and self._rota.day_over(self._window.id):
                    return
                if not await self._see(lambda v: v.state in ACTIVE):
                    self._wires.press(self._window.id, "login", staff)
            elif view.state == "OPEN" and self.plans.pause is not None:
                await self._pause(*self.plans.pause)
            elif view.state == "OPEN" and view.waiting > 0:
                await self._wires.sleep(self._rng.uniform(2, 8))
                self._wires.press(self._window.id, "next")
                await self._see(lambda v: v.state != "OPEN")
            elif view.number is not None and view.state in ("CALLING", "SERVING", "DRAINING"):
                await self._attend(view.number)
            elif view.state in ("CONSULTING", "INVITED"):
                await self._consult(view.state)
            elif view.state in ("STANDBY", "COOLDOWN"):
                return
            else:
                await self._wires.changed(LOOK_AGAIN_S)  # nobody waits, or the panel is not complete yet

    async def _consult(self, state: str) -> None:
        """Answer questions of people without a number. If invited to open the window: accept, or ask to be invited
        later.
        """
        if state == "INVITED":
            await self._wires.sleep(self._rng.uniform(5, 30))
            self._wires.press(self._window.id, "later" if self._rng.random() < 0.3 else "accept")
            await self._see(lambda v: v.state != "INVITED")
        else:
            await self._wires.sleep(self._rng.uniform(20, 90))
            view = self._wires.panel(self._window.id)
            if view is not None and view.state == "CONSULTING":
                self._wires.press(self._window.id, "walk-direct")

    async def _attend(self, number: str) -> None:
        visitor = habits(self._seed, number, self._services[number.rstrip("0123456789")])
        if not visitor.comes:
            await self._give_up(number)
            return
        await self._wires.sleep(visitor.walk_s)
        if self._window.confirms_arrival:
            self._wires.press(self._window.id, "arrive")
        await self._wires.sleep(visitor.service_s)
        view = self._wires.panel(self._window.id)
        if view is None or view.number != number:
            return  # one key too many has ended the visit
        plans, target = self.plans, self.plans.transfer
        if plans.case_code is not None:
            self._wires.press(self._window.id, "case", plans.case_code)
            plans.case_code = None
            await self._wires.sleep(2.0)
        plans.transfer = None
        outcome = target
        if target is None and plans.papers is not None:
            outcome, plans.papers = f"told-once/{plans.papers}", None
            plans.sent_away.append(number)
        await self._insist("finish" if target is None else "transfer", number, outcome)
        level = visitor.level if plans.level is None else plans.level
        if level is not None and target is None:
            plans.level = None
            self._wires.rate(self._window.id, level)

    async def _pause(self, reason: str, seconds: float) -> None:
        self._wires.press(self._window.id, "pause", reason)
        if not await self._see(lambda v: v.state == "PAUSED"):
            return  # somebody was called just then
        self.plans.pause = None
        await self._wires.sleep(seconds)
        while (view := self._wires.panel(self._window.id)) is not None and view.state == "PAUSED":
            self._wires.press(self._window.id, "unpause")
            await self._see(lambda v: v.state != "PAUSED")

    async def _lunch(self, staff: str | None) -> None:
        """Log out (if the panel can) and be away until the lunch break is over."""
        assert self._rota is not None
        self._wires.press(self._window.id, "logout")
        while self._rota.at_lunch(self._window.id):
            await self._wires.sleep(LOOK_AGAIN_S)
        self._wires.press(self._window.id, "login", staff)

    async def _give_up(self, number: str) -> None:
        for _ in range(4):  # called three times in all; the next key makes it a no-show
            await self._wires.sleep(self._rng.uniform(12, 16))
            view = self._wires.panel(self._window.id)
            if view is None or view.number != number:
                return
            if view.state == "SERVING":  # the core assumed that the visitor arrived
                await self._insist("finish", number)
                return
            self._wires.press(self._window.id, "recall")
            if await self._see(lambda v: v.number != number, 3.0):
                return
        await self._insist("no-show", number)

    async def _insist(self, key: Key, number: str, arg: str | None = None) -> None:
        """Press ``key`` again and again until the panel no longer shows ``number``: a press may be lost while the
        daemon restarts.
        """
        while True:
            view = self._wires.panel(self._window.id)
            if view is not None and view.number != number:
                return
            if key == "finish" and view is not None and view.state == "CALLING":
                self._wires.press(self._window.id, "arrive")
                await self._wires.sleep(2.0)
            self._wires.press(self._window.id, key, arg)
            await self._see(lambda v: v.number != number)

    async def _see(self, condition: Callable[[PanelView], bool], seconds: float | None = None) -> bool:
        """Wait until the panel fulfils ``condition``; False if it does not within ``seconds`` hall seconds (None:
        ``patience_s``).
        """
        deadline_s = self._wires.now_s() + (self._wires.patience_s if seconds is None else seconds)
        while True:
            view = self._wires.panel(self._window.id)
            if view is not None and condition(view):
                return True
            left_s = deadline_s - self._wires.now_s()
            if left_s <= 0:
                return False
            await self._wires.changed(left_s)


class Helper:
    """A member of the standby roster (staff for "+1" windows): answers pages, walks to the window, serves until the
    hall releases it.
    """

    def __init__(self, wires: Touchable, site: Site, staff: str, seed: int) -> None:
        self._wires = wires
        self._site = site
        self._staff = staff
        self._seed = seed
        self._rng = random.Random(f"{seed}/staff/{staff}")

    async def work(self, answers: Callable[[], bool]) -> None:
        """Wait for pages and work until cancelled. ``answers()`` is called for each page that asks for a window to be
        opened, and decides whether it is answered.
        """
        while True:
            page = await self._wires.next_page(self._staff)
            if page.window is None or not answers():
                continue
            await self._wires.sleep(self._rng.uniform(5, 20))
            self._wires.answer(self._staff, accept=True)
            await self._wires.sleep(self._rng.uniform(30, 100))
            view = self._wires.panel(page.window)
            if view is None or view.state != "ACTIVATING":
                continue  # somebody else opened the window, or it is no longer needed
            window = next(window for window in self._site.windows if window.id == page.window)
            await DemoClerk(self._wires, self._site, window, self._seed).work(self._staff, lambda: False)


async def visit(wires: Touchable, coming: list[Arrival]) -> None:
    """Let each visitor of ``coming`` take a ticket at a dispenser, ``at_s`` hall seconds after this call."""
    opened_s = wires.now_s()
    for arrival in coming:
        await wires.sleep(max(0.0, opened_s + arrival.at_s - wires.now_s()))
        wires.take_ticket(arrival.service, arrival.priority)
