"""The one ordering function under any arrivals: every wait is bounded, and what is promised is what is called.

Halls are drawn: windows with different skills, calling rules, classes, a cap; then visitors come, are sent to a window,
leave, come back, while windows call in any order.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from edged.core.engine import Engine
from edged.core.model.events import (
    CLASSES,
    ClockSet,
    Event,
    Key,
    KeyPressed,
    OverrideSet,
    PolicyApplied,
    Priority,
    SiteLoaded,
    Tick,
    TicketPrinted,
)
from edged.core.model.lookup import Lookup
from edged.core.model.point import Point
from edged.core.model.policy import Calling, CallRule, Policy, PriorityClass, Tidal
from edged.core.model.state import Ticket
from edged.core.model.turn import Turn
from edged.core.queue import ordering
from tests.support.core_hall import SiteText

HALL = """
hall demo 示例大厅
area tax 税务 Tax
area house 不动产 Housing
service general tax 税务综合 General G
service invoice tax 发票 Invoices I
service deed house 不动产登记 Deeds D
window w1 1 general panel=p1
window w2 2 general,invoice panel=p2
window w3 3 invoice,deed panel=p3
window w4 4 deed,general panel=p4
"""
ONE = """
hall demo 示例大厅
area tax 税务 Tax
service general tax 税务综合 General G
service invoice tax 发票 Invoices I
window w1 1 general,invoice panel=p1
"""
WINDOWS = ("w1", "w2", "w3", "w4")
SERVICES = ("general", "invoice", "deed")

rules = st.builds(
    CallRule,
    windows=st.sampled_from(((), ("w2",), ("w3", "w4"))),
    services=st.sampled_from(((), ("deed",), ("general", "invoice"))),
    priorities=st.sampled_from(((), ("normal",), ("elderly", "returning"), ("child",))),
    min_wait_s=st.sampled_from((0, 30, 600)),
)
classes = st.dictionaries(
    st.sampled_from(CLASSES[1:]),
    st.builds(PriorityClass, st.sampled_from((None, 0, 60, 7200)), st.sampled_from((None, 1, 2, 9))),
    max_size=3,
)
callings = st.builds(
    Calling,
    priority_streak=st.integers(1, 4),
    priority_head_start_s=st.sampled_from((0, 60, 900)),
    infer_arrival_s=st.just(0),
    double_press_ms=st.just(0),
    classes=classes,
    rules=st.lists(rules, max_size=3).map(tuple),
)
arrivals = st.tuples(
    st.just("arrive"), st.integers(0, 90), st.sampled_from(SERVICES), st.sampled_from(CLASSES)
)
keys = st.tuples(
    st.just("key"),
    st.sampled_from(WINDOWS),
    st.sampled_from(
        (("next", None),) * 6
        + (("finish", "told-once/photo"), ("transfer", "deed"), ("transfer", "w2"), ("transfer", "w4"))
        + (("cancel", None), ("no-show", None), ("logout", None), ("login", "qin"))
    ),
    st.none(),
)
returns = st.tuples(
    st.just("back"), st.integers(0, 40), st.sampled_from(WINDOWS), st.sampled_from(("", "/elderly"))
)
days = st.lists(st.one_of(arrivals, keys, keys, returns), max_size=120)


@dataclass
class Hall:
    """An engine and what windows did while each waiting ticket was theirs to call."""

    calling: Calling
    text: str = HALL
    at_ms: int = 0
    engine: Engine = field(default_factory=Engine)
    number: int = 0

    def __post_init__(self) -> None:
        policy = Policy(Tidal(enabled=False), self.calling)
        for event in (ClockSet(0, 480), SiteLoaded(SiteText(self.text).site), PolicyApplied(1, "", policy)):
            self.happen(event)
        for window in self.lookup.windows:
            self.happen(KeyPressed(Point(f"p{window[1:]}"), "login", f"clerk-{window}"))

    @property
    def lookup(self) -> Lookup:
        assert self.engine.state.site is not None
        return Lookup(self.engine.state.site)

    @property
    def turn(self) -> Turn:
        return Turn(self.engine.state, self.lookup, self.at_ms)

    def happen(self, event: Event) -> list[str]:
        """Live one event and say whom it called, in order."""
        while (due_ms := self.engine.next_due_ms) is not None and due_ms <= self.at_ms:
            self.engine.handle(max(due_ms, self.engine.state.at_ms), Tick())
        _, notes = self.engine.handle(self.at_ms, event)
        self.engine.check()
        return [note.subject for note in notes if note.kind == "ticket.called"]

    def arrive(self, gap_s: int, service: str, priority: Priority) -> Ticket:
        self.at_ms += gap_s * 1000
        self.number += 1
        self.happen(TicketPrinted(Point("disp"), f"T{self.number}", service, priority))
        return self.ticket(f"T{self.number}")

    def ticket(self, number: str) -> Ticket:
        state = self.engine.state
        return state.tickets[state.used_numbers[number]]

    def callable_at(self, window: str) -> set[int]:
        return {ticket for _, queue in ordering._lanes(self.turn, window) for ticket in queue}

    def away(self, nth: int) -> str:
        gone = [
            t.number for t in self.engine.state.tickets.values() if t.state in ("RETURN_PENDING", "NO_SHOW")
        ]
        live = [t.number for t in self.engine.state.tickets.values() if t.state == "WAITING"]
        numbers = gone + live
        return numbers[nth % len(numbers)] if numbers else "T0"


def play_step(hall: Hall, step: tuple[Any, ...]) -> tuple[str | None, list[str]]:
    """Live one drawn step; return the window at which a key was pressed (None: none was) and who was called."""
    kind, first, second, third = step
    if kind == "arrive":
        hall.arrive(first, second, third)
        return None, []
    hall.at_ms += 1000
    if kind == "back":
        about = hall.away(first) + third
        key: Key = "priority" if third else "resume"
        hall.happen(KeyPressed(Point(f"p{second[1:]}"), key, about))
        return None, []
    key, arg = second
    return str(first), hall.happen(KeyPressed(Point(f"p{first[1:]}"), key, arg))


def test_a_prepared_visitor_put_first_by_hand_does_not_use_up_the_priority_streak() -> None:
    """Somebody else was put first meanwhile; the streak of priority calls is not used up by either."""
    hall = Hall(Calling(infer_arrival_s=0, double_press_ms=0), ONE)
    for _ in range(3):
        hall.arrive(1, "general", "normal")
    hall.happen(OverrideSet("priority-insert", "T2", "chen"))
    hall.happen(KeyPressed(Point("p1"), "prepare"))
    hall.happen(OverrideSet("priority-insert", "T3", "chen"))
    assert hall.happen(KeyPressed(Point("p1"), "announce")) == ["T2"]
    assert hall.engine.state.windows["w1"].overtook == 0
    assert hall.happen(KeyPressed(Point("p1"), "next")) == ["T3"]


@settings(max_examples=120, deadline=None)
@given(callings, days)
@example(
    Calling(priority_streak=1, infer_arrival_s=0, double_press_ms=0, rules=(CallRule(services=("deed",)),)),
    [
        ("arrive", 0, "general", "normal"),
        *(("arrive", 1, "deed", name) for name in ("elderly", "child") * 6),
        *[("key", "w4", ("next", None), None)] * 12,
    ],
)
def test_every_ticket_is_called_within_a_bounded_number_of_calls_of_each_window(
    calling: Calling, day: list[tuple[object, ...]]
) -> None:
    hall = Hall(calling)
    calls: Counter[tuple[str, int]] = Counter()
    before: Counter[tuple[str, int]] = Counter()
    waited: dict[str, set[int]] = {}
    for step in day:
        at_window = str(step[1]) if step[0] == "key" else None
        callable_here = hall.callable_at(at_window) if at_window is not None else set()
        places = {t: ordering._place(hall.engine.state.tickets[t]) for t in callable_here}
        window, called = play_step(hall, step)
        if window is None or not called:
            continue
        (number,) = called
        taken = hall.ticket(number)
        assert taken.id in callable_here or step[2] != ("next", None)
        for ticket in waited.get(window, set()) - callable_here:  # it was not for this window all the time
            del calls[window, ticket], before[window, ticket]
        for ticket in callable_here:
            calls[window, ticket] += 1
            if ticket != taken.id and places.get(taken.id, (0, 0)) < places[ticket]:
                before[window, ticket] += 1
            limit = (before[window, ticket] + 1) * (calling.priority_streak + 1)
            assert calls[window, ticket] <= limit, f"{ticket} at {window}"
        waited[window] = callable_here - {taken.id}


@settings(max_examples=120, deadline=None)
@given(callings, days, st.sampled_from(WINDOWS))
def test_a_window_calls_tickets_in_exactly_the_order_announced_as_upcoming(
    calling: Calling, day: list[tuple[object, ...]], window: str
) -> None:
    """Nobody comes and nobody else calls: the window calls exactly ``upcoming``, in order."""
    hall = Hall(calling)
    for step in day:
        play_step(hall, step)
    hall.happen(KeyPressed(Point(f"p{window[1:]}"), "login", "qin"))
    hall.happen(KeyPressed(Point(f"p{window[1:]}"), "finish"))
    promised = [ticket.number for ticket in ordering.upcoming(hall.turn, window, 500)]
    shown = {area: ordering.next_up(hall.turn, area, 9) for area in hall.lookup.areas}
    got: list[str] = []
    while called := hall.happen(KeyPressed(Point(f"p{window[1:]}"), "next")):
        if not got:
            area = hall.lookup.area_of(hall.ticket(called[0]).service)
            assert called[0] in shown[area], "the display did not name who is called first"
        got += called
    assert got == promised


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 4),
    st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from(SERVICES[:2]), st.sampled_from(CLASSES[:3])),
        max_size=30,
    ),
    st.sampled_from(CLASSES[:2]),
)
def test_a_newcomer_is_told_at_least_as_many_ahead_as_are_really_called_first(
    streak: int, present: list[tuple[int, str, Priority]], own: Priority
) -> None:
    """And exactly as many, without priority."""
    hall = Hall(Calling(priority_streak=streak, priority_head_start_s=60), ONE)
    for gap_s, service, priority in present:
        hall.arrive(gap_s, service, priority)
    ticket = hall.arrive(5, "general", own)
    announced = sum(ordering.ahead(hall.turn, ticket).values())
    order = [t.id for t in ordering.upcoming(hall.turn, "w1", 500)]
    assert announced >= order.index(ticket.id)
    if own == "normal":
        assert announced == order.index(ticket.id)


@settings(max_examples=100, deadline=None)
@given(callings, st.lists(st.tuples(st.integers(0, 60), st.sampled_from(CLASSES[:3])), max_size=40))
def test_within_one_priority_class_the_numbers_ahead_follow_the_order_of_arrival(
    calling: Calling, present: list[tuple[int, Priority]]
) -> None:
    hall = Hall(calling, ONE)
    for gap_s, priority in present:
        hall.arrive(gap_s, "general", priority)
    for queue in hall.engine.state.queues.get("general", {}).values():
        ahead = [sum(ordering.ahead(hall.turn, hall.engine.state.tickets[t]).values()) for t in queue]
        assert ahead == sorted(ahead)
    assert [t.id for t in ordering.upcoming(hall.turn, "w1", 500)] != [] or not present


def test_later_priority_visitors_overtake_at_most_as_often_as_the_streak_allows() -> None:
    hall = Hall(Calling(priority_streak=2, priority_head_start_s=60), ONE)
    waiting = hall.arrive(0, "general", "normal")
    for _ in range(3):
        hall.arrive(1, "general", "elderly")
    assert [t.id for t in ordering.upcoming(hall.turn, "w1", 9)].index(waiting.id) == 2
    assert ordering.ahead(hall.turn, waiting) == {"general": 2}
