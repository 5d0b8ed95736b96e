"""Runs many days under several candidates on all processors; computes sums, ratios and paired confidence intervals.

All candidates get the same visitors with the same service times, so differences are taken day by day. The first
candidate is the one under test.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from edged.backtest.candidates import CLAIRVOYANT, Candidate, CandidateDay, outcome
from edged.backtest.measures import DEFAULT_PRICES, DayMeasures, Prices, half_width_95, summary
from edged.backtest.traces import Day, Traces

# days passed to a process at once: few, so that all end together; more than one, because passing costs time
CHUNK = 4
# objects: a day makes no reference cycles, and searching for them took a fifth of its time
GARBAGE_AFTER = 200_000
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Question:
    """What to compare. ``candidates``: the first is under test; ``setup_ms``: from the order of a "+1" window to the
    arrival of its staff. ``with_profile``: the rule knows the hall's usual arrivals; ``quotes``: compare predicted
    waits with the real ones.
    """

    candidates: tuple[Candidate, ...]
    setup_ms: int = 120_000
    prices: Prices = DEFAULT_PRICES
    with_profile: bool = True
    quotes: bool = False


@dataclass(frozen=True, slots=True)
class StudyResult:
    """The answer to a ``Question``. ``outcomes``: by name of the candidate, the measures of each day in the order of
    ``days``.
    """

    question: Question
    days: tuple[Day, ...]
    outcomes: dict[str, tuple[DayMeasures, ...]]


def ask(
    question: Question,
    traces: Traces,
    days: Sequence[Day],
    progress: Progress = lambda done, total: None,
    processes: int | None = None,
) -> StudyResult:
    """Run every candidate on every day. ``progress(done, total)`` is called after each; both count pairs of day and
    candidate. ``processes``: how many to use, None for all processors but one.
    """
    jobs = [
        CandidateDay(
            one,
            traces.halls[day.hall],
            day,
            question.setup_ms,
            question.prices,
            question.with_profile,
            question.quotes,
        )
        for one in question.candidates
        for day in days
    ]
    found = list(_run(jobs, progress, processes or all_but_one()))
    size = len(days)
    outcomes = {
        one.name: tuple(found[place * size : (place + 1) * size])
        for place, one in enumerate(question.candidates)
    }
    return StudyResult(question, tuple(days), outcomes)


def all_but_one() -> int:
    """How many processors to use: all but one, which is left to a daemon on this machine; at least one."""
    return max(1, (os.cpu_count() or 1) - 1)


def _run(jobs: list[CandidateDay], progress: Progress, processes: int) -> list[DayMeasures]:
    found: list[DayMeasures] = []
    if processes == 1 or len(jobs) <= CHUNK:
        for job in jobs:
            found.append(outcome(job))
            progress(len(found), len(jobs))
        return found
    with ProcessPoolExecutor(processes, initializer=_settle_memory) as pool:
        for one in pool.map(outcome, jobs, chunksize=CHUNK):
            found.append(one)
            progress(len(found), len(jobs))
    return found


def _settle_memory() -> None:
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)


def charted(answer: StudyResult, traces: Traces) -> dict[str, tuple[Day, DayMeasures]]:
    """Choose, for each hall, the day on which the policy under test had its median cost. Returns this day, and its
    measures with the data of its charts (it is simulated again for them).
    """
    first = answer.question.candidates[0]
    found: dict[str, tuple[Day, DayMeasures]] = {}
    for hall in dict.fromkeys(day.hall for day in answer.days):
        costs = sorted(
            (one.cost(answer.question.prices), place)
            for place, (day, one) in enumerate(zip(answer.days, answer.outcomes[first.name], strict=True))
            if day.hall == hall
        )
        day = answer.days[costs[len(costs) // 2][1]]
        job = CandidateDay(first, traces.halls[hall], day, answer.question.setup_ms, answer.question.prices)
        job = replace(job, with_profile=answer.question.with_profile, curves=True)
        found[hall] = (day, outcome(job))
    return found


def document(answer: StudyResult) -> dict[str, Any]:
    """Make the result as JSON values. ``sets``: the figures of each policy on each set of days; ``policies``: of each
    policy on all days; ``total``: of the policy under test on all days.
    """
    question = answer.question
    first = question.candidates[0].name
    halls = dict.fromkeys(day.hall for day in answer.days)
    places = {hall: [n for n, day in enumerate(answer.days) if day.hall == hall] for hall in halls}
    everything = list(range(len(answer.days)))
    policies = {one.name: _figures(answer, one.name, everything) for one in question.candidates}
    for one in question.candidates:
        policies[one.name]["runs_in"] = one.where
    return {
        "policy": first,
        "rule": rule_in_force(question.candidates[0]),
        "setup_min": question.setup_ms / 60_000,
        "prices": {
            "wait": question.prices.wait,
            "excess": question.prices.excess,
            "staff": question.prices.staff,
            "opening": question.prices.opening,
            "target_min": question.prices.target_min,
        },
        "profile": question.with_profile,
        "sets": {
            hall: {one.name: _figures(answer, one.name, places[hall]) for one in question.candidates}
            for hall in halls
        },
        "policies": policies,
        "total": policies[first],
    }


def rule_in_force(candidate: Candidate) -> dict[str, str]:
    """Say when the policy ``candidate`` opens and closes a window, as one sentence in Chinese (``zh``) and one in
    English (``en``). For a baseline or another rule, say its name.
    """
    if candidate.policy is None:
        return {"zh": f"基准方案：{candidate.name}", "en": f"Baseline {candidate.name}"}
    tidal = candidate.policy.tidal
    if not tidal.enabled or tidal.rule not in ("pw", "pwf", "band"):
        return {"zh": f"规则：{tidal.rule}", "en": f"Rule {tidal.rule}"}
    if tidal.rule == "band":
        band = tidal.band
        return {
            "zh": f"规则：等候超过{band.open_above}人启用，不超过{band.close_at}人收窗",
            "en": f"Rule: opens above {band.open_above} waiting, closes at {band.close_at}",
        }
    pw = tidal.pw
    opens, closes = pw.open_wait_s / 60, pw.close_wait_s / 60
    return {
        "zh": f"规则：预计等候{opens:g}分钟及以上、且不少于{pw.min_waiting}人等候时启用；"
        f"少一个窗口预计等候不超过{closes:g}分钟时收窗",
        "en": f"Rule: opens at a predicted wait of {opens:g} min while {pw.min_waiting} or more wait; closes where "
        f"one window fewer would mean {closes:g} min or less",
    }


def _figures(answer: StudyResult, name: str, places: list[int]) -> dict[str, Any]:
    prices = answer.question.prices
    first = answer.question.candidates[0].name
    figures: dict[str, Any] = {**summary([answer.outcomes[name][n] for n in places], prices)}
    if CLAIRVOYANT in answer.outcomes:
        best = sum(answer.outcomes[CLAIRVOYANT][n].cost(prices) for n in places)
        figures["ratio_to_clairvoyant"] = figures["J"] / best if best > 0 else None
    if name != first:
        tested = sum(answer.outcomes[first][n].cost(prices) for n in places)
        differences = [
            answer.outcomes[first][n].cost(prices) - answer.outcomes[name][n].cost(prices) for n in places
        ]
        half = half_width_95(differences)
        figures["tested_minus_this"] = {
            "J_per_day": sum(differences) / max(1, len(places)),
            "half_width_95": half if half < float("inf") else None,
            "share": tested / figures["J"] - 1 if figures["J"] > 0 else None,
        }
    return figures
