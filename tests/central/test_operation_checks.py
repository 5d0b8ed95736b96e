"""Every check of a signed order, each at its bound; nothing but the checks, no broker."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edged.central.audience import LastOrder, Order, Past, Trusted, epoch_ms
from edged.central.envelope import sign
from edged.central.operations import PAYLOAD_TYPE, accept
from edged.central.refusals import DocumentRefused
from edged.core.model.events import HoursFlexed, OverrideSet
from tests.support.policies import AUDIENCE, KEY, KEYS, NOW_MS, ORDER

KEYID = next(iter(KEYS))


def order(counters: dict[str, LastOrder], name: str = "close", **changes: Any) -> Order:
    raw = sign(json.dumps(ORDER | changes).encode(), PAYLOAD_TYPE, KEY)
    return accept(raw, name, Trusted(KEYS), AUDIENCE, Past(NOW_MS, counters))


def refusal(counters: dict[str, LastOrder], name: str = "close", **changes: Any) -> list[str]:
    with pytest.raises(DocumentRefused) as refused:
        order(counters, name, **changes)
    return [why.code for why in refused.value.reasons]


def test_a_counter_grows_or_it_is_the_same_order_again() -> None:
    first = order({})
    assert isinstance(first.event, OverrideSet)
    assert first.event.target == "w1"
    assert not first.again
    assert order({KEYID: first.counter}).again
    assert not order({KEYID: LastOrder(4, "other")}).again
    assert refusal({KEYID: LastOrder(5, "other")}) == ["replayed"]
    assert refusal({KEYID: LastOrder(6, "other")}) == ["replayed"]


def test_an_order_sent_as_another_operation_is_refused() -> None:
    assert refusal({}, "open") == ["wrong-operation"]


def test_a_limited_key_orders_what_it_may() -> None:
    raw = sign(json.dumps(ORDER).encode(), PAYLOAD_TYPE, KEY)
    past = Past(NOW_MS, {})
    assert accept(raw, "close", Trusted(KEYS, {KEYID: frozenset({"close"})}), AUDIENCE, past)
    with pytest.raises(DocumentRefused):
        accept(raw, "close", Trusted(KEYS, {KEYID: frozenset({"open"})}), AUDIENCE, past)


def test_hours_are_minutes_after_midnight() -> None:
    flexed = order(
        {}, "hours-flex", operation="hours-flex", body={"area": "tax", "opens": "08:30", "closes": "17:05"}
    )
    assert flexed.event == HoursFlexed("tax", 8 * 60 + 30, 17 * 60 + 5, "chen", order="order-1")


def test_an_order_has_expired_in_the_millisecond_it_names() -> None:
    expires_ms = epoch_ms(ORDER["expires"])
    raw = sign(json.dumps(ORDER).encode(), PAYLOAD_TYPE, KEY)
    assert accept(raw, "close", Trusted(KEYS), AUDIENCE, Past(expires_ms - 1, {}))
    with pytest.raises(DocumentRefused) as refused:
        accept(raw, "close", Trusted(KEYS), AUDIENCE, Past(expires_ms, {}))
    assert [why.code for why in refused.value.reasons] == ["expired"]
