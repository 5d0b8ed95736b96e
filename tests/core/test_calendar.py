"""The hall's calendar against an independent one (chinesecalendar), and what follows from it."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import chinese_calendar  # type: ignore[import-untyped]
import pytest

from edged.central.policy_model import core_policy, model_of
from edged.core.calendar import day_spans
from edged.core.calendar.day_spans import Span
from edged.core.model.policy import Hours, Noon, Policy, Session, Special
from edged.shapes import read

EPOCH = date(1970, 1, 1)
EXAMPLE = Path(__file__).parents[2] / "configs" / "policy-example.json"
MONDAY = (date(2026, 11, 23) - EPOCH).days


def days_of(year: int) -> list[date]:
    return [
        date(year, 1, 1) + timedelta(days=n) for n in range((date(year + 1, 1, 1) - date(year, 1, 1)).days)
    ]


def hours_of_year(year: int) -> Hours:
    """Return opening hours with the holidays and working days of a year, as a city would write them in its policy."""
    facts = chinese_calendar.constants
    return Hours(
        week=(Session(), Session((6, 7), "10:00", "16:00", mode="self-service")),
        holidays=tuple(day.isoformat() for day in facts.holidays if day.year == year),
        workdays=tuple(day.isoformat() for day in facts.workdays if day.year == year),
    )


@pytest.mark.parametrize("year", [2025, 2026])
def test_every_day_is_a_workday_or_holiday_as_the_state_council_announced(year: int) -> None:
    hours = hours_of_year(year)
    for day in days_of(year):
        kind = day_spans.kind_of(hours, (day - EPOCH).days)
        assert (kind in ("workday", "make-up")) == chinese_calendar.is_workday(day), day
        assert (kind == "holiday") == (
            chinese_calendar.get_holiday_detail(day)[1] is not None
        ) or kind == "make-up"
        serves = any(
            span.mode in day_spans.SERVING for span in day_spans.spans(hours, "tax", (day - EPOCH).days)
        )
        assert serves == chinese_calendar.is_workday(day), day


def test_the_shipped_example_has_the_holidays_of_its_year() -> None:
    body = read(model_of(Policy), json.loads(EXAMPLE.read_text())["body"])
    hours = core_policy(body).hours
    assert sorted(hours.holidays) == sorted(hours_of_year(2026).holidays)
    assert sorted(hours.workdays) == sorted(hours_of_year(2026).workdays)


def test_a_next_year_without_holidays_in_the_policy_is_reported_missing_in_december() -> None:
    hours = hours_of_year(2026)
    assert day_spans.missing_year(hours, (date(2026, 12, 10) - EPOCH).days) is None
    assert day_spans.missing_year(hours, (date(2026, 12, 11) - EPOCH).days) == 2027
    assert day_spans.missing_year(hours, (date(2027, 3, 1) - EPOCH).days) == 2027
    assert (
        day_spans.kind_of(hours, (date(2027, 10, 1) - EPOCH).days) == "workday"
    )  # known by its weekday only


def test_the_next_opening_is_found_over_the_longest_holiday() -> None:
    hours = hours_of_year(2026)
    eve = (date(2026, 2, 14) - EPOCH).days  # the make-up Saturday before Spring Festival
    assert day_spans.next_opening(hours, "tax", eve, 17 * 60) == ((date(2026, 2, 24) - EPOCH).days, 540)


def test_sessions_of_named_areas_replace_the_common_hours_and_added_modes_extend_them() -> None:
    week = (
        Session(),
        Session((1,), "09:00", "12:00", ("estate",)),
        Session((1,), "17:00", "19:00", ("tax",), "extended"),
        Session((1,), mode="closed", areas=("housing",)),
    )
    hours = Hours(week)
    assert day_spans.spans(hours, "estate", MONDAY) == (Span(540, 720),)
    assert day_spans.spans(hours, "tax", MONDAY) == (Span(540, 1020), Span(1020, 1140, "extended"))
    assert day_spans.serves_until(day_spans.spans(hours, "tax", MONDAY), 600) == 1140
    assert day_spans.spans(hours, "housing", MONDAY) == ()
    assert day_spans.spans(hours, "estate", MONDAY + 1) == (Span(540, 1020),)


def test_special_hours_of_a_date_win_over_a_holiday_on_that_date() -> None:
    hours = Hours((Session(),), (Special("2026-11-23", "10:00", "11:00"),), holidays=("2026-11-23",))
    assert day_spans.spans(hours, "tax", MONDAY) == (Span(600, 660),)


@pytest.mark.parametrize(
    ("opens", "closes", "spans"),
    [
        (480, None, (Span(480, 1020), Span(1020, 1320, "self-service"))),
        (None, 1080, (Span(540, 1080), Span(1080, 1320, "self-service"))),
        (None, 960, (Span(540, 960), Span(1020, 1320, "self-service"))),
        (None, 1380, (Span(540, 1380),)),
        (600, 500, (Span(1020, 1320, "self-service"),)),
    ],
)
def test_an_override_moves_the_opening_and_closing_times_of_a_day(
    opens: int | None, closes: int | None, spans: tuple[Span, ...]
) -> None:
    found = (Span(540, 1020), Span(1020, 1320, "self-service"))
    assert day_spans.flexed(found, opens, closes) == spans


def test_an_override_opens_a_day_off_only_with_both_opening_and_closing_time() -> None:
    assert day_spans.flexed((), None, 700) == ()
    assert day_spans.flexed((), 600, 700) == (Span(600, 700),)


def test_a_noon_break_exists_only_inside_hours_of_full_service() -> None:
    hours = Hours((Session(),), noon=Noon("12:00", "13:30"))
    assert day_spans.noon_of(hours, (Span(540, 1020),)) == (720, 810)
    assert day_spans.noon_of(hours, (Span(540, 1020, "assisted"),)) is None
    assert day_spans.noon_of(hours, (Span(540, 720),)) is None
