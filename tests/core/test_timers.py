"""Named timers: they fire once, move with a gap, follow the wall clock where they are dates, and survive a dump."""

from __future__ import annotations

import pytest

from edged.core import timers
from edged.core.calendar import wall
from edged.core.engine import Engine
from edged.core.model.events import ClockSet, Resumed, SiteLoaded, Tick
from edged.core.model.lookup import Lookup
from edged.core.model.state import State
from edged.core.model.turn import Turn
from edged.core.people import alarms
from edged.store.codec import dump_state, load_state
from tests.support.core_hall import SiteText


@pytest.fixture
def fired(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Register two kinds of timers, "bell" and "date"; the list collects when each fired, with its key."""
    calls: list[tuple[int, str]] = []
    monkeypatch.setitem(timers.FIRES, "bell", lambda turn, key: calls.append((turn.at_ms, key)))
    monkeypatch.setitem(timers.FIRES, "date", lambda turn, key: calls.append((turn.at_ms, f"date {key}")))
    monkeypatch.setattr(timers, "ON_THE_WALL", frozenset({"date"}))
    return calls


def hall() -> Engine:
    engine = Engine()
    engine.handle(0, ClockSet(1_780_000_000_000, 480))
    engine.handle(0, SiteLoaded(SiteText().site))
    return engine


def turn_of(engine: Engine, at_ms: int) -> Turn:
    assert engine.state.site is not None
    return Turn(engine.state, Lookup(engine.state.site), at_ms)


def with_timer(engine: Engine, name: str, due_ms: int) -> Engine:
    """Set a timer in a turn, and return an engine started from the dumped state."""
    turn_of(engine, engine.state.at_ms).set_timer(name, due_ms)
    return Engine(load_state(dump_state(engine.state), State))


def run_until(engine: Engine, end_ms: int) -> None:
    """Handle every tick that falls due until ``end_ms``."""
    while (due_ms := engine.next_due_ms) is not None and due_ms <= end_ms:
        engine.handle(due_ms, Tick())


def test_a_timer_fires_once_at_its_time_and_outlives_a_dump(fired: list[tuple[int, str]]) -> None:
    engine = with_timer(hall(), "bell/one", 5_000)
    run_until(engine, 60_000)
    assert fired == [(5_000, "one")]
    assert engine.state.timers == {}


def test_an_absence_moves_deadlines_but_no_dates(fired: list[tuple[int, str]]) -> None:
    engine = with_timer(with_timer(hall(), "bell/one", 5_000), "date/holiday", 6_000)
    engine.handle(1_000, Resumed(30_000, restart=False))
    assert engine.state.timers == {"bell/one": 35_000, "date/holiday": 6_000}
    run_until(engine, 60_000)
    assert fired == [(6_000, "date holiday"), (35_000, "one")]


def test_a_clock_that_is_set_moves_dates_but_no_deadlines(fired: list[tuple[int, str]]) -> None:
    engine = with_timer(with_timer(hall(), "bell/one", 50_000), "date/holiday", 60_000)
    engine.handle(1_000, ClockSet(1_780_000_000_000 + 1_000 + 20_000, 480))
    run_until(engine, 60_000)
    assert fired == [(40_000, "date holiday"), (50_000, "one")]


def test_days_since_1970_become_calendar_dates_and_weekdays() -> None:
    leap_day = 11_016  # days from 1970-01-01 to 2000-02-29
    assert wall.date(leap_day) == (2000, 2, 29)
    assert wall.iso_date(leap_day + 1) == "2000-03-01"
    assert (wall.weekday(leap_day), wall.date(0), wall.weekday(0)) == (2, (1970, 1, 1), 4)


def test_an_alarm_is_raised_once_and_cleared_once_with_how_long_it_stood() -> None:
    engine = hall()
    turn = turn_of(engine, 1_000)
    assert alarms.sound(turn, "unmanned", "w1", waiting=3)
    assert not alarms.sound(turn, "unmanned", "w1", waiting=4)
    later = turn_of(engine, 9_000)
    assert alarms.is_raised(later, "unmanned", "w1")
    assert alarms.clear(later, "unmanned", "w1")
    assert not alarms.clear(later, "unmanned", "w1")
    assert [(n.kind, dict(n.data)) for n in (*turn.notes, *later.notes)] == [
        ("alarm.raised", {"alarm": "unmanned", "waiting": 3}),
        ("alarm.cleared", {"alarm": "unmanned", "stood_s": 8.0}),
    ]
