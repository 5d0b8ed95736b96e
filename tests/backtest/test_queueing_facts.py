"""The simulators against independent facts: formulas, exact Markov chains, and another program's paths."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from edged.backtest.measures import DayMeasures, half_width_95
from edged.backtest.model import Floor, WindowRule, never, simulate
from edged.backtest.runner import Scenario, run, site_of
from edged.backtest.traces import Day
from edged.core.model.policy import Calling, Policy, Tidal
from tests.support.queueing import (
    Hysteresis,
    erlang_c,
    hall_of,
    lognormal_day,
    mean_wait,
    n_policy_wait,
    poisson_day,
    wait_above,
)

CIW = json.loads((Path(__file__).parent / "ciw_paths.json").read_text())
TABLE = {  # (windows, load per window): P(wait), mean wait, P(wait > 10 min) at a mean service of 6 min
    (2, 0.7): (0.5765, 5.765, 0.2121),
    (2, 0.95): (0.9256, 55.538, 0.7835),
    (4, 0.8): (0.5964, 4.473, 0.1572),
    (6, 0.9): (0.7401, 7.401, 0.2723),
    (8, 0.9): (0.7015, 5.261, 0.1849),
    (10, 0.9): (0.6687, 4.012, 0.1263),
    (12, 0.95): (0.8090, 8.090, 0.2976),
}


def test_erlang_c_is_the_published_one() -> None:
    assert erlang_c(10, 14) == pytest.approx(0.17413193, abs=1e-8)  # R package ErlangC, pyworkforce
    assert mean_wait(10, 14, 180) == pytest.approx(7.835937, abs=1e-6)
    assert 1 - wait_above(10, 14, 180, 20) == pytest.approx(0.88835002, abs=1e-8)
    assert erlang_c(123, 132) == pytest.approx(0.3211, abs=1e-4)
    assert erlang_c(12345, 12421) == pytest.approx(0.3812, abs=1e-4)
    assert 1 - wait_above(35 * 752 / 900, 37, 752, 20) == pytest.approx(0.9042, abs=1e-4)
    assert mean_wait(0.5 * 5, 3, 5) == pytest.approx(7.0225, abs=1e-4)
    assert mean_wait(5 / 6, 1, 5) == pytest.approx(25, abs=1e-9)
    for (windows, share), (waiting, wait, long) in TABLE.items():
        load = windows * share
        assert erlang_c(load, windows) == pytest.approx(waiting, abs=6e-5)
        assert mean_wait(load, windows, 6) == pytest.approx(wait, abs=6e-4)
        assert wait_above(load, windows, 6, 10) == pytest.approx(long, abs=6e-5)


def inside(values: list[float], exact: float, widths: float = 2.0) -> bool:
    """Compare the mean with the exact value: within twice its 95 % interval, so that chance fails one run in
    thousands.
    """
    return abs(fmean(values) - exact) <= widths * half_width_95(values)


@pytest.mark.parametrize(("rate", "service", "windows"), [(0.5, 5, 3), (0.8, 6, 6), (1.2, 6, 8)])
@pytest.mark.parametrize("count", [8_000, pytest.param(40_000, marks=pytest.mark.full)])
def test_plain_windows_wait_as_erlang_says(rate: float, service: float, windows: int, count: int) -> None:
    hall = hall_of(windows, 0, 480, service)
    found = []
    for seed in range(10):
        waits = simulate(hall, poisson_day(seed, rate, service, count), 0, never).waits_ms
        found.append(fmean(waits[count // 10 :]) / 60_000)
    assert inside(found, mean_wait(rate * service, windows, service)), found


def through_the_core(day: Day, windows: int, urgent: frozenset[int] = frozenset()) -> DayMeasures:
    """Run the day through the engine with regular windows only and without priority by age (textbook priority
    queue).
    """
    hall = replace(hall_of(windows, 0, 480), means_s=(300.0, 300.0), shares=(0.8, 0.2))
    calling = Calling(priority_streak=10**9, priority_head_start_s=10**7)  # no ageing: plain two classes
    policy = Policy(tidal=Tidal(rule="never"), calling=calling)
    return run(Scenario(site_of(hall), policy, 0, hall.close_ms, urgent=urgent), day)


@pytest.mark.parametrize("case", CIW["cases"])
def test_both_simulators_walk_the_paths_of_another_program(case: str) -> None:
    reference = CIW["cases"][case]
    day = lognormal_day(reference["seed"], 0.9, 5, reference["count"])
    urgent = (
        frozenset(n for n, kind in enumerate(day.kinds) if kind) if reference["priority"] else frozenset()
    )
    walked = [through_the_core(day, reference["servers"], urgent)]
    if not urgent:
        walked.append(simulate(hall_of(reference["servers"], 0, 480), day, 0, never))
    for outcome in walked:
        assert outcome.waits_ms[::100] == tuple(reference["every_100th_ms"])
        assert sum(outcome.waits_ms) == reference["sum_ms"]
        assert max(outcome.waits_ms) == reference["max_ms"]


def between(open_at: int, close_at: int) -> WindowRule:
    """Textbook hysteresis on the people present, an order is never taken back."""

    def rule(floor: Floor) -> int:
        if floor.present >= open_at and not floor.count("setup", "idle", "busy"):
            return 1
        return -1 if floor.present <= close_at and floor.count("idle", "busy") else 0

    return rule


def exponential_ms(seed: int, mean_min: float):  # type: ignore[no-untyped-def]
    chance = random.Random(seed)
    while True:
        yield round(chance.expovariate(1 / mean_min) * 60_000)


@pytest.mark.parametrize(
    ("chain", "published"),
    [
        (Hysteresis(4, 0.65, 6, 8, 4, 5), (4.296, 0.4668, 1.038)),
        (Hysteresis(3, 0.55, 6, 9, 3, 2), (8.238, 0.5356, 0.592)),
    ],
)
def test_one_more_window_costs_what_the_exact_chain_says(
    chain: Hysteresis, published: tuple[float, float, float]
) -> None:
    exact = chain.exact()
    assert exact == pytest.approx(published, abs=6e-4)
    waits, shares, opens = [], [], []
    for seed in range(20):
        day = poisson_day(100 + seed, chain.rate, chain.service, 4_000)
        minutes = day.arrive_ms[-1] / 60_000
        hall = hall_of(chain.servers, 2, minutes, chain.service)  # a second place while the first drains
        rule = between(chain.open_at, chain.close_at)
        outcome = simulate(hall, day, exponential_ms(seed, chain.setup), rule, at_events=True)
        waits.append(outcome.mean_min)
        shares.append(sum(outcome.open_min) / minutes)  # the chain knows no draining
        opens.append(outcome.openings / minutes * 60)
    assert inside(waits, exact[0])
    assert inside(shares, exact[1])
    assert inside(opens, exact[2])


@pytest.mark.parametrize(
    ("rate", "start_at", "setup", "exponential", "published"),
    [(0.12, 1, 2, True, 9.5), (0.12, 4, 2, False, 21.236), (0.14, 6, 10, False, 35.199)],
)
def test_a_window_that_sleeps_until_several_wait(
    rate: float, start_at: int, setup: float, exponential: bool, published: float
) -> None:
    exact = n_policy_wait(rate, 5, start_at, setup, setup**2 * (2 if exponential else 1))
    assert exact == pytest.approx(published, abs=6e-4)
    found = []
    for seed in range(20):
        day = poisson_day(200 + seed, rate, 5, 6_000)
        setups = exponential_ms(seed, setup) if exponential else round(setup * 60_000)
        hall = hall_of(0, 1, day.arrive_ms[-1] / 60_000)
        found.append(simulate(hall, day, setups, between(start_at, 0), at_events=True).mean_min)
    assert inside(found, exact), found
