"""Reads the benchmark: recorded and generated hall days, and the published results of policies on them.

They are in ``shared/data`` beside the project's folder, or in the folder ``EDGED_DATA``. Without them the tests that
use them are skipped; under ``CI=true`` they fail.
"""

from __future__ import annotations

import csv
import os
from functools import cache
from pathlib import Path

from edged.backtest.candidates import named
from edged.backtest.measures import DayMeasures
from edged.backtest.study import Question, ask
from edged.backtest.traces import Day, Traces, read
from tests.support.needs import lacking

BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "data"
Key = tuple[str, str, int, str]


def bench() -> Path:
    """The folder of the benchmark; without it the test is skipped (under CI it fails)."""
    found = Path(os.environ.get("EDGED_DATA", BESIDE)) / "bench"
    if not found.is_dir():
        lacking(f"the benchmark's days are not installed in {found}; set EDGED_DATA")
    return found


@cache
def traces() -> Traces:
    """All days of the benchmark."""
    return read(bench())


@cache
def published() -> dict[Key, dict[str, str]]:
    """The published result rows, by set of days, day, set-up time of a "+1" window in minutes, and policy."""
    with (bench() / "reference_results.csv").open(encoding="utf-8", newline="") as file:
        return {(r["set"], r["day"], int(r["setup_min"]), r["policy"]): r for r in csv.DictReader(file)}


def days(step: int = 1) -> tuple[Day, ...]:
    """Every ``step``-th of the benchmark's test days."""
    return traces().part("test")[::step]


@cache
def results(name: str, setup_min: int, step: int = 1) -> tuple[DayMeasures, ...]:
    """What policy ``name`` reaches on every ``step``-th test day, if a "+1" window needs ``setup_min`` minutes until it
    is staffed. Computed once per test session.
    """
    question = Question((named(name),), setup_min * 60_000)
    return ask(question, traces(), days(step)).outcomes[name]


def differences(name: str, policy: str, setup_min: int, step: int = 1) -> list[str]:
    """Describe each test day on which our policy ``name`` differs from the published row of ``policy``: in mean wait or
    staff minutes by more than 0.001, or in the number of openings.
    """
    found = []
    for day, outcome in zip(days(step), results(name, setup_min, step), strict=True):
        row = published()[day.hall, day.name, setup_min, policy]
        same = (
            abs(outcome.mean_min - float(row["mean_wait"])) <= 1e-3
            and abs(outcome.staff_min - float(row["staff_min"])) <= 1e-3
            and outcome.openings == int(row["openings"])
        )
        if not same:
            found.append(
                f"{day.hall} {day.name}: {outcome.mean_min:.4f}, {outcome.staff_min:.3f} against {row}"
            )
    return found
