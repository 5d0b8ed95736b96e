"""Rules of the core that are stated with a bound, each on both sides of it."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from edged.core import sequence
from edged.core.engine import Engine
from edged.core.model import forecast
from edged.core.model.commands import Note
from edged.core.model.events import (
    AppointmentMade,
    ClockSet,
    GoneOn,
    KeyPressed,
    RatingGiven,
    SiteLoaded,
    TicketRequested,
)
from edged.core.model.lookup import Lookup
from edged.core.model.point import Point
from edged.core.model.state import Learnt, TicketState, Wish
from edged.core.model.turn import Turn
from edged.core.people import answers, staffing
from edged.core.queue import bookings, demand, people_counters
from edged.core.visits import recorded
from edged.core.visits.outcomes import CODE_MAX_CHARS, papers_of
from tests.support.core_hall import SiteText, hall_site

AT_MS = 28_800_000
MORNING_MS = 1_795_392_000_000


def hall() -> Engine:
    engine = Engine()
    engine.handle(AT_MS, SiteLoaded(hall_site()))
    engine.handle(AT_MS, ClockSet(MORNING_MS, 0))
    return engine


def notes_on_numbering(engine: Engine, event: GoneOn) -> list[Note]:
    """Handle ``event``; return its notes on numbering: refused or gone on."""
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
def test_a_paper_code_is_accepted_from_one_to_the_maximum_number_of_characters(
    text: str, codes: tuple[str, ...] | None
) -> None:
    assert papers_of(text) == codes


def test_numbering_by_hand_accepts_number_one_and_refuses_number_zero() -> None:
    engine = hall()
    (refused,) = notes_on_numbering(engine, GoneOn("A000", "qin"))
    assert (refused.kind, refused.data["reason"]) == ("ignored", "number_unknown")
    (taken,) = notes_on_numbering(engine, GoneOn("A001", "qin"))
    assert taken.kind == "numbers.gone_on"


def test_a_time_left_of_ninety_seconds_or_more_is_written_in_minutes() -> None:
    assert answers._soon(89) == ("89秒", "89 s")
    assert answers._soon(90) == ("2分钟", "2 min")
    assert answers._states({"reason": "too_soon", "left_s": 12.4}, 1)["held"] == "in 12 s"
    assert answers._states({"reason": "too_soon", "left_s": None}, 1)["held"] == "in 0 s"


def test_the_mean_service_time_of_an_area_weighs_the_prior_with_what_was_learnt() -> None:
    learnt = Learnt(all_sum_s=1300.0, all_weight=3.0)
    assert forecast.overall_mean_s(learnt, 300.0, 5) == (5 * 300 + 1300) / 8


def test_the_assumed_steady_arrivals_grow_with_the_number_of_open_windows() -> None:
    engine = hall()
    for panel, clerk in (("p1", "mei"), ("p2", "qin")):
        engine.handle(AT_MS, KeyPressed(Point(panel), "login", clerk))
    turn = Turn(engine.state, Lookup(hall_site()), AT_MS)
    load = demand.load_of(turn, "tax")
    assert load.windows == 2
    found = demand.plain_stream(turn, "tax", load)
    assert found.steady_per_min == pytest.approx(forecast.STEADY_LOAD * 2 * 60 / load.mean_s)


def test_a_wish_without_an_expiry_timer_or_with_an_unknown_area_breaks_an_invariant() -> None:
    engine = hall()
    engine.check()
    engine.state.wishes["w1"] = Wish("tax", "clerk", AT_MS)
    with pytest.raises(AssertionError, match="never ends"):
        engine.check()
    engine.state.wishes["w1"] = replace(engine.state.wishes["w1"], area="moon")
    engine.state.timers["wish/w1"] = AT_MS + 1
    with pytest.raises(AssertionError, match="no such area"):
        engine.check()


def test_a_ticket_is_parked_for_minutes_of_three_digits_at_most() -> None:
    engine = hall()
    engine.handle(AT_MS, KeyPressed(Point("p1"), "login", "qin"))
    for _ in range(2):
        engine.handle(AT_MS, GoneOn("A002", "qin", "A001"))
    engine.handle(AT_MS, KeyPressed(Point("p1"), "next"))
    _commands, notes = engine.handle(AT_MS, KeyPressed(Point("p1"), "park", "0010"))
    assert [note.data["reason"] for note in notes if note.kind == "ignored"] == ["not_minutes"]
    _commands, notes = engine.handle(AT_MS, KeyPressed(Point("p1"), "park", "010"))
    assert [note.data["minutes"] for note in notes if note.kind == "ticket.parked"] == [10]


LIMIT = 120  # people a minute through one door, as the policy has it


@pytest.mark.parametrize("wrap", [None, *people_counters.WRAPS])
@pytest.mark.parametrize(("more", "believed"), [(0, True), (LIMIT, True), (LIMIT + 1, False)])
def test_a_people_count_is_believed_up_to_the_limit_per_minute_and_refused_above_it(
    wrap: int | None, more: int, believed: bool
) -> None:
    """Also where the counter begins again at 0, behind its last number."""
    last = 5_000 if wrap is None else wrap - 10
    total = last + more if wrap is None else (last + more) % wrap
    came, doubt = people_counters._since(last, total, LIMIT, 0)
    assert (came, doubt is None) == ((more, True) if believed else (0, False))
    assert people_counters._since(10, 5, LIMIT, 5) == (5, None), (
        "it began anew, and may have counted so many since"
    )
    assert people_counters._since(10, 6, LIMIT, 5) == (0, "backwards")


@pytest.mark.parametrize(
    ("late_s", "service", "holds"),
    [
        (-3600.001, "deed", False),
        (-3600, "deed", True),
        (0, "deed", True),
        (0, "social-card", False),
        (900, "deed", True),
        (900.001, "deed", False),
    ],
)
def test_an_appointment_holds_only_between_its_early_and_late_check_in_limits(
    late_s: float, service: str, holds: bool
) -> None:
    engine = hall()
    start_ms = MORNING_MS + 7_200_000
    engine.handle(AT_MS, AppointmentMade("b1", "deed", start_ms, "normal"))
    at_ms = AT_MS + 7_200_000 + round(late_s * 1000)
    turn = Turn(engine.state, Lookup(hall_site()), at_ms)
    assert bookings.holds(turn, "b1", service) == holds
    assert not bookings.holds(turn, "b2", service)


def test_recovery_takes_two_ticket_states_as_equal_only_if_the_visitor_sees_no_difference() -> None:
    """Before the first call nobody knows which it was, and with papers to bring a visit is served as well."""
    same = ({"WAITING", "BOOKED", "ISSUE_FAILED"}, {"SERVED", "RETURN_PENDING"})
    for one in get_args(TicketState):
        for other in get_args(TicketState):
            together = one == other or any({one, other} <= group for group in same)
            assert recorded.alike(one, other) == together, (one, other)


@pytest.mark.parametrize("helpers", [0, 1, 2])
@pytest.mark.parametrize("leave", [1, 2, 3])
def test_each_clerk_leaving_takes_a_share_of_the_capacity_and_the_last_one_the_rest(
    helpers: int, leave: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody: list[str | None] = ["qin", "mei", "sun"]
    team = everybody[: 1 + helpers]
    ends_s = {person: 600.0 * (number + 1) for number, person in enumerate(team[:leave])}
    monkeypatch.setattr(staffing, "leaves_in_s", lambda turn, person: ends_s.get(person))
    turn = Turn(hall().state, Lookup(hall_site()), AT_MS)
    found = demand._leaving(turn, "tax", team, 0.5)
    assert [end_s for end_s, _ in found] == sorted(ends_s.values())
    shares = [share for _, share in found]
    assert all(share > 0 for share in shares)
    assert (sum(shares) == pytest.approx(0.5)) == (len(ends_s) == len(team))
    assert sum(shares) <= 0.5 + 1e-9


def test_a_newcomer_waits_zero_where_a_window_is_free_and_never_less_than_zero() -> None:
    load = forecast.Load(work=0.0, busy=0.0, windows=3.0, mean_s=600.0)
    assert [forecast.newcomer_wait_s(load, 3.0, present) for present in (0.0, 0.5, 1.0, 2.0)] == [0.0] * 4
    assert [forecast.newcomer_wait_s(load, 3.0, present) for present in (3.0, 5.0)] == [200.0, 600.0]
    assert forecast.newcomer_wait_s(load, 0.0, 0.0) == 0.0


def test_time_without_a_connection_does_not_age_the_known_sequence_numbers_of_a_device() -> None:
    """Its numbers are a little older than they look: the time without a connection does not count for them."""
    engine, panel = hall(), Point("p1")
    engine.handle(AT_MS, KeyPressed(panel, "login", "qin", seq=1))
    turn = Turn(engine.state, Lookup(hall_site()), AT_MS + 1_000)
    sequence.link_down(turn, panel)
    sender = engine.state.senders[panel]
    assert (sender.deaf_ms, sender.fresh) == (AT_MS + 1_000, {1: AT_MS})
    engine.handle(AT_MS + 5_000, KeyPressed(panel, "logout", seq=2))
    assert sender.deaf_ms is None
    assert sender.fresh == {1: AT_MS + 4_000, 2: AT_MS + 5_000}


@pytest.mark.parametrize(("after_ms", "rated"), [(0, True), (599_999, True), (600_000, False)])
def test_a_rating_is_accepted_only_within_the_limit_after_the_end_of_the_visit(
    after_ms: int, rated: bool
) -> None:
    engine, text = Engine(), SiteText()
    text.change("window w1 1 tax-general panel=p1 evaluator=e1")
    for event in (
        SiteLoaded(text.site),
        ClockSet(MORNING_MS, 0),
        KeyPressed(Point("p1"), "login", "qin"),
        TicketRequested(Point("disp"), "tax-general"),
        KeyPressed(Point("p1"), "next"),
        KeyPressed(Point("p1"), "arrive"),
        KeyPressed(Point("p1"), "finish"),
    ):
        engine.handle(AT_MS, event)
    _, notes = engine.handle(AT_MS + after_ms, RatingGiven(Point("e1"), 5))
    assert ("rating.given" in {note.kind for note in notes}) == rated, notes
