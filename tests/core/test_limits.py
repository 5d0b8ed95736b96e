"""What the core keeps is bounded, however long the hall runs and whatever the devices forget to say."""

from __future__ import annotations

import pytest

from edged.core.cases import case_book, case_signs, ratings
from edged.core.cases.ratings import KEPT as RATINGS_KEPT
from edged.core.engine import DUE_SLACK, Engine
from edged.core.model.events import (
    CaseTold,
    ClockSet,
    KeyPressed,
    PolicyApplied,
    SiteLoaded,
    TicketPrinted,
    TicketRequested,
)
from edged.core.model.lookup import Lookup
from edged.core.model.point import Point
from edged.core.model.policy import Policy, Tidal
from edged.core.model.site import Area, Service, Site, Window
from edged.core.model.state import CaseTally, Rating
from edged.core.model.turn import PENDING_KEPT, Turn
from edged.core.queue.tickets import CLOSED_KEPT
from edged.core.sequence import SEEN_PER_POINT
from tests.support.core_days import START_MS, Feeder
from tests.support.core_hall import hall_site

DAY_MS = 86_400_000


def opened_hall(site: Site) -> Feeder:
    """Return a hall with this site and without the tidal loop."""
    feeder = Feeder(Engine())
    policy = PolicyApplied(1, "", Policy(Tidal(enabled=False)))
    list(feeder.feed([(START_MS, event) for event in (ClockSet(0, 480), SiteLoaded(site), policy)]))
    return feeder


def test_the_oldest_actions_without_an_outcome_are_forgotten_with_a_note() -> None:
    feeder = opened_hall(hall_site())
    kinds = []
    for number in range(PENDING_KEPT + 50):
        service = "tax-general" if number % 2 else "tax-invoice"
        for *_, notes in feeder.feed([(START_MS + number, TicketRequested(Point("disp"), service))]):
            kinds += [note.kind for note in notes]
    assert len(feeder.engine.state.actions) == PENDING_KEPT
    assert kinds.count("action.unknown") == 50
    assert next(iter(feeder.engine.state.actions)) == "a51", "the oldest are forgotten first"


@pytest.mark.long
def test_many_days_of_work_leave_a_state_of_bounded_size() -> None:
    feeder = opened_hall(hall_site())
    at_ms, number, served = START_MS, 0, 0
    largest_heap = 0
    for day in range(2):
        at_ms, served = START_MS + day * DAY_MS, 0
        for number in range(900):
            at_ms += 20_000
            keys = [KeyPressed(Point("p1"), "next", seq=number), KeyPressed(Point("p2"), "next")]
            ticket = TicketPrinted(Point("disp"), f"A{number:03d}", "tax-general", seq=number)
            for *_, notes in feeder.feed([(at_ms, ticket), *((at_ms + 5, key) for key in keys)]):
                served += sum(note.kind == "ticket.finished" for note in notes)
                largest_heap = max(largest_heap, len(feeder.engine._due))
    state = feeder.engine.state
    assert number == 899
    assert state.served_today == served > 500, "of today"
    assert largest_heap <= DUE_SLACK + 2 * (len(state.windows) + len(state.areas)) + 1
    assert len(state.tickets) <= CLOSED_KEPT + 900, "closed ones, and at most today's"
    assert len(state.closed) == CLOSED_KEPT
    assert set(state.used_numbers) == {
        t.number for t in state.tickets.values() if t.issued_ms > at_ms - DAY_MS // 2
    }
    assert state.past_numbers == {"3A": [0, 900 - len(state.used_numbers)]}, "of today"
    assert max(map(len, state.seen.values())) == SEEN_PER_POINT
    again = TicketPrinted(Point("other"), "A000", "tax-general")
    ((*_, notes),) = [step for step in feeder.feed([(at_ms + 10, again)]) if step[1] == again]
    raised = [note.data["reason"] for note in notes if note.kind == "alarm.raised"]
    assert raised == ["numbers_begin_again"], "known, though its ticket is not kept any more"


def test_closed_cases_become_counts_and_only_the_newest_ratings_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = 100  # a thousand in a real hall
    monkeypatch.setattr(case_book, "CLOSED_KEPT", kept)
    feeder = opened_hall(hall_site())
    state = feeder.engine.state
    at_ms = START_MS
    for number in range(kept + 300):
        at_ms += 60_000
        list(feeder.feed([(at_ms, CaseTold("open", "centre"))]))
        case = next(reversed(state.cases))
        events = [CaseTold("close", "centre", case)]
        if number % 2:
            events.append(CaseTold("rate", "centre", case, level=5))
        list(feeder.feed([(at_ms + 1000, event) for event in events]))
    assert len(state.cases) == kept
    assert state.case_tally == CaseTally(300, 300, 300, rated=150, satisfied=150)
    assert case_signs.ratios(state) == (1.0, 1.0, None, 1.0)
    list(feeder.ticks(at_ms + 91 * DAY_MS))
    assert not state.cases
    assert not state.timers
    assert state.case_tally == CaseTally(400, 400, 400, rated=200, satisfied=200)
    for number in range(RATINGS_KEPT + 10):
        turn = Turn(state, Lookup(hall_site()), state.at_ms)
        ratings.keep(turn, f"v{number}", Rating("A001", 1 if number == 3 else 5, "w1", at_ms))
    assert len(state.ratings) == RATINGS_KEPT
    assert "v3" in state.ratings, "one that waits for an answer stays"
    assert "v4" not in state.ratings


def test_one_ticket_updates_the_boards_of_its_own_area_only() -> None:
    """A thousand windows in a hundred areas: an event in one of them costs that one."""
    areas = tuple(Area(f"a{n}", "区", "Area", (Point(f"led{n}"),)) for n in range(100))
    services = tuple(Service(f"s{n}", f"a{n}", "业务", "Service", "A") for n in range(100))
    made = tuple(Window(f"w{n}", f"{n}", (f"s{n % 100}",), panel=Point(f"p{n}")) for n in range(1000))
    feeder = opened_hall(Site("big", "大", areas, services, made))
    *_, (_, _, commands, _) = feeder.feed([(START_MS + 1, TicketPrinted(Point("disp"), "A001", "s7"))])
    points = {command.point for command in commands}
    assert points == {"led7", "centre/a7"} | {f"p{n}" for n in range(7, 1000, 100)}
