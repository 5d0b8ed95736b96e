"""From which moment a hall's clock counts: dates of documents and keys are judged from there on, and never before."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from edged.central import key_list, operations
from edged.central.audience import (
    CLOCK_TRUSTED_FROM_MS,
    HighestVersion,
    Past,
    Trusted,
    epoch_ms,
    rfc3339,
)
from edged.central.envelope import sign
from edged.central.keyring import Keyring
from edged.central.policies import accept
from edged.central.refusals import DocumentRefused
from tests.support.key_lists import ROOT, entry, keys_of, list_envelope
from tests.support.key_lists import key_list as key_list_document
from tests.support.policies import AUDIENCE, KEY, KEYS, document, envelope

LONG_AGO, OVER, FAR = "2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z", "2090-01-01T00:00:00Z"
ORDER: dict[str, Any] = {
    **{"type": "operation", "halls": ["demo"], "operation": "close", "id": "order-1", "counter": 5},
    **{"by": "chen", "body": {"window": "w1"}},
}


def policy(now_ms: int, **dates: str) -> None:
    accept(envelope(document(**dates)), Trusted(KEYS), AUDIENCE, HighestVersion(), now_ms)


def order(now_ms: int, **dates: str) -> None:
    raw = sign(json.dumps(ORDER | dates).encode(), operations.PAYLOAD_TYPE, KEY)
    operations.accept(raw, "close", Trusted(KEYS), AUDIENCE, Past(now_ms, {}))


def keys(now_ms: int, **dates: str) -> None:
    key_list.accept(list_envelope(key_list_document(1, **dates)), keys_of(ROOT), AUDIENCE, {}, now_ms)


def with_key(now_ms: int, **dates: str) -> None:
    raw = list_envelope(key_list_document(1, entry(KEY, **dates)))
    ring = Keyring(keys_of(KEY), listed=key_list.accept(raw, keys_of(ROOT), AUDIENCE, {}, now_ms))
    for trusted in (ring.for_policies(now_ms), ring.for_operations(now_ms)):
        for why in trusted.unusable.values():
            raise DocumentRefused(why)
    assert not ring.ends(now_ms), "an end within a month is told"


@pytest.mark.parametrize(
    ("judge", "dates", "code"),
    [
        (policy, {"not_before": LONG_AGO, "expires": OVER}, "expired"),
        (order, {"not_before": "2020-12-31T12:00:00Z", "expires": OVER}, "expired"),
        (order, {"not_before": FAR, "expires": "2090-01-01T01:00:00Z"}, "not-yet"),
        (keys, {"not_before": LONG_AGO, "expires": OVER}, "expired"),
        (keys, {"not_before": FAR}, "not-yet"),
        (with_key, {"not_after": OVER}, "key-ended"),
        (with_key, {"not_before": FAR}, "key-not-yet"),
    ],
)
def test_dates_are_judged_only_from_the_first_millisecond_of_a_trusted_clock(
    judge: Callable[..., None], dates: dict[str, str], code: str
) -> None:
    judge(CLOCK_TRUSTED_FROM_MS - 1, **dates)
    with pytest.raises(DocumentRefused) as caught:
        judge(CLOCK_TRUSTED_FROM_MS, **dates)
    assert [why.code for why in caught.value.reasons] == [code]


def test_a_key_that_ends_soon_is_reported_only_once_the_clock_is_trusted() -> None:
    raw = list_envelope(key_list_document(1, entry(KEY, not_after="2026-01-20T00:00:00Z")))
    listed = key_list.accept(raw, keys_of(ROOT), AUDIENCE, {}, CLOCK_TRUSTED_FROM_MS)
    ring = Keyring(keys_of(KEY), listed=listed)
    assert ring.ends(CLOCK_TRUSTED_FROM_MS - 1) == {}
    assert set(ring.ends(CLOCK_TRUSTED_FROM_MS)) == {"policies", "operations"}


def test_the_years_1_to_9999_are_dates_and_no_others() -> None:
    first, last = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"
    assert rfc3339(epoch_ms(first)) == "0001-01-01T00:00:00+00:00"
    assert rfc3339(epoch_ms(last)) == "9999-12-31T23:59:59+00:00"
    for beyond in ("0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59.999-00:01", "9999-12-31T23:59:60Z"):
        with pytest.raises((ValueError, OverflowError)):
            epoch_ms(beyond)
    assert rfc3339(epoch_ms(last) + 1) == rfc3339(epoch_ms(last))
    assert rfc3339(epoch_ms(first) - 1) == rfc3339(epoch_ms(first))
