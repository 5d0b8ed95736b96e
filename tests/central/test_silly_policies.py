"""Policies that nobody can want are refused, each with the path of the value and why."""

from __future__ import annotations

from typing import Any

import pytest

from edged.central.audience import HighestVersion, Trusted
from edged.central.policies import accept
from edged.central.refusals import DocumentRefused
from tests.support.policies import AUDIENCE, KEYS, NOW_MS, document, envelope

SILLY: dict[str, tuple[dict[str, Any], str, str]] = {
    "hours that end before they begin": (
        {"hours": {"week": [{"opens": "17:00", "closes": "09:00"}]}},
        "body.hours.week[0].closes",
        "contradiction",
    ),
    "hours at no time": ({"hours": {"week": [{"opens": "9:00"}]}}, "body.hours.week[0].opens", "bad-value"),
    "hours on no day": ({"hours": {"week": [{"days": []}]}}, "body.hours.week[0].days", "contradiction"),
    "a ninth day of the week": (
        {"hours": {"week": [{"days": [9]}]}},
        "body.hours.week[0].days[0]",
        "out-of-bounds",
    ),
    "a day twice over": (
        {"hours": {"week": [{"days": [1, 2]}, {"days": [2], "opens": "16:00", "closes": "18:00"}]}},
        "body.hours.week[1].opens",
        "contradiction",
    ),
    "a hall that is always closed": (
        {"hours": {"week": [{"mode": "closed"}]}},
        "body.hours.week[0].areas",
        "contradiction",
    ),
    "hours of an area that is not there": (
        {"hours": {"week": [{"areas": ["parking"]}]}},
        "body.hours.week[0].areas[0]",
        "unknown-area",
    ),
    "a noon longer than the day": (
        {"hours": {"week": [{}], "noon": {"starts": "09:00", "ends": "17:00"}}},
        "body.hours.noon.ends",
        "contradiction",
    ),
    "a noon that ends before it starts": (
        {"hours": {"week": [{}], "noon": {"starts": "13:30", "ends": "12:00"}}},
        "body.hours.noon.ends",
        "contradiction",
    ),
    "a noon in the night": (
        {"hours": {"week": [{}], "noon": {"starts": "20:00", "ends": "21:00"}}},
        "body.hours.noon.ends",
        "contradiction",
    ),
    "a holiday that is a working day": (
        {"hours": {"week": [{}], "holidays": ["2026-10-01"], "workdays": ["2026-10-01"]}},
        "body.hours.workdays[0]",
        "contradiction",
    ),
    "a make-up day of a day without hours": (
        {"hours": {"week": [{"days": [2]}], "holidays": ["2026-10-01"], "workdays": ["2026-10-10"]}},
        "body.hours.workdays_as",
        "contradiction",
    ),
    "a date that does not exist": (
        {"hours": {"week": [{}], "holidays": ["2026-02-30"]}},
        "body.hours.holidays[0]",
        "contradiction",
    ),
    "holidays of a hall without hours": (
        {"hours": {"holidays": ["2026-10-01"]}},
        "body.hours.week",
        "contradiction",
    ),
    "an override that ends before it begins": (
        {"overrides": {"default_s": 0}},
        "body.overrides.default_s",
        "out-of-bounds",
    ),
    "an override that outlives its own limit": (
        {"overrides": {"default_s": 7200, "longest_s": 3600}},
        "body.overrides.default_s",
        "contradiction",
    ),
    "a rating scale without a bad level": (
        {"ratings": {"bad_level": 0}},
        "body.ratings.bad_level",
        "out-of-bounds",
    ),
    "every rating is bad": ({"ratings": {"bad_level": 5}}, "body.ratings.bad_level", "out-of-bounds"),
    "a bad rating that nothing answers": (
        {"ratings": {"answers": []}},
        "body.ratings.answers",
        "contradiction",
    ),
    "a case that is due at once": ({"cases": {"close_days": 0}}, "body.cases.close_days", "out-of-bounds"),
    "a special case with less time": (
        {"cases": {"close_days": 20, "special_days": 10}},
        "body.cases.close_days",
        "contradiction",
    ),
    "a reminder after the limit": (
        {"cases": {"acknowledge_s": 300, "remind_s": 600}},
        "body.cases.remind_s",
        "contradiction",
    ),
    "a case forgotten before it may be rated": (
        {"cases": {"keep_days": 5, "rate_days": 15}},
        "body.cases.rate_days",
        "contradiction",
    ),
    "a day that ends before it begins": (
        {"cases": {"remind_min": 900, "due_min": 600}},
        "body.cases.remind_min",
        "contradiction",
    ),
    "a case that cannot be closed": ({"cases": {"outcomes": []}}, "body.cases.outcomes", "contradiction"),
    "a person as an outcome": (
        {"cases": {"outcomes": ["王 13800000000"]}},
        "body.cases.outcomes[0]",
        "personal-data",
    ),
    "an override for ever": (
        {"overrides": {"longest_s": 86400}},
        "body.overrides.longest_s",
        "out-of-bounds",
    ),
    "a pause that nobody could ever begin": (
        {"staffing": {"pause_reasons": []}},
        "body.staffing.pause_reasons",
        "contradiction",
    ),
    "one word for two reasons to pause": (
        {"staffing": {"pause_reasons": [{"id": i, "text": "休息", "text_en": "Rest"} for i in ("a", "b")]}},
        "body.staffing.pause_reasons",
        "contradiction",
    ),
    "a pause alarm that never comes": (
        {"staffing": {"pause_alarm_s": 0}},
        "body.staffing.pause_alarm_s",
        "out-of-bounds",
    ),
    "a blank that nobody fills in": (
        {"signage": {"templates": {"call": "请{name}到{window}号窗口，{number}"}}},
        "body.signage.templates.call",
        "contradiction",
    ),
    "a brace left open": (
        {"signage": {"templates": {"open": "请取号{"}}},
        "body.signage.templates.open",
        "contradiction",
    ),
    "a call that does not say who": (
        {"signage": {"templates": {"call_en": "Window {window}, please"}}},
        "body.signage.templates.call_en",
        "contradiction",
    ),
    "slow calls for a class of visitors that does not exist": (
        {"signage": {"slow_for": ["old"]}},
        "body.signage.slow_for[0]",
        "contradiction",
    ),
    "a door through which nobody can come": (
        {"counting": {"people_per_minute": 0}},
        "body.counting.people_per_minute",
        "out-of-bounds",
    ),
    "calls that nobody may wait to hear": (
        {"signage": {"say_within_s": 0}},
        "body.signage.say_within_s",
        "out-of-bounds",
    ),
    "a window that calls nobody twice, nor once": (
        {"calling": {"max_calls": 0}},
        "body.calling.max_calls",
        "out-of-bounds",
    ),
    "a negative head start": (
        {"calling": {"priority_head_start_s": -60}},
        "body.calling.priority_head_start_s",
        "out-of-bounds",
    ),
    "no windows at all": ({"tidal": {"pool": 0}}, "body.tidal.pool", "out-of-bounds"),
    "a priority class that nobody can be": (
        {"calling": {"classes": {"king": {"head_start_s": 60}}}},
        "body.calling.classes.king",
        "contradiction",
    ),
    "a class that may overtake more than all classes together": (
        {"calling": {"priority_streak": 2, "classes": {"elderly": {"streak": 9}}}},
        "body.calling.classes.elderly.streak",
        "contradiction",
    ),
    "a calling rule that prefers everybody": (
        {"calling": {"rules": [{"name": "all"}]}},
        "body.calling.rules[0]",
        "contradiction",
    ),
    "a calling rule for a window that the hall does not have": (
        {"calling": {"rules": [{"windows": ["w99"]}]}},
        "body.calling.rules[0].windows[0]",
        "unknown-window",
    ),
    "a calling rule for a service that its windows do not know": (
        {"calling": {"rules": [{"windows": ["w11"]}, {"windows": ["w1"], "services": ["biz-open"]}]}},
        "body.calling.rules[1]",
        "contradiction",
    ),
    "a calling rule for another area than its windows": (
        {"calling": {"rules": [{"windows": ["w1"], "areas": ["biz"]}]}},
        "body.calling.rules[0]",
        "contradiction",
    ),
    "a calling rule for what nobody serves": (
        {"calling": {"rules": [{"services": ["biz-seal"], "min_wait_s": 60}]}},
        "body.calling.rules[0]",
        "contradiction",
    ),
    "a journey in a circle": (
        {"visits": {"journeys": {"ring": {"stages": ["tax-general", "biz-open", "tax-general"]}}}},
        "body.visits.journeys.ring.stages",
        "contradiction",
    ),
    "a journey through a service that the hall does not have": (
        {"visits": {"journeys": {"moon": {"stages": ["tax-general", "moon-landing"]}}}},
        "body.visits.journeys.moon.stages[1]",
        "unknown-service",
    ),
    "a journey into an area that nobody serves": (
        {"visits": {"journeys": {"shop": {"stages": ["biz-open", "biz-seal"]}}}},
        "body.visits.journeys.shop.stages[1]",
        "contradiction",
    ),
    "a journey that goes nowhere": (
        {"visits": {"journeys": {"none": {"stages": []}}}},
        "body.visits.journeys.none.stages",
        "contradiction",
    ),
    "an appointment that is called before anybody may check in": (
        {"visits": {"check_in_early_s": 60, "callable_early_s": 600}},
        "body.visits.callable_early_s",
        "contradiction",
    ),
    "an appointment that is forgotten before it is late": (
        {"visits": {"check_in_late_s": 3600, "booking_expires_s": 60}},
        "body.visits.booking_expires_s",
        "contradiction",
    ),
}


@pytest.mark.parametrize(("body", "path", "code"), SILLY.values(), ids=SILLY.keys())
def test_a_silly_policy_is_refused_with_the_path_and_the_reason(
    body: dict[str, Any], path: str, code: str
) -> None:
    with pytest.raises(DocumentRefused) as caught:
        accept(envelope(document(body=body)), Trusted(KEYS), AUDIENCE, HighestVersion(), NOW_MS)
    found = {(reason.path, reason.code) for reason in caught.value.reasons}
    assert (path, code) in found
    assert all(reason.message and reason.message_zh for reason in caught.value.reasons)


@pytest.mark.parametrize(("starts", "ends"), [("09:00", "10:00"), ("16:00", "17:00")])
def test_a_noon_may_begin_as_the_hall_opens_and_end_as_it_closes(starts: str, ends: str) -> None:
    body = {
        "hours": {"week": [{"opens": "09:00", "closes": "17:00"}], "noon": {"starts": starts, "ends": ends}}
    }
    assert accept(envelope(document(body=body)), Trusted(KEYS), AUDIENCE, HighestVersion(), NOW_MS)
