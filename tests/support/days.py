"""Generates a day of a small hall from a seed, feeds it to the real engine as the inbox does, and writes the
journal.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from edged.core.engine import Engine
from edged.core.model.events import (
    ClockSet,
    CommandDone,
    CommandFailed,
    DeviceBack,
    DeviceLost,
    Event,
    Key,
    KeyPressed,
    PolicyApplied,
    RatingGiven,
    Resumed,
    SiteLoaded,
    Tick,
    TicketPrinted,
    TicketRequested,
)
from edged.core.model.point import Point
from edged.core.model.policy import Policy
from edged.core.model.site import Area, Service, Site, Staff, Window
from edged.core.model.state import State
from edged.observer import Step
from edged.store.journal import Journal
from edged.store.records import is_recorded
from edged.store.replay import recover

SITE = Site(
    hall="hall-1",
    name="测试大厅",
    areas=(
        Area("tax", "税务", "Tax", (Point("led-tax"),), Point("voice-1")),
        Area("social", "社保", "Social", (Point("led-social"),)),
    ),
    services=(
        Service("tax-general", "tax", "综合", "General", "A"),
        Service("pension", "social", "养老", "Pension", "B"),
    ),
    windows=(
        Window("w1", "1", ("tax-general",), False, Point("panel-w1"), Point("relay-1/1"), Point("led-w1")),
        Window("w2", "2", ("pension",), False, Point("panel-w2"), Point("relay-1/2"), Point("led-w2")),
        Window(
            "w3",
            "3",
            ("tax-general", "pension"),
            True,
            Point("panel-w3"),
            Point("relay-1/3"),
            Point("led-w3"),
        ),
    ),
    staff=(Staff("li", "李", ("tax", "social"), Point("pager-1")),),
    duty_pager=Point("pager-duty"),
)
PANELS = ("panel-w1", "panel-w2", "panel-w3", "pager-1", "pager-duty")


class Hall:
    """A hall from one start to the next over a journal: it restores the state, then takes events, each after the ticks
    due before it.
    """

    def __init__(self, path: Path) -> None:
        self.journal = Journal.open(path)
        restored = self.journal.restore(State)
        self.engine = Engine(restored.state)
        self.last_ms = self.now_ms = recover(self.engine, restored).last_ms
        self.actions: list[str] = []
        if restored.last_seq:
            self.ticks(self.last_ms)
            self.turn(self.last_ms, Resumed(60_000, restart=True))
            self.now_ms += 60_000

    def feed(self, at_ms: int, event: Event) -> None:
        """Handle ``event`` at ``at_ms``, after the ticks due by then."""
        self.ticks(at_ms)
        self.last_ms = max(self.last_ms, at_ms)
        self.turn(self.last_ms, event)

    def ticks(self, until_ms: int) -> None:
        """Let time run until ``until_ms`` and handle each tick at the time at which it is due, as the inbox gives
        it.
        """
        self.now_ms = max(self.now_ms, until_ms)
        while (due_ms := self.engine.next_due_ms) is not None and due_ms <= until_ms:
            self.last_ms = max(due_ms, self.last_ms)
            self.turn(self.last_ms, Tick())

    def turn(self, at_ms: int, event: Event) -> None:
        """Handle one event in the engine, and append the step to the journal, except a tick without effect."""
        commands, notes = self.engine.handle(at_ms, event)
        self.actions += [command.id for command in commands if hasattr(command, "id")]
        if is_recorded(event, commands, notes):
            self.journal.append(Step(self.journal.last_seq + 1, at_ms, event, commands, notes))

    def dump(self) -> None:
        """Write a state dump after the last step."""
        self.journal.snapshot(self.engine.state, self.journal.last_seq, self.last_ms)


async def write_day(path: Path, seed: int, lives: int = 3, events: int = 120) -> None:
    """Write a journal of ``lives`` runs of ``events`` events each. About half of the runs end cleanly, with a state
    dump.
    """
    chance = random.Random(seed)
    for life in range(lives):
        hall = Hall(path)
        if life == 0:
            hall.feed(0, ClockSet(1_790_000_000_000, 480))
            hall.feed(5, SiteLoaded(SITE))
        for number in range(events):
            hall.feed(hall.now_ms + _gap_ms(chance), _event(chance, hall, life * events + number))
            if chance.random() < 0.03:
                hall.ticks(hall.now_ms + 30_000)
                hall.dump()
        if chance.random() < 0.5:
            hall.ticks(hall.now_ms + 400_000)
            hall.dump()
        await hall.journal.drain()
        hall.journal.close()


def _gap_ms(chance: random.Random) -> int:
    return chance.choice((0, 1, 200, 5_000, 20_000, 90_000, 400_000))


def _event(chance: random.Random, hall: Hall, number: int) -> Event:
    panel = chance.choice(PANELS)
    kinds: list[tuple[int, Callable[[], Event]]] = [
        (
            30,
            lambda: TicketRequested(
                Point("dispenser-1"), chance.choice(("tax-general", "pension")), "normal", number
            ),
        ),
        (
            10,
            lambda: TicketPrinted(
                Point("dispenser-2"), f"A{number % 60:03}", "tax-general", "elderly", number
            ),
        ),
        (
            40,
            lambda: KeyPressed(
                Point(panel), chance.choice(("next", "arrive", "finish", "login", "accept")), None, number
            ),
        ),
        (15, lambda: KeyPressed(Point(panel), chance.choice(get_args(Key)), None, number)),
        (3, lambda: RatingGiven(Point("panel-w1"), 5, number)),
        (4, lambda: DeviceLost(Point("relay-1"), "silent")),
        (4, lambda: DeviceBack(Point("relay-1"))),
        (8, lambda: CommandDone(chance.choice(hall.actions or ["a0"]))),
        (4, lambda: CommandFailed(chance.choice(hall.actions or ["a0"]), "no paper")),
        (1, lambda: PolicyApplied(number + 1, f"{number:064x}", Policy())),
    ]
    make = chance.choices([one for _, one in kinds], [weight for weight, _ in kinds])[0]
    return make()
