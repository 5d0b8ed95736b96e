"""Policies that nobody can want are refused, each with the path of the value and why."""

from __future__ import annotations

from typing import Any

import pytest

from edged.central.policies import Mark, accept
from edged.central.refusals import DocumentRefused
from tests.support.policies import AUDIENCE, KEYS, NOW_MS, document, envelope

SILLY: dict[str, tuple[dict[str, Any], str, str]] = {
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
    "calls that nobody may wait to hear": (
        {"signage": {"say_within_s": 0}},
        "body.signage.say_within_s",
        "out-of-bounds",
    ),
}


@pytest.mark.parametrize(("body", "path", "code"), SILLY.values(), ids=SILLY.keys())
def test_it_is_refused_with_path_and_reason(body: dict[str, Any], path: str, code: str) -> None:
    with pytest.raises(DocumentRefused) as caught:
        accept(envelope(document(body=body)), KEYS, AUDIENCE, Mark(), NOW_MS)
    found = {(reason.path, reason.code) for reason in caught.value.reasons}
    assert (path, code) in found
    assert all(reason.message and reason.message_zh for reason in caught.value.reasons)
