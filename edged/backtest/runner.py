"""Runs a day through the daemon's own core in virtual time: visitors, clerks and standby staff of an invented hall.

It keeps the two rules for callers of ``Engine`` (time stamps never decrease; every due ``Tick`` comes first). Order at
one instant: due ticks, then ends of service and arrivals of staff in the order they were scheduled, then visitors.
Regular windows are open all day. An idle clerk calls as soon as somebody waits, in the order of the windows; a called
visitor arrives immediately. A paged member of staff accepts immediately and logs in exactly ``setup_ms`` after the core
has asked for the window. The day ends at the first multiple of ``CHECK_MS`` from closing time on at which nobody waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush

from edged.backtest.measures import MINUTE_MS, Curves, DayMeasures
from edged.backtest.traces import Day, Hall
from edged.central.addressing import local
from edged.central.audience import Names
from edged.core.calendar.day_spans import HOLIDAY
from edged.core.calendar.wall import clock
from edged.core.engine import Engine
from edged.core.model.commands import Note
from edged.core.model.events import (
    ClockSet,
    Event,
    KeyPressed,
    PolicyApplied,
    Priority,
    SiteLoaded,
    Tick,
    TicketPrinted,
)
from edged.core.model.lookup import Lookup
from edged.core.model.point import point_of
from edged.core.model.policy import Hours, Policy, Pw, Session
from edged.core.model.site import Area, Service, Site, Staff, Window
from edged.core.model.turn import Turn
from edged.core.queue.demand import newcomer_range

CHECK_MS = 30_000
NEVER_MS = 1 << 60
ASKED_EVERY = 256  # events: some ten milliseconds
PRINTER = point_of("printer")
FIRST_DAY_MS = 1_767_225_600_000  # 2026-01-01 00:00 UTC: any day will do, the hall's zone offset is 0
ARRIVE_MARGIN_S = 60  # by this the limit for staff to arrive exceeds the set-up time


def site_of(hall: Hall, typed: bool = True, prior_scale: float = 1.0) -> Site:
    """Make the site (areas, services, windows, staff) of a hall of the backtest. ``typed`` False: every service has the
    mean service time of all. ``prior_scale``: factor on the mean service times that the core is told.

    Areas that share a pool have their own regular windows; every "+1" window and member of staff can serve all of them.
    """
    areas: list[Area] = []
    services: list[Service] = []
    windows: list[Window] = []
    for part in hall.parts or (hall,):
        areas.append(Area(part.area, "大厅", part.name if hall.parts else "Hall"))
        means = part.means_s if typed else tuple(part.mean_s for _ in part.means_s)
        own = tuple(
            _service(kind, part.area, mean * prior_scale) for kind, mean in enumerate(means, len(services))
        )
        services += own
        windows += [_window(len(windows) + n, own, tidal=False) for n in range(part.regular)]
    windows += [_window(len(windows) + n, services, tidal=True) for n in range(hall.tidal)]
    names = tuple(area.id for area in areas)
    staff = tuple(Staff(f"m{n}", f"Member {n}", names, point_of(f"pager{n}")) for n in range(hall.tidal))
    return Site("backtest", hall.name, tuple(areas), tuple(services), tuple(windows), staff)


def _service(kind: int, area: str, mean_s: float) -> Service:
    name = f"s{kind}"
    return Service(name, area, f"业务{kind}", f"Service {kind}", f"{kind}-", mean_s=mean_s)  # type: ignore[arg-type]


def _window(number: int, services: Iterable[Service], tidal: bool) -> Window:
    skills = tuple(service.id for service in services)
    return Window(
        f"w{number}",
        str(number + 1),
        skills,
        tidal=tidal,
        panel=point_of(f"p{number}"),
        confirms_arrival=True,
    )


def fitted(policy: Policy, hall: Hall, setup_ms: int, with_profile: bool = True) -> Policy:
    """Adapt a policy to this hall: the hall's opening hours and set-up time replace the policy's own; the hall's mix of
    services and usual arrivals are added where the policy has none. ``with_profile`` False: the usual arrivals are not
    added.

    Every "+1" window is in the pool, and the time limit for staff to arrive is longer than ``setup_ms``. Areas that the
    policy names by kind are replaced by this hall's areas.
    """
    areas = {part.area: part.kind for part in (*hall.parts, hall)}
    kinds = {area: kind for area, kind in areas.items() if kind is not None}
    policy = local(policy, Names(frozenset(areas), frozenset(), frozenset(), kinds=kinds)).policy
    tidal = policy.tidal

    def known(pw: Pw, part: Hall, first_kind: int) -> Pw:
        mix = {f"s{kind}": share for kind, share in enumerate(part.shares, first_kind)}
        profile = {part.area: part.profile} if part.profile and with_profile else {}
        return replace(
            pw,
            setup_s=setup_ms // 1000,
            mix=pw.mix or mix,
            profile=pw.profile or profile,
            profile_start_min=pw.profile_start_min if pw.profile else part.opens_min,
        )

    own, services = {}, 0
    for part in hall.parts:
        own[part.area] = known(tidal.pw_areas.get(part.area, tidal.pw), part, services)
        services += len(part.means_s)
    tidal = replace(
        tidal,
        pool=hall.tidal if hall.parts else max(tidal.pool, hall.tidal),
        staff_arrive_s=max(tidal.staff_arrive_s, setup_ms // 1000 + ARRIVE_MARGIN_S),
        pw=known(tidal.pw, hall, 0),
        pw_areas=own or {area: known(pw, hall, 0) for area, pw in tidal.pw_areas.items()},
    )
    closes_min = hall.opens_min + hall.close_ms // MINUTE_MS
    every_day = Session(tuple(range(1, HOLIDAY + 1)), clock(hall.opens_min), clock(closes_min))
    return replace(policy, tidal=tidal, hours=Hours((every_day,)))


@dataclass(frozen=True, slots=True)
class Scenario:
    """The conditions of a day. ``setup_ms``: from the core's request for a "+1" window to the arrival of its staff;
    ``close_ms``: closing time, after opening; ``opens_min``: opening time, in minutes after midnight. ``lost_finish``:
    visitors (by index) after whom the clerk does not press "finish".

    ``urgent``: visitors with priority (by index). ``disturb``: turns a device event into those that reach the core
    (none, repeated, delayed). ``quotes``: compare each visitor's predicted wait with the real one; ``curves``: record
    the data of the day's charts. ``over``: returns whether the run must end; asked after every ``ASKED_EVERY`` events.
    """

    site: Site
    policy: Policy
    setup_ms: int
    close_ms: int
    opens_min: int = 540
    lost_finish: frozenset[int] = frozenset()
    urgent: frozenset[int] = frozenset()
    disturb: Callable[[Event], Iterable[Event]] | None = None
    quotes: bool = False
    curves: bool = False
    over: Callable[[], bool] | None = None


class TimeOver(Exception):
    """The run of a day was given up because ``Scenario.over`` was true."""


def run(scenario: Scenario, day: Day) -> DayMeasures:
    """Run one day of visitors; returns its measures. The engine (the core) starts without anything learnt from earlier
    days. Raises ``TimeOver`` once ``scenario.over()`` is true.
    """
    return _CoreRun(scenario, day).run()


@dataclass(slots=True)
class _Tide:
    """One opening of a "+1" window. It is first only ordered; ``staffed``: its staff has come; ``given_back``: the core
    has told it to finish the last visitor and close.
    """

    ordered_ms: int
    area: str
    staff: str | None
    staffed: bool = False
    given_back: bool = False


@dataclass(slots=True)
class _Charted:
    waiting: list[tuple[float, int]] = field(default_factory=list)
    windows: list[tuple[float, int]] = field(default_factory=list)
    staff: list[tuple[float, int]] = field(default_factory=list)


class _CoreRun:
    def __init__(self, scenario: Scenario, day: Day) -> None:
        self.scenario, self.day = scenario, day
        self.engine = Engine(with_signs=False)
        self.visitor_of = {f"v{index}": index for index in range(len(day.arrive_ms))}
        self.panels = {window.id: window.panel or point_of(window.id) for window in scenario.site.windows}
        self.pagers = {staff.id: staff.pager or point_of(staff.id) for staff in scenario.site.staff}
        self.regular = {window.id for window in scenario.site.windows if not window.tidal}
        self.idle: dict[str, bool] = dict.fromkeys(self.panels, False)  # a clerk is there and free
        self.at_window: dict[str, int] = {}
        self.scheduled: list[
            tuple[int, int, str, int]
        ] = []  # (ms, order among equal times, window, visitor or -1 for staff)
        self.order = self.fed = self.staff_ms = self.openings = self.releases = 0
        self.seq = 0
        self.tides: dict[str, _Tide] = {}
        self.waits = [0] * len(day.arrive_ms)
        self.open_min: list[float] = []
        self.now_ms = 0
        self.waiting = 0
        self.charted = _Charted() if scenario.curves else None
        self.lookup = Lookup(scenario.site)
        self.services = [service.id for service in scenario.site.services]
        self.waiting_of = dict.fromkeys(self.lookup.areas, 0)
        self.predicted_ms: dict[int, float] = {}  # visitor -> predicted wait in ms

    def run(self) -> DayMeasures:
        """Simulate the whole day; returns its measures."""
        self._open_hall()
        self._pass_day()
        self._close_up()
        return DayMeasures(
            tuple(self.waits),
            self.staff_ms,
            self.openings,
            tuple(self.open_min),
            self.releases,
            tuple(
                round(predicted - self.waits[visitor])
                for visitor, predicted in self.predicted_ms.items()
                if predicted or self.waits[visitor]
            ),
            events=self.fed,
            urgent_ms=tuple(self.waits[visitor] for visitor in sorted(self.scenario.urgent)),
            curves=self._curves(),
        )

    def _open_hall(self) -> None:
        scenario = self.scenario
        self._feed(ClockSet(FIRST_DAY_MS + scenario.opens_min * MINUTE_MS, 0))
        self._feed(PolicyApplied(1, "", scenario.policy))
        self._feed(SiteLoaded(scenario.site))
        for window in scenario.site.windows:
            if not window.tidal:
                self._feed(KeyPressed(self.panels[window.id], "login"))
                self.idle[window.id] = True

    def _pass_day(self) -> None:
        arrive, coming, count = self.day.arrive_ms, 0, len(self.day.arrive_ms)
        end_ms: int | None = self._end() if not count else None
        scheduled, engine = self.scheduled, self.engine
        while True:
            at_ms = scheduled[0][0] if scheduled else NEVER_MS
            visitor = coming < count and arrive[coming] < at_ms
            if visitor:
                at_ms = arrive[coming]
            if end_ms is None and at_ms == NEVER_MS:
                end_ms = self._end()  # no service will end any more: those who still wait are never served
            due_ms = engine.next_due_ms
            if due_ms is not None and due_ms <= at_ms and (end_ms is None or due_ms < end_ms):
                self.now_ms = max(self.now_ms, due_ms)
                self._feed(Tick())
                continue  # the tick may have paged somebody who arrives before the next event
            if end_ms is not None and at_ms >= end_ms:
                self.now_ms = end_ms
                return
            self.now_ms = at_ms
            if visitor:
                self._arrive(coming)
                coming += 1
            else:
                self._happen(*heappop(scheduled)[2:])
            self._call()
            if end_ms is None and coming == count and not self.waiting:
                end_ms = self._end()

    def _end(self) -> int:
        """The time (ms) at which the day ends if nothing more happens: the first multiple of ``CHECK_MS`` after now,
        but not before closing time.
        """
        closing = -(-self.scenario.close_ms // CHECK_MS) * CHECK_MS
        return max(closing, self.now_ms // CHECK_MS * CHECK_MS + CHECK_MS)

    def _feed(self, event: Event) -> None:
        if self.scenario.disturb is None or isinstance(event, Tick):
            self._hand(event)
            return
        for disturbed in self.scenario.disturb(event):
            self._hand(disturbed)

    def _hand(self, event: Event) -> None:
        self.fed += 1
        if self.scenario.over is not None and not self.fed % ASKED_EVERY and self.scenario.over():
            raise TimeOver
        _, notes = self.engine.handle(self.now_ms, event)
        for note in notes:
            handle = ON_NOTE.get(note.kind)
            if handle is not None:
                handle(self, note)
        if self.charted is not None:
            self._draw()

    def _arrive(self, visitor: int) -> None:
        if self.scenario.quotes:
            self._quote(visitor)
        service = self.services[self.day.kinds[visitor]]
        self.waiting += 1
        self.waiting_of[self.lookup.area_of(service)] += 1
        priority: Priority = "elderly" if visitor in self.scenario.urgent else "normal"
        self._feed(TicketPrinted(PRINTER, f"v{visitor}", service, priority, self._next_seq()))

    def _quote(self, visitor: int) -> None:
        turn = Turn(self.engine.state, self.lookup, self.now_ms)
        predicted = newcomer_range(turn, self.lookup.area_of(self.services[self.day.kinds[visitor]]))
        if predicted is not None:
            self.predicted_ms[visitor] = predicted.mean_s * 1000

    def _next_seq(self) -> int:
        self.seq += 1
        return self.seq

    def _happen(self, window: str, visitor: int) -> None:
        """Handle the end of the service of ``visitor`` at ``window``. A negative ``visitor`` means that a member of
        staff arrives there: the number is then -1 minus the time (ms) at which the window was ordered.
        """
        if visitor < 0:
            tide = self.tides.get(window)
            if tide is not None and -1 - visitor == tide.ordered_ms and not tide.given_back:
                tide.staffed = True
                self.idle[window] = (
                    window not in self.at_window
                )  # a clerk whom the core gave up on too early may still be there
                self._key(window, "login", tide.staff)
            return
        del self.at_window[window]
        tide = self.tides.get(window)
        self.idle[window] = window in self.regular or (
            tide is not None and tide.staffed and not tide.given_back
        )
        if visitor not in self.scenario.lost_finish:
            self._key(window, "finish")
        elif tide is not None and tide.given_back:  # the clerk leaves; the core does not know it yet
            self.staff_ms += self.now_ms - self.tides.pop(window).ordered_ms

    def _key(self, window: str, key: str, arg: str | None = None) -> None:
        self._feed(KeyPressed(self.panels[window], key, arg, self._next_seq()))  # type: ignore[arg-type]

    def _call(self) -> None:
        if not self.waiting:
            return
        for window, idle in self.idle.items():
            if idle and self._somebody_for(window):
                self._key(window, "next")
                if window in self.at_window:
                    self.idle[window] = False
                    self._key(window, "arrive")
                if not self.waiting:
                    return

    def _somebody_for(self, window: str) -> bool:
        tide = self.tides.get(window)
        areas = self.lookup.window_areas[window] if tide is None else (tide.area,)
        return any(self.waiting_of[area] for area in areas)

    def _called(self, note: Note) -> None:
        visitor = self.visitor_of[note.subject]
        window = str(note.data["window"])
        self.waiting -= 1
        self.waiting_of[str(note.data["area"])] -= 1
        self.waits[visitor] = self.now_ms - self.day.arrive_ms[visitor]
        self.at_window[window] = visitor
        self._schedule(self.now_ms + self.day.service_ms[visitor], window, visitor)

    def _schedule(self, at_ms: int, window: str, visitor: int) -> None:
        self.order += 1
        heappush(self.scheduled, (at_ms, self.order, window, visitor))

    def _requested(self, note: Note) -> None:
        staff = note.data.get("staff")
        tide = _Tide(self.now_ms, str(note.data["area"]), None if staff is None else str(staff))
        self.tides[note.subject] = tide
        self.openings += 1
        self._schedule(self.now_ms + self.scenario.setup_ms, note.subject, -1 - self.now_ms)
        if tide.staff is not None:
            self._feed(KeyPressed(self.pagers[tide.staff], "accept", seq=self._next_seq()))

    def _draining(self, note: Note) -> None:
        tide = self.tides[note.subject]
        tide.given_back = True
        self.idle[note.subject] = False
        self.open_min.append((self.now_ms - tide.ordered_ms) / MINUTE_MS)
        if note.data.get("rule") == "release":
            self.releases += 1
            self.open_min.pop()

    def _released(self, note: Note) -> None:
        tide = self.tides.pop(note.subject, None)
        if tide is None:
            return
        self.idle[note.subject] = False
        ends = {window: at_ms for at_ms, _, window, visitor in self.scheduled if visitor >= 0}
        left_ms = ends.get(note.subject, self.now_ms)  # given up on too early, a clerk still ends the service
        self.staff_ms += left_ms - tide.ordered_ms
        if not tide.given_back:  # given up before it was staffed
            self.open_min.append((self.now_ms - tide.ordered_ms) / MINUTE_MS)

    def _close_up(self) -> None:
        """Add the staff time of "+1" windows that are still open at the end of the day. It runs until now, or to the
        end of the service in progress there.
        """
        ends = {window: at_ms for at_ms, _, window, visitor in self.scheduled if visitor >= 0}
        for window, tide in self.tides.items():
            self.staff_ms += ends.get(window, self.now_ms) - tide.ordered_ms

    def _draw(self) -> None:
        assert self.charted is not None
        minute = self.now_ms / MINUTE_MS
        staffed = sum(1 for window in self.tides if self.idle[window] or window in self.at_window)
        for steps, value in (
            (self.charted.waiting, self.waiting),
            (self.charted.windows, len(self.regular) + staffed),
            (self.charted.staff, len(self.tides)),
        ):
            if not steps or steps[-1][1] != value:
                steps.append((minute, value))

    def _curves(self) -> Curves:
        if self.charted is None:
            return Curves()
        waits = tuple(
            (at / MINUTE_MS, predicted / MINUTE_MS if predicted is not None else None, wait / MINUTE_MS)
            for at, wait, predicted in zip(
                self.day.arrive_ms,
                self.waits,
                map(self.predicted_ms.get, range(len(self.waits))),
                strict=True,
            )
        )
        charted = self.charted
        return Curves(tuple(charted.waiting), tuple(charted.windows), tuple(charted.staff), waits)


ON_NOTE: dict[str, Callable[[_CoreRun, Note], None]] = {
    "ticket.called": _CoreRun._called,
    "tidal.requested": _CoreRun._requested,
    "tidal.draining": _CoreRun._draining,
    "tidal.released": _CoreRun._released,
}
