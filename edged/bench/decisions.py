"""Measures how long the core needs for one decision (one event), by the size of the hall: in this process, without
I/O.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edged.bench.meter import quantile
from edged.clock import perf_s, thread_s
from edged.core.engine import Engine
from edged.core.model.events import ClockSet, Event, KeyPressed, SiteLoaded, Tick, TicketPrinted
from edged.core.model.point import point_of
from edged.core.model.site import Area, Service, Site, Staff, Window

OPENING_MS = 9 * 3_600_000
WALL_MS = 1_763_946_000_000  # a Monday, nine o'clock in Shanghai
UTC_OFFSET_MIN = 480
WINDOWS_PER_AREA = 10
TIDAL_PER_AREA = 2
# windows -> people waiting in the whole hall
SIZES = {10: 300, 60: 2_000, 200: 5_000, 1_000: 10_000}
DISPENSER = point_of("dispenser")
STEP_MS = 100  # hall time between events: a few times the busiest second of the largest hall


@dataclass(frozen=True, slots=True)
class Size:
    """A size of hall to measure: ``windows`` windows, ``waiting`` people waiting."""

    windows: int
    waiting: int


def site_of(windows: int) -> Site:
    """Make a hall's site: areas of ten windows (two of them "+1"), two services in each area, one member of staff for
    each "+1" window.
    """
    areas, services, made, staff = [], [], [], []
    for a in range(max(1, windows // WINDOWS_PER_AREA)):
        area = f"a{a}"
        areas.append(Area(area, area, area, displays=(point_of(f"screen-{a}"),)))
        pair = tuple(f"s{a}-{n}" for n in range(2))
        services += [Service(one, area, one, one, "A", 300 + 300 * n) for n, one in enumerate(pair)]
        for n in range(WINDOWS_PER_AREA):
            name, tidal = f"w{a}-{n}", n >= WINDOWS_PER_AREA - TIDAL_PER_AREA
            made.append(
                Window(name, f"{a}{n}"[-4:], pair, tidal, point_of(f"panel-{name}"), point_of(f"lamp-{name}"))
            )
        names = [f"p{a}-{n}" for n in range(TIDAL_PER_AREA)]
        staff += [Staff(name, name, (area,), point_of(f"pager-{name}")) for name in names]
    return Site("bench", "Bench", tuple(areas), tuple(services), tuple(made), tuple(staff))


class Crowd:
    """A hall under steady load: whenever a visitor comes, another is called and one is finished."""

    def __init__(self, size: Size) -> None:
        self.engine = Engine()
        self._at_ms = OPENING_MS
        self._site = site_of(size.windows)
        self._panels = [w.panel for w in self._site.windows if not w.tidal and w.panel]
        self._issued = 0
        self.feed(SiteLoaded(self._site))
        self.feed(ClockSet(WALL_MS, UTC_OFFSET_MIN))
        for panel in self._panels:
            self.feed(KeyPressed(panel, "login"))
        while self._issued < size.waiting:
            self._at_ms += 1
            self.feed(self._arrival())

    def feed(self, event: Event) -> None:
        """Feed one event to the engine (the core) at the present hall time, after the ticks that are due."""
        self.pass_ms(0)
        self.engine.handle(self._at_ms, event)

    def pass_ms(self, hall_ms: int) -> None:
        """Advance hall time by ``hall_ms``, and feed the ticks that fall due."""
        self._at_ms += hall_ms
        while (due_ms := self.engine.next_due_ms) is not None and due_ms <= self._at_ms:
            self.engine.handle(max(due_ms, self.engine.state.at_ms), Tick())

    def steps(self, count: int) -> Iterator[tuple[float, float]]:
        """Make at least ``count`` decisions. Yields the wall time and the processor time of each, in seconds; ticks
        that are due count as decisions, too.
        """
        done, turn = 0, 0
        while done < count:
            panel = self._panels[turn % len(self._panels)]
            turn += 1
            for event in (self._arrival(), KeyPressed(panel, "next"), KeyPressed(panel, "finish")):
                self._at_ms += STEP_MS
                while (due_ms := self.engine.next_due_ms) is not None and due_ms <= self._at_ms:
                    yield self._timed(max(due_ms, self.engine.state.at_ms), Tick())
                    done += 1
                yield self._timed(self._at_ms, event)
                done += 1

    def _timed(self, at_ms: int, event: Event) -> tuple[float, float]:
        busy_s, start_s = thread_s(), perf_s()
        self.engine.handle(at_ms, event)
        took_s = perf_s() - start_s
        return took_s, thread_s() - busy_s

    def _arrival(self) -> TicketPrinted:
        self._issued += 1
        service = self._site.services[self._issued % len(self._site.services)].id
        return TicketPrinted(DISPENSER, f"A{self._issued}", service, seq=self._issued)


def decision_figures(size: Size, count: int) -> dict[str, Any]:
    """Measure ``count`` decisions in a hall of this size; returns ``p50`` and ``p99`` of their wall time in
    microseconds, and ``cpu_p99`` of their processor time, which other programs do not affect.
    """
    crowd = Crowd(size)
    gc.collect()
    gc.freeze()
    try:
        pairs = list(crowd.steps(count))
    finally:
        gc.unfreeze()
    seconds, busy_s = [wall for wall, _ in pairs], [cpu for _, cpu in pairs]
    return {
        "p50": quantile(seconds, 0.5, 1e6),
        "p99": quantile(seconds, 0.99, 1e6),
        "cpu_p99": quantile(busy_s, 0.99, 1e6),
        "waiting": size.waiting,
        "decisions": len(seconds),
    }
