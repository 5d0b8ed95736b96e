"""Makes a journal of any age with the daemon's own core and journal writer: business days of an invented busy hall.

The hall is that of ``decisions.site_of``: areas of ten windows, two of them "+1". Visitors arrive evenly over eight
hours; clerks call, serve and rest between visitors; staff walk to a "+1" window when its lamp blinks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from random import Random

from edged.bench.children import as_table
from edged.bench.decisions import UTC_OFFSET_MIN, WALL_MS, site_of
from edged.core.engine import Engine
from edged.core.model.commands import Desired, Lamp
from edged.core.model.events import ClockSet, Event, KeyPressed, SiteLoaded, Tick, TicketPrinted
from edged.core.model.point import Point
from edged.core.model.site import Site
from edged.observer import Step
from edged.store.journal import Journal
from edged.store.records import is_recorded

KEEP_DAYS = 3650  # the days are in the past: a daemon that keeps 90 would delete them at its first start
DAY_MS = 86_400_000
OPEN_MS = 8 * 3_600_000
WINDOWS, TICKETS_A_DAY = 60, 1_920
SERVICE_S = 600.0
REST_S = 5.0
WALK_S = 60.0
CHECK_S = 15.0  # a clerk without visitors looks up this often
DRAIN_STEPS = 512

DISPENSER = Point("dispenser")
NO_MORE: Mapping[str, str] = {}

Due = tuple[int, int, str, Point]  # hall time, order among equal times, what happens, at which point


class Days:
    """A generator of a hall's journal steps, day after day; the same ``seed`` gives the same steps."""

    def __init__(self, windows: int = WINDOWS, tickets: int = TICKETS_A_DAY, seed: int = 1) -> None:
        self.engine = Engine()
        plain = site_of(windows)
        own = tuple(replace(service, prefix=_prefix(place)) for place, service in enumerate(plain.services))
        self.site = replace(plain, services=own)
        self._tickets = tickets
        self._rng = Random(seed)  # noqa: S311 (visitors, no secrets)
        self._order = count()
        self._due: list[Due] = []
        self._seq = self._issued = 0
        self._panels = {window.panel: window for window in self.site.windows if window.panel}
        self._tidal = {window.lamp: window for window in self.site.windows if window.tidal}

    def day(self, number: int) -> Iterator[tuple[Step, int]]:
        """Yield every step of business day ``number`` (from 0) that the daemon would record in its journal, with the
        hall time (ms) of its event.
        """
        begin_ms = number * DAY_MS
        if number == 0:
            yield from self._feed(begin_ms, SiteLoaded(self.site))
        yield from self._feed(begin_ms, ClockSet(WALL_MS + begin_ms, UTC_OFFSET_MIN))
        for panel, window in self._panels.items():
            if not window.tidal:
                yield from self._feed(begin_ms, KeyPressed(panel, "login"))
                self._plan(begin_ms + self._s(CHECK_S), "next", panel)
        for _ in range(self._tickets):
            self._plan(begin_ms + round(self._rng.uniform(0, OPEN_MS)), "come", DISPENSER)
        end_ms = begin_ms + OPEN_MS + OPEN_MS // 8
        while self._due and self._due[0][0] < end_ms:
            at_ms, _, what, who = heappop(self._due)
            yield from self._act(at_ms, what, who)
        self._due.clear()
        for panel in self._panels:
            yield from self._feed(end_ms, KeyPressed(panel, "logout"))

    def _act(self, at_ms: int, what: str, who: Point) -> Iterator[tuple[Step, int]]:
        if what == "come":
            self._issued += 1
            service = self._rng.choice(self.site.services)
            number = f"{service.prefix}{self._issued % self._tickets + 1:04d}"
            yield from self._feed(at_ms, TicketPrinted(who, number, service.id, seq=self._issued))
            return
        window = self.engine.state.windows[self._panels[who].id]
        if what == "login":
            yield from self._feed(at_ms, KeyPressed(who, "login", self._clerk(who)))
            self._plan(at_ms + self._s(REST_S), "next", who)
        elif what == "finish":
            yield from self._feed(at_ms, KeyPressed(who, "finish"))
            self._plan(at_ms + self._s(REST_S), "next", who)
        elif window.state == "OPEN" and self._someone(self._panels[who].skills):
            yield from self._feed(at_ms, KeyPressed(who, "next"))
            self._plan(at_ms + self._s(self._rng.expovariate(1 / SERVICE_S)), "finish", who)
        elif window.state in ("OPEN", "PAUSED"):
            self._plan(at_ms + self._s(CHECK_S), "next", who)

    def _feed(self, at_ms: int, event: Event) -> Iterator[tuple[Step, int]]:
        """Feed the engine (the core) the ticks that are due, then ``event``; yields the steps to record."""
        engine = self.engine
        while (due_ms := engine.next_due_ms) is not None and due_ms <= at_ms:
            yield from self._step(max(due_ms, engine.state.at_ms), Tick())
        yield from self._step(max(at_ms, engine.state.at_ms), event)

    def _step(self, at_ms: int, event: Event) -> Iterator[tuple[Step, int]]:
        commands, notes = self.engine.handle(at_ms, event)
        for command in commands:
            if (
                isinstance(command, Desired)
                and command.value == Lamp("blink")
                and command.point in self._tidal
            ):
                panel = self._tidal[command.point].panel
                assert panel is not None
                self._plan(at_ms + self._s(WALK_S), "login", panel)
        if is_recorded(event, commands, notes):
            self._seq += 1
            yield Step(self._seq, at_ms, event, commands, notes), at_ms

    def _someone(self, skills: tuple[str, ...]) -> bool:
        return any(
            self.engine.state.queues.get(service, {}).get(kind) for service in skills for kind in ("normal",)
        )

    def _clerk(self, panel: Point) -> str:
        area = self._panels[panel].skills[0].partition("-")[0][1:]
        return f"p{area}-{self._order.__next__() % 2}"

    def _plan(self, at_ms: int, what: str, who: Point) -> None:
        heappush(self._due, (at_ms, next(self._order), what, who))

    def _s(self, seconds: float) -> int:
        return max(1, round(seconds * 1_000))


def _prefix(place: int) -> str:
    """Return the ticket prefix of the service number ``place`` (from 0): A, B, …, Z, AA, AB and so on."""
    return (chr(64 + place // 26) if place >= 26 else "") + chr(65 + place % 26)


def hall_toml(site: Site, broker_port: int, web_port: int, more: Mapping[str, str] = NO_MORE) -> str:
    """Write the text of a hall.toml for ``site`` with the journal ``hall.db`` in the same folder. Every device speaks
    this product's JSON over MQTT.

    ``more``: further devices (people counters, dispensers), as id to kind.
    """
    tables: list[tuple[str, dict[str, object]]] = [
        ("[hall]", {"id": site.hall, "name": site.name}),
        ("[mqtt]", {"port": broker_port}),
        ("[store]", {"path": "hall.db", "keep_days": KEEP_DAYS}),
        ("[web]", {"port": web_port}),
    ]
    kinds = {"dispenser": "dispenser"}
    for area in site.areas:
        tables.append(("[[areas]]", _table(area, "id", "name", "name_en", "displays")))
        kinds |= dict.fromkeys(area.displays, "display")
    of_service = ("id", "area", "name", "name_en", "prefix", "mean_s")
    tables += [("[[services]]", _table(service, *of_service)) for service in site.services]
    of_window = ("id", "number", "skills", "tidal", "panel", "lamp", "evaluator")
    for window in site.windows:
        tables.append(("[[windows]]", _table(window, *of_window)))
        kinds |= {str(window.panel): "panel", str(window.lamp): "lamp"}
        if window.evaluator is not None:
            kinds[window.evaluator] = "evaluator"
    for member in site.staff:
        tables.append(("[[staff]]", _table(member, "id", "name", "skills", "pager")))
        kinds[str(member.pager)] = "pager"
    kinds |= more
    tables += [
        ("[[devices]]", {"id": id_, "driver": "mqtt_json", "kind": kind}) for id_, kind in kinds.items()
    ]
    return "\n\n".join(f"{head}\n{as_table(values)}" for head, values in tables) + "\n"


def _table(part: object, *names: str) -> dict[str, object]:
    values = {name: getattr(part, name) for name in names}
    return {
        name: list(one) if isinstance(one, tuple) else one for name, one in values.items() if one is not None
    }


async def write(
    path: Path,
    days: int,
    progress: Callable[[int], None] = lambda day: None,
    windows: int = WINDOWS,
    tickets: int = TICKETS_A_DAY,
) -> Days:
    """Write a journal of ``days`` business days to ``path``; returns the simulated hall (a ``Days``).
    ``progress(day)`` is called before each day (from 0). ``windows``: windows of the hall; ``tickets``: visitors a day.
    """
    hall = Days(windows, tickets)
    journal = Journal.open(path)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(journal.run())
        try:
            for number in range(days):
                progress(number)
                for step, at_ms in hall.day(number):
                    journal.append(step)
                    day = hall.engine.state.day
                    if journal.dump_due(at_ms, day):
                        journal.snapshot(hall.engine.state, journal.last_seq, at_ms, day or None)
                    if journal.pending >= DRAIN_STEPS:
                        await journal.drain()
                await journal.drain()
            state = hall.engine.state
            journal.snapshot(state, journal.last_seq, state.at_ms, state.day or None)
        finally:
            journal.close()
    return hall
