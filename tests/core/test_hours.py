"""Opening hours where a transcript cannot go: a clock nobody set, another zone, and what outlives the store."""

from __future__ import annotations

from datetime import datetime

import pytest

from edged.core.calendar import opening
from edged.core.engine import Engine
from edged.core.model.commands import Action, Refuse
from edged.core.model.events import ClockSet, PolicyApplied, SiteLoaded, Tick, TicketPrinted, TicketRequested
from edged.core.model.lookup import Lookup
from edged.core.model.point import Point
from edged.core.model.policy import Hours, Policy, Session
from edged.core.model.state import State
from edged.core.model.turn import Turn
from edged.store.codec import dump_state, load_state
from tests.support.core_hall import hall_site

WEEK = Policy(hours=Hours((Session(),), holidays=("2026-01-01",)))
HOUR_MS = 3_600_000


def hall(at_ms: int = 0) -> Engine:
    engine = Engine()
    engine.handle(at_ms, SiteLoaded(hall_site()))
    engine.handle(at_ms, PolicyApplied(1, "", WEEK))
    return engine


def wall_ms(text: str) -> int:
    """Return an ISO 8601 time as milliseconds since 1970."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def phase(engine: Engine, area: str = "tax") -> str:
    """Return the phase of an area's opening hours: open, draining, closed …"""
    assert engine.state.site is not None
    return opening.of(Turn(engine.state, Lookup(engine.state.site), engine.state.at_ms), area).phase


def tick_until(engine: Engine, end_ms: int) -> None:
    """Handle every tick that falls due until ``end_ms``, and check the invariants after each."""
    while (due_ms := engine.next_due_ms) is not None and due_ms <= end_ms:
        engine.handle(due_ms, Tick())
        engine.check()


def test_without_a_trusted_clock_no_area_closes_and_the_day_does_not_turn() -> None:
    engine = hall()
    engine.handle(1_000, TicketPrinted(Point("disp"), "A001", "tax-general"))
    tick_until(engine, 100 * HOUR_MS)
    engine.handle(100 * HOUR_MS, TicketPrinted(Point("disp"), "A002", "tax-general"))
    assert phase(engine) == "open"
    assert (engine.state.day, engine.state.areas["tax"].waiting) == (0, 2)
    _, notes = engine.handle(100 * HOUR_MS + 1, ClockSet(wall_ms("2026-11-23T20:00:00+08:00"), 480))
    assert phase(engine) == "draining", "a clock that is set at last drops nobody"
    assert "clock.stepped" not in {note.kind for note in notes}


@pytest.mark.parametrize(
    ("offset_min", "at", "expected"),
    [
        (480, "2026-11-23T00:59:59+00:00", "closed"),
        (480, "2026-11-23T01:00:00+00:00", "open"),
        (480, "2026-11-23T09:00:00+00:00", "closed"),
        (330, "2026-11-23T03:29:59+00:00", "closed"),
        (330, "2026-11-23T03:30:00+00:00", "open"),
        (-300, "2026-11-23T14:00:00+00:00", "open"),
        (480, "2026-11-27T23:00:00+00:00", "closed"),
    ],
)
def test_opening_hours_follow_the_time_zone_of_the_hall(offset_min: int, at: str, expected: str) -> None:
    engine = hall()
    engine.handle(1, ClockSet(wall_ms(at), offset_min))
    assert phase(engine) == expected


def test_opening_hours_survive_a_dump_and_load_and_fire_on_time() -> None:
    engine = hall()
    engine.handle(0, ClockSet(wall_ms("2026-11-23T16:50:00+08:00"), 480))
    engine.handle(1_000, TicketPrinted(Point("disp"), "A001", "tax-general"))
    again = Engine(load_state(dump_state(engine.state), State))
    for one in (engine, again):
        tick_until(one, 10 * 60_000)
        assert (phase(one), phase(one, "social")) == ("draining", "closed")
    assert again.state == engine.state
    hours = engine.state.hours
    assert (hours["tax"].closes_ms, hours["social"].closes_ms) == (10 * 60_000, None), "of who is still there"


def test_a_refused_request_says_why_in_both_languages_and_takes_no_number() -> None:
    engine = hall()
    engine.handle(0, ClockSet(wall_ms("2026-11-23T20:00:00+08:00"), 480))
    commands, _ = engine.handle(1_000, TicketRequested(Point("kiosk"), "tax-general"))
    refusals = [c.body for c in commands if isinstance(c, Action) and isinstance(c.body, Refuse)]
    assert [(r.reason, r.text, r.text_en) for r in refusals] == [
        ("closed", "税务已闭厅，11月24日09:00开放", "Tax: Closed, opens 2026-11-24 09:00")
    ]
    assert engine.state.last_number == {}
    assert engine.state.tickets == {}
