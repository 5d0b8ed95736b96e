"""Counters and histograms that cost an addition each; the library's (a lock and a loop per observation) cost as much
as a sixth of a decision with every step. Same families, same text; for the loop thread only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from math import inf

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString


class Tally(Collector):
    """A counter. ``name`` ends in ``_total``."""

    def __init__(self, registry: CollectorRegistry, name: str, text: str, *labels: str) -> None:
        self._family = (name.removesuffix("_total"), text)
        self._labels = labels
        self._counts: dict[tuple[str, ...], float] = {}
        registry.register(self)

    def add(self, *labels: str, by: int = 1) -> None:
        """Count ``by`` more for these values of the labels."""
        self._counts[labels] = self._counts.get(labels, 0.0) + by

    def collect(self) -> Iterator[Metric]:
        """The family, with the series that were ever counted."""
        family = CounterMetricFamily(*self._family, labels=self._labels)
        for labels, count in self._counts.items():
            family.add_metric(labels, count)
        yield family

    def describe(self) -> Iterator[Metric]:
        """Its names, so that no other may have them."""
        yield CounterMetricFamily(*self._family, labels=self._labels)


class Spread(Collector):
    """A histogram with upper ``bounds``, rising. One without labels has its series from the start."""

    def __init__(
        self, registry: CollectorRegistry, name: str, text: str, bounds: Sequence[float], *labels: str
    ) -> None:
        self._family = (name, text)
        self._labels = labels
        self._bounds = (*map(float, bounds), inf)
        self._names = tuple(map(floatToGoString, self._bounds))
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}
        if not labels:
            self._begin(())
        registry.register(self)

    def add(self, value: float, *labels: str) -> None:
        """One more observation for these values of the labels."""
        counts = self._counts.get(labels) or self._begin(labels)
        counts[bisect_left(self._bounds, value)] += 1
        self._sums[labels] += value

    def collect(self) -> Iterator[Metric]:
        """The family, with the series that were ever observed; no sum where values may be negative (OpenMetrics)."""
        name, _ = self._family
        family = HistogramMetricFamily(*self._family, labels=self._labels)
        for labels, counts in self._counts.items():
            named, so_far = dict(zip(self._labels, labels, strict=True)), 0
            for bound, count in zip(self._names, counts, strict=True):
                so_far += count
                family.add_sample(f"{name}_bucket", named | {"le": bound}, so_far)
            family.add_sample(f"{name}_count", named, so_far)
            if self._bounds[0] >= 0:
                family.add_sample(f"{name}_sum", named, self._sums[labels])
        yield family

    def describe(self) -> Iterator[Metric]:
        """Its names, so that no other may have them."""
        yield HistogramMetricFamily(*self._family, labels=self._labels)

    def _begin(self, labels: tuple[str, ...]) -> list[int]:
        self._sums[labels] = 0.0
        counts = self._counts[labels] = [0] * len(self._bounds)
        return counts
