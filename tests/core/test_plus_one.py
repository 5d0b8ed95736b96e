"""A second member at a window makes it faster, and nothing that is learnt or predicted counts that twice."""

from __future__ import annotations

import pytest

from edged.core.engine import Engine
from edged.core.model.events import ClockSet, Event, KeyPressed, PolicyApplied, SiteLoaded, TicketPrinted
from edged.core.model.forecast import Load, newcomer_wait_s, wait_range
from edged.core.model.lookup import Lookup
from edged.core.model.point import Point
from edged.core.model.policy import Policy, Staffing, Tidal
from edged.core.model.turn import Turn
from edged.core.queue.demand import load_of
from tests.support.core_days import START_MS
from tests.support.core_hall import SiteText

SERVICE_S = 300
POLICY = Policy(Tidal(enabled=False), staffing=Staffing(helper_percent=50))


@pytest.fixture
def hall() -> Engine:
    """Window 3 serves the first of three visitors; nobody else is open for their service."""
    engine = Engine()
    events: list[Event] = [
        ClockSet(0, 480),
        SiteLoaded(SiteText().site),
        PolicyApplied(1, "", POLICY),
        KeyPressed(Point("p3"), "login", "qin"),
        *(TicketPrinted(Point("disp"), f"S00{number}", "social-card") for number in (1, 2, 3)),
        KeyPressed(Point("p3"), "next"),
        KeyPressed(Point("p3"), "arrive"),
    ]
    for event in events:
        engine.handle(START_MS, event)
    return engine


def load(engine: Engine) -> Load:
    """Return the load of the area of social insurance."""
    state = engine.state
    assert state.site is not None
    return load_of(Turn(state, Lookup(state.site), state.at_ms), "social")


def waits_s(engine: Engine) -> tuple[float, float]:
    """Return two waits of a newcomer in seconds: the tidal loop's prediction, and the mean of the range shown to
    people.
    """
    now = load(engine)
    predicted = wait_range(now, now.work)
    assert predicted is not None
    return newcomer_wait_s(now, now.windows), predicted.mean_s


def test_a_helper_at_a_window_shortens_predicted_waits_until_the_logout(hall: Engine) -> None:
    alone = waits_s(hall)
    assert alone == (3 * load(hall).mean_s, 3 * load(hall).mean_s)  # the one served, and the two who wait
    hall.handle(START_MS + 1, KeyPressed(Point("p3"), "login", "wang"))
    assert waits_s(hall) == pytest.approx([wait / 1.5 for wait in alone])
    hall.handle(START_MS + 2, KeyPressed(Point("p3"), "logout", "wang"))
    assert waits_s(hall) == alone


def test_with_a_helper_the_hall_learns_the_service_time_of_one_clerk(hall: Engine) -> None:
    hall.handle(START_MS, KeyPressed(Point("p3"), "login", "wang"))
    hall.handle(START_MS + SERVICE_S * 1000, KeyPressed(Point("p3"), "finish"))
    learnt = hall.state.areas["social"].learnt
    assert (learnt.all_sum_s, learnt.all_weight) == (SERVICE_S * 1.5, 1)
