"""A push to many halls counts only reports about this very policy as answers, and ignores whatever is no report."""

from __future__ import annotations

from typing import Any

import pytest

from edged.central.fleet import FleetAnswer, answer_to, rehearses

OURS = "a" * 64
REPORT: dict[str, Any] = {"desired": {"version": 7, "sha256": OURS}, "state": "applied"}
WHY = {"code": "out-of-bounds", "path": "body.tidal.pool", "message": "too many", "message_zh": "过多"}


@pytest.mark.parametrize(
    ("report", "answer"),
    [
        (REPORT, FleetAnswer("applied")),
        (REPORT | {"state": "staged", "left_out": ["tax"]}, FleetAnswer("staged")),
        (
            REPORT | {"left_out": ["if-present:tax", 7]},
            FleetAnswer("applied", "", "", ("if-present:tax", "7")),
        ),
        (REPORT | {"left_out": "tax"}, FleetAnswer("applied")),
        (
            REPORT | {"state": "rejected", "reason": WHY},
            FleetAnswer("rejected", "body.tidal.pool: too many", "body.tidal.pool: 过多"),
        ),
        (
            REPORT | {"state": "rolled-back", "reason": WHY | {"path": ""}},
            FleetAnswer("rolled-back", "too many", "过多"),
        ),
        (REPORT | {"state": "rejected", "reason": {"message": "why"}}, FleetAnswer("rejected", "why")),
        (REPORT | {"state": "rejected", "reason": "why"}, FleetAnswer("rejected")),
        (REPORT | {"state": "rehearsing"}, None),
        (REPORT | {"state": None}, None),
        (REPORT | {"desired": {"version": 7, "sha256": "b" * 64}}, None),
        (REPORT | {"desired": None}, None),
        (["applied"], None),
    ],
)
def test_what_a_report_answers(report: Any, answer: FleetAnswer | None) -> None:
    assert answer_to(report, OURS) == answer


def test_only_a_report_about_this_policy_says_that_it_is_rehearsed() -> None:
    rehearsing = REPORT | {"state": "rehearsing"}
    assert rehearses(rehearsing, OURS)
    about_another, about_none = rehearsing | {"desired": {"sha256": "b" * 64}}, rehearsing | {"desired": 7}
    others: tuple[Any, ...] = (REPORT, about_another, about_none, None, [])
    assert not any(rehearses(other, OURS) for other in others)
