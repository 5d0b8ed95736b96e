"""A small simulator of one area, first come first served: regular windows, "+1" windows, and a policy that decides at
fixed intervals.

It follows the mechanics of the published benchmark, including the order of events at one instant: first the policy's
decision, then ends of service and arrivals of staff in the order they were scheduled, then visitors. Visitors go to the
first idle regular window, else to the first idle "+1" window. An order to open gives staff to the first free "+1" slot
(place for a "+1" window) after the set-up time. An order to close takes the idle window that was ordered first. If none
is idle, it takes the one whose service began first, which finishes its visitor. Staff minutes run from the order to
open until the window is empty. The day ends at the first decision from closing time on at which nobody waits and nobody
will come; the services in progress are then finished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import repeat
from typing import Literal

from edged.backtest.measures import MINUTE_MS, DayMeasures
from edged.backtest.traces import Day, Hall

CHECK_MS = 30_000
Slot = Literal["off", "setup", "idle", "busy", "drain"]


@dataclass(slots=True)
class Floor:
    """The state of the small simulator on which a policy may base its decision. ``waiting[head:]``: the waiting
    visitors, as indices in the day's order of arrival; ``slots``: state of each place for a "+1" window.
    """

    regular: int
    tidal: int
    at_ms: int = 0
    waiting: list[int] = field(default_factory=list)
    head: int = 0
    busy: int = 0
    slots: list[Slot] = field(default_factory=list)
    ordered_ms: list[int] = field(default_factory=list)
    began_ms: list[int] = field(default_factory=list)

    @property
    def queue(self) -> int:
        """How many visitors wait; those being served do not count."""
        return len(self.waiting) - self.head

    @property
    def present(self) -> int:
        """How many visitors wait or are being served."""
        return self.queue + self.busy + self.count("busy", "drain")

    def count(self, *states: Slot) -> int:
        """How many places for "+1" windows are in one of these states."""
        return sum(slot in states for slot in self.slots)


WindowRule = Callable[[Floor], int]  # how many windows to order (positive) or to give back (negative) now


def never(_floor: Floor) -> int:
    """A policy: order no "+1" window at all."""
    return 0


def always(floor: Floor) -> int:
    """A policy: order every "+1" window at the first decision, and keep them to the end of the day."""
    return floor.tidal if floor.at_ms == 0 else 0


def band(open_at: int, close_at: int) -> WindowRule:
    """Make a policy without timers. At each decision it opens one more window if at least ``open_at`` people wait and
    no other is being opened, and closes one if at most ``close_at`` wait.
    """

    def rule(floor: Floor) -> int:
        if floor.queue >= open_at and not floor.count("setup") and floor.count("off"):
            return 1
        return -1 if floor.queue <= close_at and floor.count("setup", "idle", "busy") else 0

    return rule


BASELINES: dict[str, Callable[[], WindowRule]] = {
    "never": lambda: never,
    "always": lambda: always,
    "naive10": lambda: band(10, 9),
    "band": lambda: band(6, 0),
}


def simulate(
    hall: Hall, day: Day, setup_ms: int | Iterable[int], rule: WindowRule, at_events: bool = False
) -> DayMeasures:
    """Run one day under ``rule``, a policy of this module.

    ``setup_ms``: from the order of a "+1" window to the arrival of its staff: one value for all openings, or the values
    of successive openings. ``at_events``: decide after every event instead of every ``CHECK_MS``, as textbook models
    do.
    """
    setups = iter(setup_ms) if isinstance(setup_ms, Iterable) else repeat(setup_ms)
    return _ModelRun(hall, day, setups, rule, at_events).run()


class _ModelRun:
    def __init__(
        self, hall: Hall, day: Day, setups: Iterator[int], rule: WindowRule, at_events: bool
    ) -> None:
        self.day, self.close_ms, self.setups, self.rule = day, hall.close_ms, setups, rule
        self.at_events = at_events
        self.floor = Floor(hall.regular, hall.tidal)
        self.floor.slots = ["off"] * hall.tidal
        self.floor.ordered_ms = [0] * hall.tidal
        self.floor.began_ms = [0] * hall.tidal
        self.free = list(range(hall.regular))
        heapify(self.free)
        self.events: list[
            tuple[int, int, int, int]
        ] = []  # (ms, order among equal times, slot or -1 - regular window, visitor or -1)
        self.order = self.staff_ms = self.openings = 0
        self.waits = [0] * len(day.arrive_ms)
        self.open_min: list[float] = []

    def run(self) -> DayMeasures:
        """Simulate the day; returns its measures. Three streams of events are merged in order of time: the policy's
        decisions, ends of services with arrivals of staff, and visitors.
        """
        floor, arrive = self.floor, self.day.arrive_ms
        count, coming, look_ms = len(arrive), 0, 0
        while True:
            next_end = self.events[0][0] if self.events else None
            next_in = arrive[coming] if coming < count else None
            first = min((at for at in (next_end, next_in) if at is not None), default=None)
            if first is None or look_ms <= first:
                floor.at_ms = look_ms
                served = not floor.queue or (first is None and self.at_events)  # no event is left
                if look_ms >= self.close_ms and served and coming >= count:
                    break
                if not self.at_events:
                    self._act(self.rule(floor))
                look_ms += CHECK_MS
                continue
            floor.at_ms = first
            if first == next_end:
                self._happen()
                self._dispatch()
            else:
                floor.waiting.append(coming)
                coming += 1
                self._dispatch()
            if self.at_events:
                self._act(self.rule(floor))
                self._dispatch()
        self._close_up()
        return DayMeasures(tuple(self.waits), self.staff_ms, self.openings, tuple(self.open_min))

    def _schedule(self, after_ms: int, place: int, visitor: int) -> None:
        self.order += 1
        heappush(self.events, (self.floor.at_ms + after_ms, self.order, place, visitor))

    def _act(self, wish: int) -> None:
        for _ in range(wish):
            if "off" in self.floor.slots:
                self._open(self.floor.slots.index("off"))
        if wish < 0:
            self._give_back()

    def _open(self, slot: int) -> None:
        self.floor.slots[slot] = "setup"
        self.floor.ordered_ms[slot] = self.floor.at_ms
        self.openings += 1
        self._schedule(next(self.setups), slot, -1)

    def _give_back(self) -> None:
        floor = self.floor
        idle = [slot for slot in range(floor.tidal) if floor.slots[slot] == "idle"]
        busy = [slot for slot in range(floor.tidal) if floor.slots[slot] == "busy"]
        if idle:
            slot = min(idle, key=floor.ordered_ms.__getitem__)
            self._off(slot)
        elif busy:
            slot = min(busy, key=floor.began_ms.__getitem__)
            floor.slots[slot] = "drain"
        else:
            return
        self.open_min.append((floor.at_ms - floor.ordered_ms[slot]) / MINUTE_MS)

    def _off(self, slot: int) -> None:
        self.floor.slots[slot] = "off"
        self.staff_ms += self.floor.at_ms - self.floor.ordered_ms[slot]

    def _happen(self) -> None:
        _, _, place, visitor = heappop(self.events)
        if place < 0:
            self.floor.busy -= 1
            heappush(self.free, -1 - place)
        elif visitor < 0 or self.floor.slots[place] == "busy":
            self.floor.slots[place] = "idle"
        else:
            self._off(place)

    def _dispatch(self) -> None:
        floor = self.floor
        while floor.queue:
            if self.free:
                place = -1 - heappop(self.free)
                floor.busy += 1
            elif "idle" in floor.slots:
                place = floor.slots.index("idle")
                floor.slots[place] = "busy"
                floor.began_ms[place] = floor.at_ms
            else:
                return
            visitor = floor.waiting[floor.head]
            floor.head += 1
            self.waits[visitor] = floor.at_ms - self.day.arrive_ms[visitor]
            self._schedule(self.day.service_ms[visitor], place, visitor)

    def _close_up(self) -> None:
        floor = self.floor
        for slot in range(floor.tidal):
            if floor.slots[slot] in ("setup", "idle"):
                self._off(slot)
        for at_ms, _, place, visitor in self.events:
            if place >= 0 and visitor >= 0 and floor.slots[place] in ("busy", "drain"):
                self.staff_ms += at_ms - floor.ordered_ms[place]
