"""The people of a world: clerks with habits, standby staff with pagers, visitors with numbers. They see only panels and
pagers.

Habits depend on the seed: a clerk with one button presses "next" for everything, another forgets half of the keys.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from random import Random
from typing import Protocol

from edged.core.model.events import DeviceEvent, Key, KeyPressed, RatingGiven, TicketPrinted, TicketRequested
from edged.core.model.point import point_of
from edged.core.model.site import Site, Window
from edged.sim.arrivals import Arrival, habits
from edged.sim.worlds.faults import WorldFaults
from edged.sim.worlds.world import LOOK_MS, MINUTE_MS, SECOND_MS, Process

STUCK_PRESSES = 50
ACTIVE = ("OPEN", "CALLING", "SERVING", "DRAINING", "PAUSED")
ASIDE: tuple[Key, ...] = (  # what a clerk presses by mistake or for a reason of their own
    "recall",
    "arrive",
    "park",
    "resume",
    "transfer",
    "pause",
    "unpause",
    "special-need",
    "case",
    "commissioner",
    "accept",
    "decline",
    "next-or-recall",
    "no-show-or-finish",
)
CONSULT_SHARE = 0.25  # share of the tidal windows at rest whose clerk answers questions (业务咨询)
PATIENCE = 6  # a clerk looks this often at an unchanged panel before pressing again


class PanelSeen(Protocol):
    """What a person reads on a call panel: the window's state, the number of the ticket there, and how many wait. A
    Protocol, because it comes from the core's value in worlds of the core alone, and from the driver's fake in those of
    a whole daemon.
    """

    @property
    def state(self) -> str: ...
    @property
    def number(self) -> str | None: ...
    @property
    def waiting(self) -> int: ...


class PageSeen(Protocol):
    """What a person reads on a pager: the window to which the page calls them, None for a page about something else. A
    Protocol for the same reason as ``PanelSeen``.
    """

    @property
    def window(self) -> str | None: ...


class Stage(Protocol):
    """The hall as its people use it; implemented by ``World`` (the core alone) and by ``DaemonWorld`` (a whole
    daemon).
    """

    @property
    def seed(self) -> int: ...
    @property
    def site(self) -> Site: ...
    @property
    def faults(self) -> WorldFaults: ...
    @property
    def numbers(self) -> list[str]: ...
    @property
    def now_ms(self) -> int: ...
    def panel(self, window: str) -> PanelSeen | None: ...
    def pages_of(self, staff: str) -> Sequence[PageSeen]: ...
    def send(self, event: DeviceEvent) -> None: ...
    def start(self, process: Process, delay_ms: int = 0) -> None: ...


class WorldClerk:
    """A clerk at one window, with habits that depend on the seed. ``staff``: id to log in with, None for the window's
    own clerk.
    """

    def __init__(self, world: Stage, window: Window, staff: str | None) -> None:
        self._world = world
        self._window = window
        self._staff = staff
        self._rng = Random(f"{world.seed}/clerk/{window.id}")
        self._one_button = self._rng.random() < 0.3 and not window.tidal
        self._services = {service.prefix: service for service in world.site.services}

    def work(self, until: Callable[[], bool]) -> Process:
        """Log in, serve the visitors that the panel shows, and log out when ``until()`` is true. Ends early if a "+1"
        window is released.
        """
        self._press("login", self._staff)
        looks = 0
        while not until():
            view = self._world.panel(self._window.id)
            if view is None:
                yield LOOK_MS
                continue
            if view.state == "CLOSED":
                self._press("login", self._staff)
                yield LOOK_MS
            elif view.state in ("STANDBY", "COOLDOWN", "ACTIVATING") and self._window.tidal:
                looks += 1
                if view.state == "ACTIVATING":
                    self._press("login", self._staff)
                elif looks > 2:
                    return
                yield LOOK_MS
            elif view.state in ("CONSULTING", "INVITED"):
                if not (yield from self._consult(view)):
                    return
            elif view.state == "PAUSED":
                yield self._rng.randrange(30_000, 600_000)
                self._press("unpause")
                yield LOOK_MS
            elif view.state == "OPEN" and view.waiting > 0:
                yield self._rng.randrange(2_000, 8_000)
                self._press("next")
                yield LOOK_MS
            elif view.number is not None:
                yield from self._attend(view)
            else:
                yield LOOK_MS
        yield from self._leave()

    def _consult(self, view: PanelSeen) -> Generator[int, None, bool]:
        """Answer questions of people without a number. If invited to open the window: accept, postpone, decline or
        ignore it.

        Returns False if the clerk logged out and left.
        """
        yield self._rng.randrange(2 * LOOK_MS, 60_000)
        if view.state == "INVITED":
            answers: tuple[Key | None, ...] = ("accept", "next", "later", "decline", None)
            answer = self._rng.choice(answers)
            if answer is not None:
                self._press(answer)
        elif self._rng.random() < 0.05:
            self._press("logout")
            yield LOOK_MS
            return False
        else:
            keys: tuple[Key, ...] = ("walk-direct", "walk-direct", "special-need", "next")
            self._press(self._rng.choice(keys))
        yield LOOK_MS
        return True

    def _leave(self) -> Process:
        for _ in range(PATIENCE * 100):
            view = self._world.panel(self._window.id)
            if view is not None and view.number is not None:
                yield from self._attend(view)
            elif view is not None and view.state in ("CLOSED", "STANDBY", "COOLDOWN", "ACTIVATING"):
                return
            elif view is not None and view.state in ("CONSULTING", "INVITED"):
                self._press("logout")
            elif view is not None:
                self._press("unpause" if view.state == "PAUSED" else "logout")
            yield LOOK_MS

    def _attend(self, view: PanelSeen) -> Process:
        assert view.number is not None
        service = self._services.get(view.number.rstrip("0123456789"))
        if service is None:  # the number comes from a random event (``wild.py``)
            yield LOOK_MS
            self._press("finish" if view.state != "CALLING" else "no-show")
            return
        visitor = habits(self._world.seed, view.number, service)
        if not visitor.comes:
            yield from self._give_up(view.number)
            return
        yield round(visitor.walk_s * SECOND_MS)
        if self._window.confirms_arrival and not self._one_button:
            self._press("arrive")
        yield round(visitor.service_s * SECOND_MS)
        if self._rng.random() < self._world.faults.forgotten_share:
            yield self._rng.randrange(60_000, 1_200_000)
        yield from self._insist(
            "next" if self._one_button and not self._window.tidal else "finish", view.number
        )
        if self._rng.random() < 0.5 and self._window.panel is not None:
            self._world.send(RatingGiven(self._window.panel, self._rng.choice((5, 5, 5, 4, 3, 2, 1))))

    def _give_up(self, number: str) -> Process:
        for _ in range(PATIENCE):
            yield self._rng.randrange(12_000, 16_000)
            view = self._world.panel(self._window.id)
            if view is None or view.number != number:
                return
            if view.state == "SERVING":
                yield from self._insist("finish", number)
                return
            self._press("recall")
        yield from self._insist("no-show", number)

    def _insist(self, key: Key, number: str) -> Process:
        while True:
            view = self._world.panel(self._window.id)
            if view is not None:
                if view.number != number:
                    return
                if view.state == "PAUSED":
                    self._press("unpause")
                    yield SECOND_MS
                self._press("arrive" if key == "finish" and view.state == "CALLING" else key)
            yield LOOK_MS + self._rng.randrange(LOOK_MS)

    def _press(self, key: Key, arg: str | None = None) -> None:
        point, faults = self._window.panel, self._world.faults
        if point is None:
            return
        if self._rng.random() < faults.wrong_key_share:
            self._world.send(KeyPressed(point, self._rng.choice(ASIDE), self._mistaken_argument()))
        self._world.send(KeyPressed(point, key, arg))
        if self._rng.random() < faults.twice_share:
            self._world.send(KeyPressed(point, key, arg))
        if faults.stuck_per_h and self._rng.random() < faults.stuck_per_h / 500:
            for _ in range(STUCK_PRESSES):
                self._world.send(KeyPressed(point, key, arg))

    def _mistaken_argument(self) -> str | None:
        """Draw what a key that is pressed by mistake comes with (its argument): a name, a number, or None."""
        site = self._world.site
        return self._rng.choice(
            (
                None,
                "meal",
                self._rng.choice(site.services).id,
                self._rng.choice(site.windows).id,
                self._rng.choice(self._world.numbers[-20:] or ["A001"]),
            )
        )


def staff_hall(world: Stage, rng: Random, day: int, over: Callable[[], bool]) -> None:
    """Start the clerks of day ``day`` at random moments of its first five minutes; they leave when ``over()`` is true.
    On the first day (0) also start the standby staff, for all days.
    """
    for window in world.site.windows:
        if not window.tidal:
            world.start(WorldClerk(world, window, None).work(over), rng.randrange(5 * MINUTE_MS))
        elif Random(f"{world.seed}/{day}/consults/{window.id}").random() < CONSULT_SHARE:
            world.start(
                WorldClerk(world, window, f"desk-{window.id}").work(over), rng.randrange(5 * MINUTE_MS)
            )
    if day == 0:
        for member in world.site.staff:
            world.start(stand_by(world, member.id))


def stand_by(world: Stage, staff: str) -> Process:
    """Play a member of the standby roster (staff for "+1" windows) for ever: answer pages, walk to the window, serve
    until the hall releases it.
    """
    rng = Random(f"{world.seed}/staff/{staff}")
    pager = next(member.pager for member in world.site.staff if member.id == staff)
    answered = 0
    while True:
        pages = world.pages_of(staff)
        if len(pages) <= answered:
            yield LOOK_MS
            continue
        page, answered = pages[-1], len(pages)
        if page.window is None or rng.random() < world.faults.deaf_share:
            continue
        yield rng.randrange(5_000, 20_000)
        if pager is not None:
            world.send(KeyPressed(pager, "decline" if rng.random() < 0.05 else "accept"))
        yield rng.randrange(30_000, 100_000)
        view = world.panel(page.window)
        window = next((one for one in world.site.windows if one.id == page.window), None)
        if view is not None and window is not None and view.state == "ACTIVATING":
            yield from WorldClerk(world, window, staff).work(lambda: False)


def take_tickets(world: Stage, coming: list[Arrival], dispenser: str) -> Process:
    """Let the visitors ``coming`` use a dispenser at their times of arrival, counted from now. For some services, drawn
    by the seed, it prints its own numbers; for the others it asks the hall.
    """
    opened_ms = world.now_ms
    rng = Random(f"{world.seed}/{dispenser}")
    printed = {service.id: rng.random() < 0.5 for service in world.site.services}
    prefixes = {service.id: service.prefix for service in world.site.services}
    last: dict[str, int] = {}
    for arrival in coming:
        yield max(1, opened_ms + round(arrival.at_s * SECOND_MS) - world.now_ms)
        if not printed[arrival.service]:
            world.send(TicketRequested(point_of(dispenser), arrival.service, arrival.priority))
            continue
        if rng.random() >= world.faults.repeat_share:
            last[arrival.service] = last.get(arrival.service, 0) + 1
        number = f"{prefixes[arrival.service]}{max(1, last.get(arrival.service, 1)):03d}"
        world.send(TicketPrinted(point_of(dispenser), number, arrival.service, arrival.priority))
