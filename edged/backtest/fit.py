"""Fits the rule on the predicted wait to a hall's own days, and says how much of the gain may be chance.

All settings of a grid run on the training days in the core, in several heats (rounds on further days). After each,
settings that are clearly worse are dropped. The cheapest one is then compared with the shipped one on the test days,
which had no part in the choice. The gain on training days is too optimistic, so three figures are given: the gain on
training days, the gain on test days with its 95 % interval, and how many settings could not be distinguished from the
chosen one in training (their paired 95 % intervals contain zero).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise, product
from typing import Any

from edged.backtest.candidates import Candidate, with_pw
from edged.backtest.measures import Prices, half_width_95
from edged.backtest.study import Progress, Question, StudyResult, ask
from edged.backtest.traces import Day, Hall, Traces
from edged.core.model.policy import Policy

OPEN_WAIT_S = (360, 450, 540, 600, 720)
CLOSE_WAIT_S = (0, 90, 180)
MIN_OPEN_S = (600, 900)
SHIPPED = "as shipped"
HEATS = (0.15, 0.3, 0.55)  # shares of the training days after which clearly worse settings are dropped
HEAT_DAYS_MIN = 5  # fewer days do not predict others


@dataclass(frozen=True, slots=True)
class Fit:
    """The result for one hall: the chosen setting (``open_wait_s``, ``close_wait_s``, ``min_open_s``), and what it
    gains in cost (J) per day against the shipped setting. ``settings``: how many were tried; ``like_the_best``: how
    many could not be distinguished from the chosen one.
    """

    hall: Hall
    open_wait_s: int
    close_wait_s: int
    min_open_s: int
    settings: int
    like_the_best: int
    train_days: int
    train_gain: float
    test_days: int
    test_gain: float
    test_half_width: float
    shipped_cost: float
    profile_gain: float  # per test day: gain of knowing the usual arrivals, against not knowing them

    @property
    def keeps_profile(self) -> bool:
        """Whether knowing the usual arrivals, learnt on training days, reduced the cost of the test days."""
        return self.profile_gain > 0

    @property
    def proven(self) -> bool:
        """Whether the gain on test days is more than half the width of its 95 % interval, so that it is hardly
        chance.
        """
        return self.test_gain > self.test_half_width

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        if self.proven:
            return "the gain holds on unseen days: worth pushing"
        if self.test_gain > 0:
            return "the gain is within the noise: keep the shipped setting unless more days say otherwise"
        return "no gain on unseen days: keep the shipped setting"


def settings(policy: Policy) -> tuple[Candidate, ...]:
    """Make the settings of the rule to try: first the shipped one (``policy``), then all of the grid."""
    grid = tuple(
        Candidate(
            f"{opens},{closes},{least}",
            with_pw(policy, open_wait_s=opens, close_wait_s=closes, min_open_s=least),
        )
        for opens, closes, least in product(OPEN_WAIT_S, CLOSE_WAIT_S, MIN_OPEN_S)
    )
    return (Candidate(SHIPPED, policy), *grid)


def fit(
    traces: Traces, hall: str, setup_ms: int, prices: Prices, progress: Progress = lambda _d, _t: None
) -> Fit:
    """Choose a setting of the rule on the hall's training days, and measure its gain on the test days. ``setup_ms``:
    from the order of a "+1" window to the arrival of its staff.
    """
    candidates = settings(Policy())
    days = [day for day in traces.days if day.hall == hall]
    train, test = _part(days, "train"), _part(days, "test")
    costs = _race(candidates, traces, train, Question((), setup_ms, prices), progress)
    last = [one for one in candidates if len(costs[one.name]) == len(train)]
    best = min(last, key=lambda one: sum(costs[one.name]))
    judged = ask(Question((candidates[0], best), setup_ms, prices), traces, test)
    blind = ask(Question((candidates[0],), setup_ms, prices, with_profile=False), traces, test)
    gains = [a - b for a, b in zip(_costs(judged, SHIPPED), _costs(judged, best.name), strict=True)]
    assert best.policy is not None
    pw = best.policy.tidal.pw
    return Fit(
        traces.halls[hall],
        pw.open_wait_s,
        pw.close_wait_s,
        pw.min_open_s,
        len(candidates),
        sum(_alike(costs[best.name], costs[one.name]) for one in last if one is not best),
        len(train),
        (sum(costs[SHIPPED]) - sum(costs[best.name])) / max(1, len(train)),
        len(test),
        sum(gains) / max(1, len(gains)),
        half_width_95(gains) if any(gains) else 0.0,
        sum(_costs(judged, SHIPPED)) / max(1, len(test)),
        (sum(_costs(blind, SHIPPED)) - sum(_costs(judged, SHIPPED))) / max(1, len(test)),
    )


def _race(
    candidates: Sequence[Candidate],
    traces: Traces,
    days: Sequence[Day],
    question: Question,
    progress: Progress,
) -> dict[str, list[float]]:
    """Run the candidates on the training days, in heats; returns their costs, day by day. A setting that is clearly
    worse than the best so far is dropped after a heat and has no costs for later days.
    """
    costs: dict[str, list[float]] = {one.name: [] for one in candidates}
    alive, total = list(candidates), len(candidates) * len(days)
    for begin, end in pairwise((0, *(round(share * len(days)) for share in HEATS), len(days))):
        done = sum(map(len, costs.values()))
        heat = replace(question, candidates=tuple(alive))
        answer = ask(heat, traces, list(days[begin:end]), partial(_report_progress, progress, done, total))
        for one in alive:
            costs[one.name] += _costs(answer, one.name)
        best = min(alive, key=lambda one: sum(costs[one.name]))
        stay = (candidates[0], best)
        alive = [one for one in alive if one in stay or not _beaten(costs[best.name], costs[one.name])]
        total = sum(map(len, costs.values())) + len(alive) * (len(days) - end)
    return costs


def _report_progress(progress: Progress, before: int, total: int, done: int, _of_this_heat: int) -> None:
    progress(before + done, total)


def _beaten(best: Sequence[float], other: Sequence[float]) -> bool:
    """Whether ``other`` is clearly worse than ``best`` (costs of the same days): by more than half the 95 % interval of
    the mean difference. Never after fewer than ``HEAT_DAYS_MIN`` days.
    """
    differences = [b - a for a, b in zip(best, other, strict=True)]
    return len(differences) >= HEAT_DAYS_MIN and sum(differences) / len(differences) > half_width_95(
        differences
    )


def _part(days: Sequence[Day], part: str) -> list[Day]:
    return [day for day in days if day.part == part]


def _costs(answer: StudyResult, name: str) -> list[float]:
    return [one.cost(answer.question.prices) for one in answer.outcomes[name]]


def _alike(best: Sequence[float], other: Sequence[float]) -> bool:
    differences = [b - a for a, b in zip(best, other, strict=True)]
    return sum(differences) / len(differences) <= half_width_95(differences)


def body(fits: Sequence[Fit]) -> dict[str, Any]:
    """Make the body of the policy to push: for each area the chosen setting and its usual arrivals, each only if it
    helped on test days.
    """
    areas: dict[str, Any] = {}
    for one in fits:
        own: dict[str, Any] = {}
        if one.proven:
            own |= {
                "open_wait_s": one.open_wait_s,
                "close_wait_s": one.close_wait_s,
                "min_open_s": one.min_open_s,
            }
        if one.hall.profile and one.keeps_profile:
            own["profile"] = {one.hall.area: [round(rate, 3) for rate in one.hall.profile]}
            own["profile_start_min"] = one.hall.opens_min
        if own:
            areas[one.hall.area] = own
    return {"tidal": {"rule": "pw", "pw_areas": areas}}
