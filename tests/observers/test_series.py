"""Our counters and histograms expose what the library's own would, byte for byte."""

from __future__ import annotations

import random

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest

from edged.observers.series import Spread, Tally

disable_created_metrics()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("bounds", [(0.001, 0.5, 1, 60), (-60, 0, 60)])
@pytest.mark.parametrize("labelled", [True, False])
def test_a_spread_is_the_librarys_histogram(bounds: tuple[float, ...], labelled: bool) -> None:
    labels = ("area",) if labelled else ()
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    spread = Spread(ours, "x_seconds", "Text", bounds, *labels)
    histogram = Histogram("x_seconds", "Text", labels, buckets=bounds, registry=theirs)
    assert generate_latest(ours) == generate_latest(theirs)
    chance = random.Random(1)
    for _ in range(200):
        value = chance.choice([*bounds, chance.uniform(-100, 100)])
        area = chance.choice(["tax", 'so"cial']) if labelled else None
        spread.add(value, *([] if area is None else [area]))
        (histogram if area is None else histogram.labels(area)).observe(value)
    assert generate_latest(ours) == generate_latest(theirs)


def test_a_tally_is_the_librarys_counter() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = Tally(ours, "x_total", "Text", "device", "fault")
    counter = Counter("x_total", "Text", ("device", "fault"), registry=theirs)
    for by in (1, 3):
        tally.add("lamp", "refused", by=by)
        counter.labels("lamp", "refused").inc(by)
    assert b"4.0" in generate_latest(ours)
    assert generate_latest(ours) == generate_latest(theirs)


def test_no_two_may_have_one_name() -> None:
    registry = CollectorRegistry()
    Tally(registry, "x_total", "Text")
    with pytest.raises(ValueError, match="Duplicated"):
        Tally(registry, "x_total", "Text")
