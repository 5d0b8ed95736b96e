"""Documents read without their signature: those that a hall accepted before, and those that it refuses and names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edged.central.key_list import version_in
from edged.central.policies import VERSION_MAX, claimed, reread
from tests.support.policies import AUDIENCE, document, envelope


def test_what_was_accepted_before_a_rule_about_texts_stays_in_force() -> None:
    """The core keeps no personal data; but no update takes a hall's policy out of force because of a text in it."""
    for text in ("call 13812345678", "a\u202eb"):
        raw = envelope(document(body={"signage": {"templates": {"open": text}}}))
        assert reread(raw, AUDIENCE.names).policy.signage.templates.open == text


@pytest.mark.parametrize(
    ("version", "named"),
    [
        (7, 7),
        (-7, -7),
        (VERSION_MAX, VERSION_MAX),
        (VERSION_MAX + 1, 0),
        (-VERSION_MAX - 1, 0),
        (True, 0),
        ("7", 0),
        (7.5, 0),
        (None, 0),
    ],
)
def test_a_refused_policy_is_named_by_a_version_that_every_reader_holds(version: Any, named: int) -> None:
    found = claimed(envelope(json.dumps({"version": version}).encode()))
    assert found is not None
    assert found["version"] == named


@pytest.mark.parametrize(
    ("payload", "version"),
    [(b'{"version":7}', 7), (b'{"version":true}', 0), (b'{"version":"7"}', 0), (b"{}", 0), (b"rubbish", 0)],
)
def test_a_key_list_without_a_version_has_version_0(payload: bytes, version: int) -> None:
    assert version_in(payload) == version
