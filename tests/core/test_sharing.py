"""Which windows areas give each other, and what the tide looks at, each rule on both sides of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.core.engine import Engine
from edged.core.model.events import ClockSet, PolicyApplied, SiteLoaded
from edged.core.model.forecast import Load
from edged.core.model.lookup import Lookup
from edged.core.model.point import Point
from edged.core.model.policy import Policy, Pw, Tidal
from edged.core.model.state import Ticket
from edged.core.model.turn import Turn
from edged.core.queue import demand
from edged.core.tide import arbiter, rules, sharing, triggers
from edged.core.tide.rules import Evaluation
from tests.support.core_hall import SiteText

AT_MS = 28_800_000
MORNING_MS = 1_795_392_000_000
TIDAL = Tidal()


def a_turn(tidal: Tidal = TIDAL, *changes: str) -> Turn:
    text = SiteText()
    for line in changes:
        text.change(line)
    engine = Engine()
    engine.handle(AT_MS, SiteLoaded(text.site))
    engine.handle(AT_MS, ClockSet(MORNING_MS, 0))
    engine.handle(AT_MS, PolicyApplied(1, "0" * 64, Policy(tidal=tidal)))
    return Turn(engine.state, Lookup(text.site), AT_MS)


def ticket(number: int, state: str, called_ms: int | None = None, serving_ms: int | None = None) -> Ticket:
    return Ticket(
        number,
        f"A{number:03}",
        "tax-general",
        "normal",
        AT_MS,
        AT_MS,
        Point("kiosk"),
        state=state,  # type: ignore[arg-type]
        called_ms=called_ms,
        serving_ms=serving_ms,
    )


def test_a_draining_window_counts_as_coming_only_for_areas_that_can_use_it() -> None:
    turn = a_turn()
    turn.window("w9").state = "DRAINING"
    assert sharing._on_its_way(turn, "social", any_window=False)
    assert not sharing._on_its_way(turn, "house", any_window=False)
    assert sharing._on_its_way(turn, "house", any_window=True)


LENDING = replace(TIDAL, arbiter=replace(TIDAL.arbiter, lend_windows=1, lend_keep=1, early_release=True))


def lend_to_housing(turn: Turn) -> dict[str, str | None]:
    """Let the housing area borrow windows; return to which area each lent window goes."""
    sharing._lend(turn, "house", 10_000.0)
    return {name: state.lent_to for name, state in turn.state.windows.items() if state.lent_to}


def test_only_an_open_regular_window_is_lent_to_another_area() -> None:
    turn = a_turn(LENDING)
    for window in ("w1", "w2", "w4"):
        turn.window(window).state = "OPEN"
        turn.window(window).staff = window
    assert lend_to_housing(turn) == {"w4": "house"}
    closed = a_turn(LENDING)
    for window in ("w1", "w2"):
        closed.window(window).state = "OPEN"
        closed.window(window).staff = window
    assert closed.window("w4").state == "CLOSED"
    assert lend_to_housing(closed) == {}
    tidal = a_turn(LENDING, "window w8 8 deed,tax-invoice tidal panel=p8")
    for window in ("w1", "w2", "w8"):
        tidal.window(window).state = "OPEN"
        tidal.window(window).staff = window
    assert lend_to_housing(tidal) == {}


def test_the_window_serving_its_visitor_longest_is_released_first() -> None:
    turn = a_turn()
    for number, window, since_ms in ((1, "w8", AT_MS - 60_000), (2, "w9", AT_MS - 120_000)):
        turn.state.tickets[number] = ticket(number, "SERVING", since_ms, since_ms)
        turn.window(window).ticket = number
    assert arbiter.choose_release(turn, ["w8", "w9"]) == "w9"


def test_an_area_for_unresolved_cases_never_asks_for_a_tidal_window() -> None:
    turn = a_turn(
        TIDAL,
        "area help 办不成事 Unresolved",
        "service stuck help 办不成事 Unresolved U case",
        "window w5 5 stuck panel=p5",
    )
    assert turn.lookup.case_areas
    for area in turn.lookup.case_areas:
        assert rules.evaluate_area(turn, area) == Evaluation(0, 0.0, (), decided=False)


@pytest.mark.parametrize(
    ("forecast", "present", "watch"), [(True, 1, True), (True, 0, False), (False, 1, False)]
)
def test_a_forecasting_rule_watches_an_area_with_one_person_in_it(
    forecast: bool, present: int, watch: bool
) -> None:
    pw = Pw(forecast=forecast)
    turn = a_turn(replace(TIDAL, rule="pw", pw=pw))
    load = Load(float(present), 0.0, 1.0, 300.0)
    found = rules._opening(turn, "tax", Evaluation(present, 0.0, ()), load, (0.0, None))
    assert found.watch is watch


def test_a_trigger_with_a_limit_of_zero_seconds_never_fires() -> None:
    quiet = replace(TIDAL.triggers, waiting_above=0, waiting_per_window=0, priority_wait_s=0, people_above=0)
    never = a_turn(replace(TIDAL, rule="pw", triggers=replace(quiet, oldest_wait_s=0)))
    assert triggers.asks(never, "tax", 900.0, None) is None
    limited = a_turn(replace(TIDAL, rule="pw", triggers=replace(quiet, oldest_wait_s=900)))
    assert triggers.asks(limited, "tax", 899.0, None) is None
    asked = triggers.asks(limited, "tax", 900.0, None)
    assert asked is not None
    assert asked[0] == "oldest-wait"


def test_the_people_trigger_fires_only_above_its_limit() -> None:
    limits = replace(
        TIDAL.triggers,
        waiting_above=0,
        waiting_per_window=0,
        priority_wait_s=0,
        oldest_wait_s=0,
        people_above=1,
    )
    turn = a_turn(replace(TIDAL, rule="pw", triggers=limits))
    turn.area("tax").waiting = 1
    turn.state.present["door"] = 1
    assert triggers.asks(turn, "tax", 0.0, None) is None
    turn.state.present["door"] = 2
    asked = triggers.asks(turn, "tax", 0.0, None)
    assert asked is not None
    assert asked[0] == "people"


def test_without_an_unmanned_alarm_no_window_counts_as_unmanned() -> None:
    assert demand.area_load(a_turn(), "tax").unmanned == 0.0


@pytest.mark.parametrize(
    ("early", "given_back", "lends"), [(True, "COOLDOWN", {}), (False, "OPEN", {"w4": "house"})]
)
def test_a_window_given_back_early_is_not_lent_as_well(
    early: bool, given_back: str, lends: dict[str, str]
) -> None:
    arbiter_limits = replace(LENDING.arbiter, early_release=early)
    turn = a_turn(replace(LENDING, rule="pw", arbiter=arbiter_limits))
    for window in ("w1", "w2", "w4", "w8"):
        turn.window(window).state = "OPEN"
        turn.window(window).staff = window
    turn.window("w8").area = "tax"
    turn.area("tax").last_request_ms = 0
    sharing.relieve(turn, "house", 10_000.0, any_window=True)
    assert turn.window("w8").state == given_back
    assert {name: one.lent_to for name, one in turn.state.windows.items() if one.lent_to} == lends
