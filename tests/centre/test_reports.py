"""Reports and the status of all halls: figures of planted days, counted by hand, on a real PostgreSQL."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from edged.centre import hall_states, reports
from edged.centre.hall_messages import HallEvent, read_retained
from edged.centre.ledger import CentreLedger
from tests.support.daemons import ROOT

EXAMPLE = ROOT / "configs" / "hall-example.toml"
DAY = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)  # nine o'clock in the halls
NOW = datetime(2026, 12, 1, 4, 0, tzinfo=UTC)


def story() -> list[tuple[str, str, datetime, dict[str, Any]]]:
    """(hall, kind and subject, when, data) of one day: ten waits of 2 to 20 minutes, a "+1", a case, two ratings."""
    tax = {"area": "tax", "service": "tax-general", "window": "w1"}
    events: list[tuple[str, str, datetime, dict[str, Any]]] = [
        ("east", f"ticket.called A{n:03d}", DAY + timedelta(minutes=n), {**tax, "wait_s": n * 120})
        for n in range(1, 11)
    ]
    events.append(
        ("east", "ticket.called A001", DAY + timedelta(hours=2), {**tax, "window": "w2", "wait_s": 60})
    )
    events += [
        ("east", "tidal.opened w11", DAY, {"area": "tax"}),
        ("east", "tidal.released w11", DAY + timedelta(minutes=30), {"area": "tax", "open_s": 1800}),
        ("east", "case.opened c1", DAY, {"area": "tax"}),
        ("east", "case.acknowledged c1", DAY, {"in_time": 1, "after_s": 60}),
        ("east", "case.closed c1", DAY, {"on_time": 0, "doable": 1}),
        ("east", "rating.given A001", DAY, {**tax, "level": 5}),
        ("east", "rating.given A002", DAY, {**tax, "level": 2}),
        ("west", "ticket.called B001", DAY, {"area": "biz", "service": "biz-open", "window": "w1", "wait_s": 30}),
        ("west", "ticket.called B002", DAY + timedelta(days=1), {"area": "biz", "wait_s": 30}),
    ]  # fmt: skip
    return events


@pytest.fixture
def city(dsn: str) -> str:
    ledger = CentreLedger(dsn)
    numbers: dict[str, int] = {}
    events = []
    for hall, kind_and_subject, at, data in story():
        kind, _, subject = kind_and_subject.partition(" ")
        number = numbers[hall] = numbers.get(hall, 0) + 1
        events.append(HallEvent(hall, 1, number, number - 1, at, kind, subject, False, json.dumps(data)))
    ledger.keep(events)
    ledger.close()
    return dsn


def section(dsn: str, about: str, period: reports.ReportAsked, zh: bool = False) -> list[dict[str, Any]]:
    with psycopg.connect(dsn) as connection:
        made = reports.sections(connection, period, zh)
    (found,) = [one for one in made if one.about == about]
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def test_a_day_counts_as_by_hand(city: str) -> None:
    period = reports.ReportAsked(reports.day("2026-12-01"), 900)
    east, west = section(city, "hall", period)
    assert east["visitors"] == 10
    assert east["wait_mean_min"] == pytest.approx((sum(range(2, 21, 2)) + 1) / 11)
    assert east["wait_max_min"] == 20
    assert east["wait_p90_min"] == 18
    assert east["over_limit"] == pytest.approx(3 / 11)
    assert (east["openings"], east["plus_min"]) == (1, 30)
    assert (east["ratings"], east["satisfied"]) == (2, 0.5)
    assert (east["cases"], east["cases_answered"], east["cases_closed"]) == (1, 1, 0)
    assert east["cases_satisfied"] is None
    assert (west["hall"], west["visitors"], west["openings"]) == ("west", 1, None)
    hours = section(city, "hour", period)
    assert [(row["hall"], row["hour"], row["visitors"]) for row in hours] == [
        *(("east", "09:00", 10), ("east", "11:00", 1), ("west", "09:00", 1))
    ]
    windows = {(row["hall"], row["window"]): row for row in section(city, "window", period)}
    assert windows["east", "w11"]["openings"] == 1
    assert windows["east", "w2"]["visitors"] == 1
    whole_month = reports.ReportAsked(reports.month("2026-12"), 900, halls=("west",))
    assert [row["visitors"] for row in section(city, "hall", whole_month)] == [2]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edged", "centre", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
    )


def test_reports_speak_of_halls_by_their_names_in_every_form(city: str, tmp_path: Path) -> None:
    assert run("enrol", str(EXAMPLE), "--postgres", city).returncode == 0
    words = ("report", "--day", "2026-12-01", "--postgres", city)
    done = run(*words, "--as", "csv", "--lang", "zh")
    assert done.returncode == 0, done.stderr
    tables = done.stdout.split("\r\n\r\n")
    first = list(csv.DictReader(io.StringIO(tables[0])))
    assert first[0]["办事人次"] == "10"
    assert first[0]["大厅"] not in ("east", "")
    page = run(*words, "--as", "html", "--lang", "en").stdout
    assert "<html lang" in page
    assert "Over limit" in page
    assert "27.3%" in page
    assert "27.3%" in run(*words).stdout
    assert run("report", "--day", "2026-13-01", "--postgres", city).returncode == 2
    assert run("report", "--day", "2026-01-01", "--postgres", city).returncode == 1
    assert run("scan", "--postgres", city).returncode == 0


def retained(hall: str, **payloads: Any) -> list[Any]:
    return [
        read_retained(f"hall/{hall}/{tail.replace('_', '/')}", json.dumps(payload).encode())
        for tail, payload in payloads.items()
    ]


def test_the_status_says_what_is_wrong_and_with_whom(dsn: str) -> None:
    ledger = CentreLedger(dsn)
    online = {
        "state": "online",
        "version": "1",
        "policy": 7,
        "epoch": 1,
        "since": "2026-12-01T08:00:00+08:00",
    }
    report = {"desired": {"version": 7}, "applied": {"version": 7}, "state": "applied"}
    ledger.keep([], retained("east", status=online | {"group": "river-city"}, policy_report=report))
    now = [read_retained("hall/east/line", b"1"), *retained("east", state_alarms={"standing": []})]
    ledger.keep([], [*now, *retained("east", state_area_tax={"waiting": 4, "tidal_windows": 1})])

    def states(group: str | None = None) -> dict[str, hall_states.CityHall]:
        with psycopg.connect(dsn) as connection:
            return {hall.hall: hall for hall in hall_states.hall_states(connection, group, NOW)}

    east = states("river-city")["east"]
    assert (east.wrong, east.waiting, east.tidal, east.applied) == ((), 4, 1, 7)
    done = run("status", "--postgres", dsn)
    assert (done.returncode, "0 not well" in done.stdout) == (0, True), done.stdout
    why = {"code": "out-of-bounds", "path": "body", "message": "too much", "message_zh": "超出范围"}
    refused = report | {"desired": {"version": 8}, "state": "rejected", "reason": why}
    ledger.keep([], retained("west", status=online | {"state": "degraded"}, policy_report=refused))
    standing_alarm = {"alarm": "no-staff", "subject": "tax", "since": "2026-12-01T09:00:00+08:00"}
    ledger.keep([], retained("west", state_alarms={"standing": [standing_alarm]}))
    ledger.keep([HallEvent("west", 1, 3, 2, NOW, "ticket.called", "A", False, "{}")])
    ledger.keep([], [read_retained("hall/north/line", b"0"), *retained("north", status=online)])
    ledger.close()
    halls = states()
    assert halls["west"].wrong == ("degraded", "policy-rejected", "gap", "alarms")
    assert (halls["west"].alarms, halls["west"].reason, halls["west"].backlog) == (
        ("no-staff",),
        "too much",
        3,
    )
    assert (halls["north"].state, halls["north"].wrong) == ("cut", ("line-cut",))
    assert set(states("river-city")) == {"east"}
    done = run("status", "--json", "--postgres", dsn)
    assert done.returncode == 1
    assert [hall["hall"] for hall in json.loads(done.stdout)] == ["east", "north", "west"]
    assert run("status", "--postgres", "host=/nowhere").returncode == 1
