"""The demo's timetable: what happens in addition to its ordinary visitors, such as appointments, journeys, pauses,
cases and orders of the city.

Times of day are minutes after midnight; what is before the demo's start is left out. The duty manager and the clerk of
the case window act like the other people: they read panels and pagers, and press keys.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edged.core.model.site import Site, Window
from edged.sim.centre import DemoCentre
from edged.sim.people import DUTY, LOOK_AGAIN_S, DemoClerk
from edged.sim.rota import Rota
from edged.sim.wires import HallWires

Beat = tuple[int, Callable[[], None]]
DUTY_NAME = "赵敏"
BLOCK = 6  # appointments of a block
EARLY_S = (240.0, 900.0)  # hall seconds before the appointment at which its visitor checks in
BAD = "Bad rating"  # beginning of the page's text
NEW_CASE = "New case"
CASE_WAITS = "Case waits: "  # beginning of the text on a case window's panel
WAITS_TO_RATE_S = 600.0  # until the evaluator asks about a closed case
SHORT_S, LONG_S = 240.0, 960.0  # hall seconds of a pause within the limit, and of one beyond it


@dataclass(frozen=True, slots=True)
class Cast:
    """The people and devices that take part in the demo's timetable. ``clerks``: by window id."""

    wires: HallWires
    centre: DemoCentre
    clerks: dict[str, DemoClerk]
    rota: Rota
    seed: int


class Story:
    """The timetable of one run of the demo; ``run`` carries it out. ``starts_min``: the demo's start, in minutes after
    midnight; ``wall_ms`` returns the hall's wall time.
    """

    def __init__(self, cast: Cast, starts_min: int, wall_ms: Callable[[], int]) -> None:
        self._starts_min = starts_min
        self._cast = cast
        self._wall_ms = wall_ms
        self._dice = random.Random(f"{cast.seed}/story")

    async def run(self) -> None:
        """Do everything in the timetable at its time of day."""
        async with asyncio.TaskGroup() as self._under_way:
            for minute, act in sorted(self._timetable(), key=lambda beat: beat[0]):
                if minute >= self._starts_min:  # if its time passed during the start, it is done late
                    await self._cast.wires.sleep(max(0.0, minute - self._cast.rota.minute()) * 60)
                    act()

    def _timetable(self) -> list[Beat]:
        clock = _at
        return [
            (clock(8, 33), lambda: self._block("am", ("biz-change", "estate-mortgage"), clock(9, 0))),
            (clock(8, 36), lambda: self._take("open-shop")),
            (clock(8, 38), lambda: self._take("new-employee")),
            (clock(8, 40), lambda: self._plan("w5", pause=("errand", LONG_S))),
            (clock(8, 42), lambda: self._plan("w2", transfer="fund")),
            (clock(8, 44), lambda: self._plan("w3", pause=("rest", SHORT_S))),
            (clock(8, 46), lambda: self._take("unresolved")),
            (clock(8, 47), lambda: self._plan("w2", papers="photo,id-copy")),
            (clock(8, 48), lambda: self._plan("w1", level=1)),
            (clock(8, 52), lambda: self._cast.wires.press("w3", "commissioner")),
            (clock(8, 50), lambda: self._cast.wires.press("w6", "special-need")),
            (clock(8, 51), lambda: self._duty("roster", "also sun tax")),
            (clock(8, 55), lambda: self._duty("force-open", "w14 biz for_s=1200")),
            (clock(9, 0), lambda: self._plan("w6", case_code="papers")),
            (clock(9, 2), lambda: self._come_back("w2")),
            (clock(9, 40), lambda: self._come_back("w2")),
            (clock(9, 5), lambda: self._announce("雨天路滑，请注意安全", "Mind the wet floor, please")),
            (clock(10, 30), lambda: self._take("open-shop")),
            (clock(10, 40), lambda: self._plan("w7", transfer="tax-general")),
            (clock(10, 50), lambda: self._plan("w1", papers="contract")),
            (clock(11, 0), lambda: self._plan("w4", level=2)),
            (clock(11, 20), lambda: self._come_back("w1")),
            (clock(11, 50), lambda: self._come_back("w1")),
            (clock(13, 40), lambda: self._block("pm", ("biz-start", "tax-invoice"), clock(14, 15))),
            (clock(14, 0), lambda: self._take("new-employee")),
            (clock(14, 20), lambda: self._plan("w1", transfer="biz")),
            (clock(14, 40), lambda: self._plan("w2", pause=("meeting", LONG_S))),
            (clock(15, 0), lambda: self._take("unresolved")),
            (clock(16, 30), lambda: self._announce("今日17时停止办理", "The hall closes at five")),
            (clock(17, 5), lambda: self._plan("w1", level=5)),
        ]

    def _plan(self, window: str, **plan: Any) -> None:
        for name, value in plan.items():
            setattr(self._cast.clerks[window].plans, name, value)

    def _take(self, service: str) -> None:
        self._cast.wires.take_ticket(service, "normal")

    def _come_back(self, window: str) -> None:
        """Let all visitors whom the clerk of ``window`` has sent to fetch papers come back now."""
        sent_away = self._cast.clerks[window].plans.sent_away
        while sent_away:
            self._cast.wires.come_back(sent_away.pop())

    def _duty(self, key: Any, arg: str) -> None:
        self._cast.wires.press_pager(DUTY, key, arg)

    def _announce(self, text: str, text_en: str) -> None:
        self._cast.centre.order("announce", {"text": text, "text_en": text_en})

    def _block(self, name: str, services: tuple[str, ...], first_min: int) -> None:
        """Book ``BLOCK`` appointments for these services in turn, ten minutes apart from ``first_min`` (minutes after
        midnight). ``name``: the first part of their ids. The visitors come a little before their time.
        """
        midnight_ms = self._wall_ms() - round(self._cast.rota.minute() * 60_000)
        for place in range(BLOCK):
            service, minute = services[place % len(services)], first_min + 10 * place
            booking = f"{name}-{place + 1}"
            self._cast.centre.book(booking, service, midnight_ms + minute * 60_000)
            self._under_way.create_task(self._check_in(booking, service, minute))

    async def _check_in(self, booking: str, service: str, minute: int) -> None:
        early_s = self._dice.uniform(*EARLY_S)
        await self._cast.wires.sleep(max(60.0, (minute - self._cast.rota.minute()) * 60 - early_s))
        self._cast.wires.take_ticket(service, "normal", booking)


async def manage(wires: HallWires, seed: int) -> None:
    """Play the duty manager (值班长): log in, accept pages and settle bad ratings, until cancelled. Pages about cases
    are left to the case window.
    """
    dice = random.Random(f"{seed}/duty")
    wires.press_pager(DUTY, "login", DUTY_NAME)
    while True:
        page = await wires.next_page(DUTY)
        if NEW_CASE in page.text:
            continue  # the clerk of the case window handles it
        await wires.sleep(dice.uniform(15, 60))
        if BAD in page.text:
            await wires.sleep(dice.uniform(60, 180))
            wires.press_pager(DUTY, "answer", "visited")
        else:
            wires.press_pager(DUTY, "accept")


async def look_after_cases(wires: HallWires, site: Site, seed: int) -> None:
    """Play the clerk of the case window (办不成事反映窗口): read the panel, acknowledge and close cases. Visitors then
    rate how their cases were handled. Runs until cancelled.
    """
    case_services = {service.id for service in site.services if service.case}
    window = next(window for window in site.windows if case_services & set(window.skills))
    dice = random.Random(f"{seed}/cases")
    async with asyncio.TaskGroup() as open_cases:
        seen: set[str] = set()
        while True:
            view = wires.panel(window.id)
            _, found, case = ("" if view is None else view.prompt).partition(CASE_WAITS)
            if found and case not in seen:
                seen.add(case)
                open_cases.create_task(_solve(wires, window, case, dice))
            await wires.changed(LOOK_AGAIN_S)


async def _solve(wires: HallWires, window: Window, case: str, dice: random.Random) -> None:
    await wires.sleep(dice.uniform(30, 120))
    wires.press(window.id, "case", f"ack {case}")
    await wires.sleep(dice.uniform(600, 1500))
    wires.press(window.id, "case", f"close {case} solved")
    goes_s = wires.now_s() + WAITS_TO_RATE_S
    while wires.now_s() < goes_s:
        if wires.asked_about(window.id) == case:
            await wires.sleep(dice.uniform(5, 30))
            wires.rate(window.id, dice.choice((4, 5)))
            return
        await wires.changed(LOOK_AGAIN_S)


def _at(hour: int, minute: int) -> int:
    return hour * 60 + minute
