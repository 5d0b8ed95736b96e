"""The benchmark's days and their published results, where they are installed beside the project.

They stand in ``shared/data`` beside the project's folder, or where ``EDGED_DATA`` says. Without them these tests skip;
under ``CI=true`` they are required.
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
    """The folder of the benchmark; skips (or under CI fails) without it."""
    found = Path(os.environ.get("EDGED_DATA", BESIDE)) / "bench"
    if not found.is_dir():
        lacking(f"the benchmark's days are not installed in {found}; set EDGED_DATA")
    return found


@cache
def traces() -> Traces:
    """All days."""
    return read(bench())


@cache
def published() -> dict[Key, dict[str, str]]:
    """Result rows by set, day, set-up in minutes and policy."""
    with (bench() / "reference_results.csv").open(encoding="utf-8", newline="") as file:
        return {(r["set"], r["day"], int(r["setup_min"]), r["policy"]): r for r in csv.DictReader(file)}


def days(step: int = 1) -> tuple[Day, ...]:
    """Every ``step``-th test day."""
    return traces().part("test")[::step]


@cache
def results(name: str, setup_min: int, step: int = 1) -> tuple[DayMeasures, ...]:
    """A candidate's days, run once per test session."""
    question = Question((named(name),), setup_min * 60_000)
    return ask(question, traces(), days(step)).outcomes[name]


def differences(name: str, policy: str, setup_min: int, step: int = 1) -> list[str]:
    """Days on which a candidate differs from the published row: waits 1e-3 min, staff, openings, J."""
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
