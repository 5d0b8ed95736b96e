"""Rules of one line each: what is forgotten, begun anew, rebuilt or counted, asked at the place that decides it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.core import invariants, keys, rebuild, trial
from edged.core.cases import case_book, ratings
from edged.core.engine import Engine
from edged.core.hours import day
from edged.core.model import forecast
from edged.core.model.commands import Page
from edged.core.model.events import (
    WHOLE_HALL,
    ClockSet,
    CountRead,
    GoneOn,
    KeyPressed,
    PolicyApplied,
    SiteLoaded,
)
from edged.core.model.forecast import Load, Stream
from edged.core.model.lookup import Lookup
from edged.core.model.point import Point
from edged.core.model.policy import Policy
from edged.core.model.policy.calling import CallRule
from edged.core.model.state import (
    Alarm,
    AreaHours,
    DeviceState,
    Help,
    Learnt,
    PendingAction,
    PeopleCounter,
    PolicyTrial,
    Promise,
    Rating,
    Ticket,
)
from edged.core.model.turn import Turn
from edged.core.people import pages as guide_pages
from edged.core.people import staffing, undelivered
from edged.core.queue import by_hand, demand, ordering, people_counters
from edged.core.sequence import SEEN_PER_POINT, is_redelivery
from edged.core.tide import tidal_loop
from edged.core.tide.rules import DECIDE_MS, Evaluation
from edged.core.visits import promises
from edged.core.windows import activation, overrides
from tests.support.core_hall import SiteText

AT_MS = 28_800_000
MORNING_MS = 1_795_392_000_000
MINUTE_MS = 60_000
POLICY = Policy()


def a_turn(policy: Policy = POLICY, *changes: str, at_ms: int = AT_MS) -> Turn:
    text = SiteText()
    for line in changes:
        text.change(line)
    engine = Engine()
    engine.handle(AT_MS, SiteLoaded(text.site))
    engine.handle(AT_MS, ClockSet(MORNING_MS, 0))
    engine.handle(AT_MS, PolicyApplied(1, "0" * 64, policy))
    return Turn(engine.state, Lookup(text.site), at_ms)


def a_ticket(number: int = 1) -> Ticket:
    return Ticket(number, f"A{number:03}", "tax-general", "normal", AT_MS, AT_MS, Point("kiosk"))


def test_a_kept_undelivered_page_is_forgotten_by_its_action_id() -> None:
    turn = a_turn()
    page = Page("li", "tax", None, "", "")
    turn.state.undelivered |= {name: PendingAction(Point("pager-li"), page, AT_MS) for name in ("a1", "a2")}
    undelivered.forget(turn, None)
    undelivered.forget(turn, "a1")
    assert list(turn.state.undelivered) == ["a2"]


def test_a_page_that_reached_nobody_counts_as_unanswered_only_for_a_window_waiting_for_staff() -> None:
    page = Page("li", "tax", "w8", "", "")
    for state, acknowledged, staff, counts in (
        ("ACTIVATING", False, "li", True),
        ("ACTIVATING", True, "li", False),
        ("ACTIVATING", False, "wang", False),
        ("OPEN", False, "li", False),
    ):
        turn = a_turn()
        window = turn.window("w8")
        window.state, window.acknowledged = state, acknowledged  # type: ignore[assignment]
        window.paged_staff, window.area = staff, "tax"
        activation.unreached(turn, page)
        reasons = [note.data["reason"] for note in turn.notes if note.kind == "tidal.unanswered"]
        assert reasons == (["not reached"] if counts else [])


@pytest.mark.parametrize("target", ["tax", WHOLE_HALL])
def test_an_override_that_stops_numbers_updates_the_dispensers_and_the_area(target: str) -> None:
    turn = a_turn()
    overrides._touch(turn, target)
    assert turn.issuing_changed
    assert "tax" in turn.dirty_areas


@pytest.mark.parametrize(
    ("standing", "sounds"), [(ratings.UNANSWERED_MAX - 1, True), (ratings.UNANSWERED_MAX, False)]
)
def test_bad_ratings_raise_an_alarm_each_up_to_the_limit(standing: int, sounds: bool) -> None:
    turn = a_turn()
    for number in range(standing):
        turn.state.alarms[f"{ratings.ALARM}/r{number}"] = Alarm(ratings.ALARM, f"r{number}", AT_MS)
    ratings.keep(turn, "last", Rating("qin", 1, "w1", AT_MS))
    assert ("alarm.raised" in [note.kind for note in turn.notes]) is sounds
    assert (len(turn.state.alarms) - standing) == int(sounds)


def test_a_case_that_begins_again_may_be_warned_about_and_extended_again() -> None:
    turn = a_turn()
    case = case_book.case_of(turn, "window", None, special=False, ticket=None)
    case.warned, case.extensions = True, 2
    case_book._begin(turn, case)
    assert (case.warned, case.extensions) == (False, 0)


@pytest.mark.parametrize(("visit", "becomes"), [("CALLED", "CALLING"), ("SERVING", "SERVING")])
def test_a_tidal_window_made_regular_keeps_the_visitor_it_serves(visit: str, becomes: str) -> None:
    turn = a_turn()
    turn.state.tickets[1] = a_ticket()
    turn.state.tickets[1].state = visit  # type: ignore[assignment]
    window = turn.window("w8")
    window.state, window.ticket, window.staff = "DRAINING", 1, "li"
    rebuild._make_regular(turn, "w8")
    assert window.state == becomes


def test_a_special_need_key_at_a_free_window_makes_a_wish_for_its_first_area() -> None:
    turn = a_turn()
    assert len(turn.lookup.window_areas["w4"]) > 1
    keys._special_need(turn, "w4", None)
    assert [wish.area for wish in turn.state.wishes.values()] == [turn.lookup.window_areas["w4"][0]]


@pytest.mark.parametrize(("waiting", "found"), [(9, ""), (10, "tax")])
def test_the_last_good_policy_would_open_a_window_only_above_its_band(waiting: int, found: str) -> None:
    turn = a_turn()
    tidal = replace(POLICY.tidal, rule="band", band=replace(POLICY.tidal.band, open_above=9, max_windows=2))
    turn.area("tax").waiting, turn.state.active_ms = waiting, AT_MS
    judged = PolicyTrial(1, "0" * 64, POLICY.trial, tidal)
    assert trial._missed_window(turn, judged) == found


def test_the_usual_wait_is_stored_to_a_tenth_of_a_second() -> None:
    turn = a_turn(at_ms=AT_MS + 12_345)
    turn.state.tickets[1] = a_ticket()
    turn.state.tickets[1].queued_ms = AT_MS
    turn.state.queues["tax-general"] = {"normal": [1]}
    turn.state.usual.clear()
    assert trial.queue_now(turn).waited_s == 12.345
    trial._learn(turn)
    assert [one.waited_s for one in turn.state.usual.values()] == [12.3]


def test_the_time_until_a_shift_ends_is_known_to_the_second() -> None:
    turn = a_turn(POLICY, "staff li 李 tax shifts=00:00-00:01")
    start_ms = MORNING_MS // 86_400_000 * 86_400_000
    turn.state.wall_offset_ms = start_ms - AT_MS + 30_000
    turn.state.utc_offset_min = 0
    assert staffing.leaves_in_s(turn, "li") == 30.0


@pytest.mark.parametrize(
    ("clock_min", "there"), [(21 * 60 + 59, False), (22 * 60, True), (5 * 60 + 59, True), (6 * 60, False)]
)
def test_a_night_shift_begins_and_ends_on_its_minute(clock_min: int, there: bool) -> None:
    turn = a_turn(POLICY, "staff li 李 tax shifts=22:00-06:00")
    turn.state.wall_offset_ms = MORNING_MS // 86_400_000 * 86_400_000 - AT_MS + clock_min * MINUTE_MS
    turn.state.utc_offset_min = 0
    assert staffing.on_shift(turn, "li") is there


def test_an_overdue_promise_of_papers_is_noted_once() -> None:
    turn = a_turn()
    promises.overdue(turn, "nobody's")
    turn.state.promises["A001-1"] = Promise("A001", "tax-general", "w1", ["id-card"])
    for _ in range(2):
        promises.overdue(turn, "A001-1")
    assert [note.subject for note in turn.notes if note.kind == "promise.overdue"] == ["A001-1"]


def test_a_shift_that_ends_in_the_noon_rest_does_not_count_as_leaving() -> None:
    turn = a_turn(
        POLICY, "staff li 李 tax shifts=08:00-12:00,13:00-17:00", "staff wang 王 tax shifts=08:00-12:00"
    )
    turn.state.wall_offset_ms = MORNING_MS // 86_400_000 * 86_400_000 - AT_MS + 9 * 60 * MINUTE_MS
    turn.state.utc_offset_min = 0
    noon_ms = AT_MS + 3 * 60 * MINUTE_MS
    turn.state.hours["tax"] = AreaHours(rest_ms=(noon_ms, noon_ms + 60 * MINUTE_MS))
    assert demand._leaving(turn, "tax", ["li"], 1.0) == []
    assert demand._leaving(turn, "tax", ["wang"], 1.0) == [(3 * 3600.0, 1.0)]
    turn.state.hours["tax"] = AreaHours(rest_ms=(noon_ms - MINUTE_MS, noon_ms + 60 * MINUTE_MS))
    assert demand._leaving(turn, "tax", ["li"], 1.0) == []
    turn.state.hours["tax"] = AreaHours(rest_ms=(noon_ms + MINUTE_MS, noon_ms + 60 * MINUTE_MS))
    assert demand._leaving(turn, "tax", ["li"], 1.0) == [(3 * 3600.0, 1.0)]


@pytest.mark.parametrize(
    ("rule", "rank"),
    [
        (CallRule(), 0),
        (CallRule(priorities=("elderly",)), 1),
        (CallRule(priorities=("normal",)), 0),
        (CallRule(areas=("social",)), 1),
    ],
)
def test_a_calling_rule_ranks_only_the_priorities_it_names(rule: CallRule, rank: int) -> None:
    turn = a_turn(replace(POLICY, calling=replace(POLICY.calling, rules=(rule,))))
    assert ordering._rank(turn, "tax-general", "normal") == rank


def test_before_an_arrival_profile_begins_the_forecast_is_that_of_its_first_minute() -> None:
    load = Load(6.0, 1.0, 1.0, 300.0)
    early, begun = (
        forecast.look_ahead_wait_s(load, Learnt(), AT_MS, Stream(minute, (), 2.0), 120.0)
        for minute in (-5.0, 0.0)
    )
    assert early == begun


@pytest.mark.parametrize(
    ("decided", "since_ms", "evaluated_again"),
    [(False, AT_MS, True), (True, AT_MS, False), (False, None, False)],
)
def test_an_area_that_may_give_back_a_window_is_evaluated_again_until_it_is_decided(
    decided: bool, since_ms: int | None, evaluated_again: bool
) -> None:
    """In hours in which nothing is asked for; with a window that the area ordered."""
    turn = a_turn()
    turn.state.hours["tax"] = AreaHours(mode="assisted")
    window = turn.window("w8")
    window.state, window.area, window.staff, window.opened_ms = "OPEN", "tax", "li", AT_MS
    turn.area("tax").under_since_ms = since_ms
    now = Evaluation(0, 0.0, ("w8",), decided=decided, watch=True)
    grid_ms = (AT_MS // DECIDE_MS + 1) * DECIDE_MS
    assert (tidal_loop._next_evaluation_ms(turn, "tax", now) == grid_ms) is evaluated_again


@pytest.mark.parametrize(("number", "last"), [(1, 0), (999, 998), (1000, 0), (0, 0)])
def test_numbering_by_hand_accepts_numbers_from_1_to_999(number: int, last: int) -> None:
    turn = a_turn()
    turn.state.last_number["tax-general"] = last
    by_hand.go_on(turn, GoneOn(f"A{number:03}", "chen"))
    assert [note.kind for note in turn.notes] == ["numbers.gone_on" if 0 < number <= 999 else "ignored"]


@pytest.mark.parametrize(("up", "people"), [(True, 20), (False, 200)])
def test_a_people_counter_restarted_from_zero_may_have_counted_since_it_came_back(
    up: bool, people: int
) -> None:
    """Twenty a minute; heard ten minutes ago, back for one. One that is not back may have counted all the time."""
    turn = a_turn(at_ms=AT_MS + 10 * MINUTE_MS)
    door = Point("door")
    turn.state.policy = replace(POLICY, counting=replace(POLICY.counting, people_per_minute=20))
    turn.state.devices["door"] = DeviceState(up, turn.at_ms - MINUTE_MS)
    assert people_counters._anew(turn, door, AT_MS) == people


def test_a_people_counter_forgets_the_line_it_reported_longest_ago() -> None:
    turn = a_turn()
    for number in (*range(people_counters.LINES_MAX), 0, people_counters.LINES_MAX):
        people_counters.read(turn, CountRead(Point("door"), "total", 5, 0, line=str(number)))
    known = list(turn.state.counters[Point("door")].lines)
    assert known == [
        str(number) for number in (*range(2, people_counters.LINES_MAX), 0, people_counters.LINES_MAX)
    ]


@pytest.mark.parametrize("received", [SEEN_PER_POINT, SEEN_PER_POINT + 1])
def test_a_limited_number_of_messages_of_each_device_is_recognised_as_repeats(received: int) -> None:
    turn = a_turn()
    for number in range(1, received + 1):
        assert not is_redelivery(turn, KeyPressed(Point("p1"), "next", seq=number))
    assert list(turn.state.seen[Point("p1")]) == list(range(1, received + 1))[-SEEN_PER_POINT:]


@pytest.mark.parametrize(("late_ms", "in_time"), [(0, True), (1, False)])
def test_a_case_acknowledged_exactly_at_its_limit_is_acknowledged_in_time(
    late_ms: int, in_time: bool
) -> None:
    limit_ms = POLICY.cases.acknowledge_s * 1000
    turn = a_turn()
    case = case_book.case_of(turn, "window", None, special=False, ticket=None)
    turn.at_ms = case.asked_ms + limit_ms + late_ms
    case_book.acknowledge(turn, case, "zhou")
    assert case.responded is in_time


def test_the_turn_of_the_day_drops_the_timer_that_calls_an_absentee_again() -> None:
    turn = a_turn(at_ms=AT_MS + 30 * 60 * MINUTE_MS)
    absent, here = a_ticket(1), a_ticket(2)
    absent.state, absent.ended_ms, here.issued_ms = "NO_SHOW", AT_MS, turn.at_ms
    turn.state.tickets = {1: absent, 2: here}
    turn.state.timers |= {"reoffer/1": turn.at_ms + 1, "reoffer/2": turn.at_ms + 1}
    day.turn_day(turn)
    assert [name for name in turn.state.timers if name.startswith("reoffer/")] == ["reoffer/2"]


@pytest.mark.parametrize(("waiting", "pages"), [(6, 0), (7, 1), (4, 1), (3, 0)])
def test_a_guide_is_paged_above_the_limit_until_the_queue_falls_to_half_of_it(
    waiting: int, pages: int
) -> None:
    turn = a_turn(
        replace(POLICY, staffing=replace(POLICY.staffing, guide_above=6)), "staff lan 兰 tax roles=guide"
    )
    if waiting < 6:
        turn.area("tax").waiting = 7
        guide_pages.crowd(turn, "tax")
    turn.area("tax").waiting = waiting
    guide_pages.crowd(turn, "tax")
    assert len(turn.state.pages) == pages


def test_the_due_day_of_a_closed_or_unknown_case_warns_nobody() -> None:
    turn = a_turn()
    case = case_book.case_of(turn, "window", None, special=False, ticket=None)
    case.id, case.state, case.due_day = "c1", "CLOSED", 1
    turn.state.cases["c1"] = case
    for name in ("c1", "c2"):
        case_book.last_day_due(turn, name)
    assert (case.warned, turn.state.pages, turn.notes) == (False, {}, [])


@pytest.mark.parametrize(("timer", "state"), [(False, "OPEN"), (True, "CLOSED")])
def test_a_window_that_would_keep_a_prepared_visitor_for_ever_breaks_an_invariant(
    timer: bool, state: str
) -> None:
    turn = a_turn()
    window = turn.window("w1")
    window.state, window.prepared = state, 1  # type: ignore[assignment]
    if timer:
        turn.state.timers["prepared/w1"] = turn.at_ms
    with pytest.raises(AssertionError, match="w1 keeps somebody"):
        invariants._prepared(turn.state)


def test_a_timer_for_an_override_that_is_gone_breaks_an_invariant() -> None:
    turn = a_turn()
    turn.state.timers["override/close/w1"] = turn.at_ms
    with pytest.raises(AssertionError, match="ends nothing"):
        invariants._overrides(turn.state, turn.lookup)


def test_the_page_about_missing_tickets_is_dropped_once_the_counts_agree_again() -> None:
    turn = a_turn(
        replace(POLICY, counting=replace(POLICY.counting, missing_people=1)), at_ms=AT_MS + MINUTE_MS
    )
    turn.state.active_ms = turn.at_ms
    turn.state.counters[Point("door")] = PeopleCounter(came={turn.at_ms // MINUTE_MS: 50})
    people_counters._compare(turn)
    assert [page.about for page in turn.state.pages.values()] == [people_counters.MISSING]
    turn.state.counters[Point("door")].came.clear()
    people_counters._compare(turn)
    assert not turn.state.pages


@pytest.mark.parametrize("was", [True, False])
def test_a_case_that_opens_again_stays_late_if_it_was(was: bool) -> None:
    turn = a_turn()
    case = case_book.case_of(turn, "window", None, special=False, ticket=None)
    case.state, case.closed_ms, case.on_time, case.responded = "CLOSED", turn.at_ms, was, was
    case_book.reopen(turn, case, "zhou", "told")
    later = None if was else False
    assert (case.on_time, case.responded) == (later, later)


def test_the_help_of_a_window_that_no_longer_exists_is_removed() -> None:
    turn = a_turn()
    turn.state.helps |= {"w1": Help("sun", AT_MS, 5.0), "w77": Help("zhou", AT_MS, 5.0)}
    guide_pages.reconcile(turn)
    assert set(turn.state.helps) == {"w1"}
