"""What the core keeps is bounded, however long the hall runs and whatever the devices forget to say."""

from __future__ import annotations

from edged.core.engine import DUE_SLACK, SEEN_PER_POINT, Engine
from edged.core.events import ClockSet, KeyPressed, PolicyApplied, SiteLoaded, TicketPrinted, TicketRequested
from edged.core.policy import Policy, Tidal
from edged.core.site import Area, Service, Site, Window
from edged.core.tickets import CLOSED_KEPT
from edged.core.turn import PENDING_KEPT
from tests.support.core_days import START_MS, Feeder
from tests.support.core_hall import hall_site

DAY_MS = 86_400_000


def opened_hall(site: Site) -> Feeder:
    feeder = Feeder(Engine())
    policy = PolicyApplied(1, "", Policy(Tidal(enabled=False)))
    list(feeder.feed([(START_MS, event) for event in (ClockSet(0, 480), SiteLoaded(site), policy)]))
    return feeder


def test_outcomes_that_never_come_are_forgotten_with_a_note() -> None:
    feeder = opened_hall(hall_site())
    kinds = []
    for number in range(PENDING_KEPT + 50):
        service = "tax-general" if number % 2 else "tax-invoice"
        for *_, notes in feeder.feed([(START_MS + number, TicketRequested("disp", service))]):
            kinds += [note.kind for note in notes]
    assert len(feeder.engine.state.actions) == PENDING_KEPT
    assert kinds.count("action.unknown") == 50
    assert next(iter(feeder.engine.state.actions)) == "a51", "the oldest are forgotten first"


def test_days_of_work_leave_a_bounded_state_behind() -> None:
    feeder = opened_hall(hall_site())
    at_ms, number = START_MS, 0
    largest_heap = 0
    for day in range(4):
        at_ms = START_MS + day * DAY_MS
        for number in range(900):
            at_ms += 20_000
            keys = [KeyPressed("p1", "next", seq=number), KeyPressed("p2", "next")]
            ticket = TicketPrinted("disp", f"A{number:03d}", "tax-general", seq=number)
            for _ in feeder.feed([(at_ms, ticket), *((at_ms + 5, key) for key in keys)]):
                largest_heap = max(largest_heap, len(feeder.engine._due))
    state = feeder.engine.state
    assert number == 899
    assert largest_heap <= DUE_SLACK + 2 * (len(state.windows) + len(state.areas)) + 1
    assert len(state.tickets) <= CLOSED_KEPT + 900, "closed ones, and at most today's"
    assert len(state.closed) == CLOSED_KEPT
    assert len(state.used_numbers) == 900, "today's"
    assert max(map(len, state.seen.values())) == SEEN_PER_POINT


def test_one_ticket_signs_one_area_only() -> None:
    """A thousand windows in a hundred areas: an event in one of them costs that one."""
    areas = tuple(Area(f"a{n}", "区", "Area", (f"led{n}",)) for n in range(100))
    services = tuple(Service(f"s{n}", f"a{n}", "业务", "Service", "A") for n in range(100))
    made = tuple(Window(f"w{n}", f"{n}", (f"s{n % 100}",), panel=f"p{n}") for n in range(1000))
    feeder = opened_hall(Site("big", "大", areas, services, made))
    *_, (_, _, commands, _) = feeder.feed([(START_MS + 1, TicketPrinted("disp", "A001", "s7"))])
    points = {command.point for command in commands}
    assert points == {"led7", "centre/a7"} | {f"p{n}" for n in range(7, 1000, 100)}
