"""Simulates a recorded day under its own and under another policy: ``python -m edged.pages.whatif``, a child process.

It reads one JSON object from standard input (``day``; ``other_min``: the predicted wait in minutes at which the other
policy opens a window, null: never) and writes lines of JSON: ``{"done": 3, "of": 12}`` for progress, then ``{"result":
…}``. The day under its own policy is simulated as well, not taken from the record: so the two results differ by the
policy alone.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from edged.backtest.candidates import Candidate, CandidateDay, named, outcome, with_pw
from edged.backtest.measures import DEFAULT_PRICES, DayMeasures, quantile
from edged.backtest.traces import MINUTE_MS, Day, Hall, TraceHall, guess
from edged.core.model.policy import Policy

VISITS_MIN = 10  # fewer say nothing
OWN_MIN = 9.0  # threshold of the shipped policy, if the day's file has none
SETUP_MS = 2 * MINUTE_MS
SERVICE_S = 480.0  # assumed for a visitor whose end was not recorded
SERVICE_MAX_S = 4 * 3600.0
CURVE_POINTS_MAX = 600  # of one line in a chart

DayFile = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TracedArea:
    """One area's visitors of the day. ``own_min``: the predicted wait in minutes at which the day's own policy opens a
    "+1" window; ``begin``: minutes after midnight at which the area's time axis starts.
    """

    area: str
    own_min: float
    begin: int
    hall: Hall
    day: Day


def areas_of(day: DayFile) -> list[TracedArea]:
    """The areas that had at least ``VISITS_MIN`` visitors and have a regular window."""
    needs = _service_s(day)
    found = []
    for one in day["names"]["areas"]:
        made = _area(day, str(one["id"]), needs)
        if made is not None:
            found.append(made)
    return found


def _area(day: DayFile, area: str, needs: dict[str, float]) -> TracedArea | None:
    visits = [
        (at - (waited or 0) / 60, needs.get(str(number), SERVICE_S) / 60)
        for at, where, waited, _low, _high, number, _window in day["visits"]
        if where == area
    ]
    windows = [one for one in day["names"]["windows"] if area in one["areas"]]
    regular = [one for one in windows if not one["tidal"]]
    if len(visits) < VISITS_MIN or not regular:
        return None
    visits.sort()
    begin = max(0, int(visits[0][0]) - 10)
    end = max(at for at, *_ in day["visits"]) + 15
    arrive = tuple(max(0, round((at - begin) * MINUTE_MS)) for at, _ in visits)
    service = tuple(max(1, round(minutes * MINUTE_MS)) for _, minutes in visits)
    made = Day(area, str(day["date"]), "test", arrive, service, tuple(0 for _ in visits))
    shape = TraceHall(len(regular), len(windows) - len(regular), max(0.5, (end - begin) / 60))
    limit_s = (day["totals"].get(area) or {}).get("limit_s")
    return TracedArea(area, (limit_s or OWN_MIN * 60) / 60, begin, guess(area, [made], shape), made)


def _service_s(day: DayFile) -> dict[str, float]:
    """Seconds that each number was served, from the recorded states of the windows."""
    found: dict[str, float] = {}
    for steps in day["windows"].values():
        for (at, state, ticket, _), after in pairwise(steps):
            if ticket and state == "SERVING":
                spent_s = (after[0] - at) * 60
                found[str(ticket)] = min(SERVICE_MAX_S, max(30.0, found.get(str(ticket), 0.0) + spent_s))
    return found


def opening_at(minutes: float | None) -> Candidate:
    """The shipped policy with another opening threshold: a predicted wait of ``minutes``; None: it never opens."""
    if minutes is None:
        return named("core-never")
    return Candidate(f"pw-{minutes:g}", with_pw(Policy(), open_wait_s=round(minutes * 60)))


def figures(days: list[DayMeasures], target_min: float) -> dict[str, float]:
    """Key figures of the simulated areas: ``visitors``, their waits in minutes (``mean``, ``p90``, ``max``), the share
    ``within`` the target (0 to 1), minutes of "+1" staff time and ``activations`` of "+1" windows.
    """
    waits = sorted(wait / MINUTE_MS for day in days for wait in day.waits_ms)
    count = max(1, len(waits))
    return {
        "visitors": len(waits),
        "mean": round(sum(waits) / count, 1),
        "p90": round(quantile(waits, 0.9), 1),
        "max": round(max(waits, default=0.0), 1),
        "within": round(sum(wait <= target_min for wait in waits) / count, 4),
        "staff_min": round(sum(day.staff_min for day in days)),
        "activations": sum(day.openings for day in days),
    }


def compared(day: DayFile, other_min: float | None, progress: Any) -> dict[str, Any]:
    """Simulate every area under both policies; return the key figures of each policy and, for each area, the curves.
    ``progress(done, of)`` is called after each simulation.
    """
    areas = areas_of(day)
    target_min = max([(one or {}).get("target_s") or 900 for one in day["totals"].values()] or [900]) / 60
    sides: dict[str, list[DayMeasures]] = {"own": [], "other": []}
    for place, one in enumerate(areas):
        for side, minutes in (("own", one.own_min), ("other", other_min)):
            job = CandidateDay(opening_at(minutes), one.hall, one.day, SETUP_MS, DEFAULT_PRICES, curves=True)
            sides[side].append(outcome(job))
            progress(2 * place + 1 + (side == "other"), 2 * len(areas))
    result: dict[str, Any] = {side: figures(days, target_min) for side, days in sides.items()}
    result |= {
        "target_min": target_min,
        "other_min": other_min,
        "own_min": max([one.own_min for one in areas] or [9]),
    }
    result["areas"] = {
        one.area: {side: _lines(one.begin, sides[side][place]) for side in sides}
        for place, one in enumerate(areas)
    }
    return result


def _lines(begin: int, day: DayMeasures) -> dict[str, list[list[float]]]:
    """The curves of one area for the chart (``waiting``, ``staff`` and ``waits``): points of minutes after midnight and
    value.
    """
    return {
        "waiting": _thinned([[round(begin + at, 1), n] for at, n in day.curves.waiting]),
        "staff": _thinned([[round(begin + at, 1), n] for at, n in day.curves.staff]),
        "waits": _thinned([[round(begin + at, 1), round(wait, 1)] for at, _, wait in day.curves.waits]),
    }


def _thinned(points: list[list[float]]) -> list[list[float]]:
    every = max(1, -(-len(points) // CURVE_POINTS_MAX))
    return points[::every]


def main() -> None:
    """Entry point of the child process."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # it runs when nobody else wants to
    asked = json.load(sys.stdin)

    def progress(done: int, of: int) -> None:
        _print_json({"done": done, "of": of})

    _print_json({"result": compared(asked["day"], asked["other_min"], progress)})


def _print_json(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
