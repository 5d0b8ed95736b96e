"""Rules of the core that are stated with a bound, each on both sides of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.core.engine import Engine
from edged.core.model import forecast
from edged.core.model.commands import Note
from edged.core.model.events import ClockSet, GoneOn, KeyPressed, SiteLoaded
from edged.core.model.lookup import Lookup
from edged.core.model.point import Point
from edged.core.model.state import Learnt, Wish
from edged.core.model.turn import Turn
from edged.core.people import answers
from edged.core.queue import demand
from edged.core.visits.outcomes import CODE_MAX_CHARS, papers_of
from tests.support.core_hall import hall_site

AT_MS = 28_800_000
MORNING_MS = 1_795_392_000_000


def hall() -> Engine:
    engine = Engine()
    engine.handle(AT_MS, SiteLoaded(hall_site()))
    engine.handle(AT_MS, ClockSet(MORNING_MS, 0))
    return engine


def noted(engine: Engine, event: GoneOn) -> list[Note]:
    _commands, notes = engine.handle(AT_MS, event)
    return [note for note in notes if note.kind in ("ignored", "numbers.gone_on")]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("", ()),
        ("a", ("a",)),
        ("a,id-copy", ("a", "id-copy")),
        ("x" * CODE_MAX_CHARS, ("x" * CODE_MAX_CHARS,)),
        ("x" * (CODE_MAX_CHARS + 1), None),
        ("-a", None),
        ("a,", None),
    ],
)
def test_a_code_of_a_paper_has_one_to_so_many_characters(text: str, codes: tuple[str, ...] | None) -> None:
    assert papers_of(text) == codes


def test_numbers_go_on_from_one_but_not_from_none() -> None:
    engine = hall()
    (refused,) = noted(engine, GoneOn("A000", "qin"))
    assert (refused.kind, refused.data["reason"]) == ("ignored", "number_unknown")
    (taken,) = noted(engine, GoneOn("A001", "qin"))
    assert taken.kind == "numbers.gone_on"


def test_a_minute_and_a_half_is_said_in_minutes() -> None:
    assert answers._soon(89) == ("89秒", "89 s")
    assert answers._soon(90) == ("2分钟", "2 min")
    assert answers._states({"reason": "too_soon", "left_s": 12.4}, 1)["held"] == "in 12 s"
    assert answers._states({"reason": "too_soon", "left_s": None}, 1)["held"] == "in 0 s"


def test_the_mean_of_an_area_is_a_mean() -> None:
    learnt = Learnt(all_sum_s=1300.0, all_weight=3.0)
    assert forecast.overall_mean_s(learnt, 300.0, 5) == (5 * 300 + 1300) / 8


def test_what_two_windows_can_do_is_twice_what_one_can() -> None:
    engine = hall()
    for panel, clerk in (("p1", "mei"), ("p2", "qin")):
        engine.handle(AT_MS, KeyPressed(Point(panel), "login", clerk))
    turn = Turn(engine.state, Lookup(hall_site()), AT_MS)
    load = demand.load_of(turn, "tax")
    assert load.windows == 2
    found = demand.plain_stream(turn, "tax", load)
    assert found.steady_per_min == pytest.approx(forecast.STEADY_LOAD * 2 * 60 / load.mean_s)


def test_a_wish_without_an_end_is_a_broken_invariant() -> None:
    engine = hall()
    engine.check()
    engine.state.wishes["w1"] = Wish("tax", "clerk", AT_MS)
    with pytest.raises(AssertionError, match="never ends"):
        engine.check()
    engine.state.wishes["w1"] = replace(engine.state.wishes["w1"], area="moon")
    engine.state.timers["wish/w1"] = AT_MS + 1
    with pytest.raises(AssertionError, match="no such area"):
        engine.check()


def test_a_visitor_steps_aside_for_minutes_of_three_digits_at_most() -> None:
    engine = hall()
    engine.handle(AT_MS, KeyPressed(Point("p1"), "login", "qin"))
    for _ in range(2):
        engine.handle(AT_MS, GoneOn("A002", "qin", "A001"))
    engine.handle(AT_MS, KeyPressed(Point("p1"), "next"))
    _commands, notes = engine.handle(AT_MS, KeyPressed(Point("p1"), "park", "0010"))
    assert [note.data["reason"] for note in notes if note.kind == "ignored"] == ["not_minutes"]
    _commands, notes = engine.handle(AT_MS, KeyPressed(Point("p1"), "park", "010"))
    assert [note.data["minutes"] for note in notes if note.kind == "ticket.parked"] == [10]
