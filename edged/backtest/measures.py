"""The cost of a day under a policy: waits, staff minutes, openings, and their sum J at given prices.

J = wait price x sum of waits + excess price x sum of minutes above the target + staff price x staff minutes + opening
price x openings. At a staff price of 1 (the default) its unit is one minute of one member of staff. Quantiles
interpolate between the two nearest waits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

MINUTE_MS = 60_000
JUDGED_MIN = (15, 20, 30)  # halls report the share of visitors that waited longer than these
SHORT_MIN = 10.0  # a shorter opening was hardly worth moving people


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices in the cost J: ``wait`` per minute that a visitor waits, ``excess`` per such minute beyond ``target_min``,
    ``staff`` per minute of "+1" staff, ``opening`` per opening of a "+1" window.
    """

    wait: float = 0.2
    excess: float = 1.0
    staff: float = 1.0
    opening: float = 8.0
    target_min: float = 10.0


DEFAULT_PRICES = Prices()


@dataclass(frozen=True, slots=True)
class Curves:
    """The data of one day's charts.

    ``waiting``, ``windows`` and ``staff`` are steps: (minutes after opening, value) at each change. ``waits`` has one
    row for each visitor: (arrival in minutes after opening, predicted wait, real wait), waits in minutes; the predicted
    wait is None if there was no prediction.
    """

    waiting: tuple[tuple[float, int], ...] = ()
    windows: tuple[tuple[float, int], ...] = ()
    staff: tuple[tuple[float, int], ...] = ()
    waits: tuple[tuple[float, float | None, float], ...] = ()


@dataclass(frozen=True, slots=True)
class DayMeasures:
    """What was measured on one day under one policy. ``waits_ms``: in order of arrival (of several areas, one area
    after another); ``open_min``: minutes from order to release, of each opening of a "+1" window that the policy itself
    ended.

    ``releases``: openings ended early for another area. ``quotes_ms``: predicted minus real wait, for each visitor with
    a prediction; those for whom both are 0 are left out.
    """

    waits_ms: tuple[int, ...]
    staff_ms: int
    openings: int
    open_min: tuple[float, ...] = ()
    releases: int = 0
    quotes_ms: tuple[int, ...] = ()
    events: int = 0
    urgent_ms: tuple[int, ...] = ()  # the waits of visitors with priority, also contained in waits_ms
    curves: Curves = field(default=Curves())

    @property
    def staff_min(self) -> float:
        """Minutes of staff time: from each call of a "+1" member of staff to the close of their window, summed."""
        return self.staff_ms / MINUTE_MS

    @property
    def mean_min(self) -> float:
        """The mean of all visitors' waits, in minutes."""
        return sum(self.waits_ms) / MINUTE_MS / max(1, len(self.waits_ms))

    def cost(self, prices: Prices) -> float:
        """The cost J of the day (see the head of this module)."""
        over_ms = prices.target_min * MINUTE_MS
        excess = sum(wait - over_ms for wait in self.waits_ms if wait > over_ms) / MINUTE_MS
        wait = sum(self.waits_ms) / MINUTE_MS
        return (
            prices.wait * wait
            + prices.excess * excess
            + prices.staff * self.staff_min
            + prices.opening * self.openings
        )

    def short(self) -> int:
        """How many openings of a "+1" window the policy ended within ``SHORT_MIN`` minutes."""
        return sum(minutes < SHORT_MIN for minutes in self.open_min)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The quantile ``share`` (0 to 1) of an ascending sequence, interpolated between the two nearest values; 0 if it is
    empty.
    """
    if not ordered:
        return 0.0
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def summary(outcomes: Iterable[DayMeasures], prices: Prices) -> dict[str, float]:
    """Compute the figures of one row of the table from several days. Waits and errors of predicted waits are in
    minutes. Figures named ``…_per_day`` are means over the days; all other counts and the cost J are sums.
    """
    days = list(outcomes)
    waits = sorted(wait / MINUTE_MS for day in days for wait in day.waits_ms)
    errors = sorted(error / MINUTE_MS for day in days for error in day.quotes_ms)
    count, visitors = max(1, len(days)), max(1, len(waits))
    found = {
        "days": float(len(days)),
        "visitors": float(len(waits)),
        "mean_wait": sum(waits) / visitors,
        "p50_wait": quantile(waits, 0.5),
        "p90_wait": quantile(waits, 0.9),
        "p95_wait": quantile(waits, 0.95),
        "share_over_target": sum(wait > prices.target_min for wait in waits) / visitors,
        **{f"share_over_{limit}": sum(wait > limit for wait in waits) / visitors for limit in JUDGED_MIN},
        "longest_wait": max(waits, default=0.0),
        "staff_min_per_day": sum(day.staff_min for day in days) / count,
        "openings_per_day": sum(day.openings for day in days) / count,
        "short_openings": float(sum(day.short() for day in days)),
        "releases": float(sum(day.releases for day in days)),
        "J": sum(day.cost(prices) for day in days),
    }
    urgent = [wait / MINUTE_MS for day in days for wait in day.urgent_ms]
    if urgent:
        found["priority_mean_wait"] = sum(urgent) / len(urgent)
    if errors:
        found["quote_bias"] = sum(errors) / len(errors)
        found["quote_mae"] = sum(map(abs, errors)) / len(errors)
        found["quote_within_3"] = sum(abs(error) <= 3 for error in errors) / len(errors)
    return found


def half_width_95(differences: Sequence[float]) -> float:
    """Half the width of the 95 % confidence interval of the mean of ``differences`` (Student's t); infinite for fewer
    than two values.
    """
    count = len(differences)
    if count < 2:
        return math.inf
    mean = math.fsum(differences) / count
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in differences) / (count - 1))
    return student_975(count - 1) * spread / math.sqrt(count)


def student_975(freedom: int) -> float:
    """The 97.5 % point of Student's t with ``freedom`` degrees of freedom, found by bisection on its integral."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)

    def density(x: float) -> float:
        return float(scale * (1 + x * x / freedom) ** (-(freedom + 1) / 2))

    low, high = 1.9, 13.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _simpson(density, middle) < 0.475 else (low, middle)
    return (low + high) / 2


def _simpson(function: Callable[[float], float], end: float, pieces: int = 200) -> float:
    step = end / pieces
    inner = sum((4 if i % 2 else 2) * function(i * step) for i in range(1, pieces))
    return step / 3 * (function(0) + inner + function(end))
