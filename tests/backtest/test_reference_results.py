"""The published benchmark, day by day: simple rules in the small simulator, the reference rule in the daemon's core."""

from __future__ import annotations

import pytest

from edged.backtest.candidates import named
from edged.backtest.clairvoyant import carried_out, plan
from edged.backtest.measures import DEFAULT_PRICES
from edged.backtest.study import Question, ask, document
from tests.support import bench

SETUPS_MIN = (2, 5, 10)
SIMPLE = {"never": "never", "always": "always", "naive10": "naive10", "band": "band6-1"}


@pytest.mark.parametrize("setup_min", SETUPS_MIN)
@pytest.mark.parametrize("name", SIMPLE)
def test_simple_rules_repeat_the_published_days(name: str, setup_min: int) -> None:
    assert bench.differences(name, SIMPLE[name], setup_min) == []
    assert len(bench.days()) == 91


@pytest.mark.parametrize(("setup_min", "step"), [(2, 2), (5, 6), (10, 6)])
def test_the_core_repeats_the_reference_rule(setup_min: int, step: int) -> None:
    assert bench.differences("pw-reference", "PW", setup_min, step) == []


@pytest.mark.full
@pytest.mark.parametrize("setup_min", SETUPS_MIN)
def test_the_core_repeats_the_reference_rule_on_every_day(setup_min: int) -> None:
    assert bench.differences("pw-reference", "PW", setup_min) == []


def test_share_over_target_is_the_published_one() -> None:
    for day, outcome in zip(bench.days(), bench.results("naive10", 2), strict=True):
        row = bench.published()[day.hall, day.name, 2, "naive10"]
        over = sum(wait > 600_000 for wait in outcome.waits_ms) / len(outcome.waits_ms)
        assert over == pytest.approx(float(row["share_over10"]), abs=1e-4), day


@pytest.mark.parametrize("setup_min", SETUPS_MIN)
def test_the_clairvoyant_plan_costs_what_the_published_one_does(setup_min: int) -> None:
    ours = theirs = 0.0
    for day, outcome in zip(bench.days(9), bench.results("clairvoyant", setup_min, 9), strict=True):
        published = float(bench.published()[day.hall, day.name, setup_min, "oracle"]["J"])
        ours, theirs = ours + outcome.cost(DEFAULT_PRICES), theirs + published
        assert outcome.cost(DEFAULT_PRICES) <= published * 1.05 + 5, day
    assert ours / theirs == pytest.approx(1, abs=0.02)  # the beam's own tolerance


def test_a_plan_costs_in_the_hall_what_the_search_said() -> None:
    for day in bench.days(15):
        hall = bench.traces().halls[day.hall]
        cost, changes = plan(hall, day, 300_000, DEFAULT_PRICES)
        outcome = carried_out(hall, day, 300_000, changes)
        assert outcome.cost(DEFAULT_PRICES) == pytest.approx(cost, rel=1e-9)


def test_nobody_beats_the_clairvoyant() -> None:
    for day, best in zip(bench.days(9), bench.results("clairvoyant", 2, 9), strict=True):
        for policy in ("PW", "PW-tight", "PWF", "naive10"):
            published = float(bench.published()[day.hall, day.name, 2, policy]["J"])
            assert best.cost(DEFAULT_PRICES) <= published + 0.01, (day.hall, day.name, policy)


def test_the_answer_names_its_figures() -> None:
    names = ("pw", "never", "clairvoyant")
    question = Question(tuple(map(named, names)), 120_000)
    found = document(ask(question, bench.traces(), bench.days(30)))
    assert found["policy"] == "pw"
    assert set(found["sets"]) == {day.hall for day in bench.days(30)}
    for policies in (*found["sets"].values(), found["policies"]):
        assert set(policies) == set(names)
        assert policies["clairvoyant"]["ratio_to_clairvoyant"] == pytest.approx(1)
    assert 1 <= found["total"]["ratio_to_clairvoyant"] < 1.6
    assert found["policies"]["never"]["tested_minus_this"]["J_per_day"] < 0
    assert [found["policies"][name]["runs_in"] for name in names] == ["core", "model", "plan"]
