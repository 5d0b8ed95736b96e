"""``edged backtest`` and ``edged tune`` on small traces and on a journal; bad input is one line and exit code 2."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edged.backtest.journals import read_journals
from edged.backtest.measures import DayMeasures, Prices, quantile, student_975
from edged.backtest.runner import FIRST_DAY_MS
from edged.backtest.traces import BadTrace, read
from edged.cli import app
from edged.core.engine import Engine
from edged.core.model.events import ClockSet, Event, KeyPressed, SiteLoaded, TicketPrinted
from edged.core.model.point import Point
from edged.core.model.site import Area, Service, Site, Window
from edged.observer import Step
from tests.support.journals import open_journal


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Six days of a small hall, four of them for training."""
    chance = random.Random(5)
    lines = ["set,day,part,t_min,service_min,stype"]
    for day in range(6):
        at = 0.0
        while (at := at + chance.expovariate(0.9)) < 120:
            need = chance.lognormvariate(1.5, 0.8)
            lines.append(f"small,d{day},{'test' if day > 3 else 'train'},{at:.4f},{need:.4f},{day % 2}")
    file = tmp_path / "small.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_bare_csv_gives_a_table_and_an_object(trace: Path) -> None:
    shown = call("backtest", "--trace", trace, "--hall", "3,2,2", "--processes", "1")
    assert shown.exit_code == 0, shown.output
    for policy in ("pw", "never", "always", "naive10", "band", "clairvoyant"):
        assert re.search(rf"│ {policy} +│", shown.stdout), shown.stdout
    found = json.loads(call("backtest", "--trace", trace, "--hall", "3,2,2", "--json").stdout)
    assert found["total"]["ratio_to_clairvoyant"] >= 1
    assert found["sets"]["small"]["pw"]["days"] == 2
    assert found["sets"]["small"]["never"]["staff_min_per_day"] == 0
    assert found["total"] == found["policies"]["pw"]


def test_the_report_is_one_file_that_fetches_nothing(trace: Path, tmp_path: Path) -> None:
    html = tmp_path / "report.html"
    assert call("backtest", "--trace", trace, "--hall", "3,2,2", "--html", html, "--json").exit_code == 0
    text = html.read_text()
    assert text.count("<svg") == 4
    assert "<polyline" in text
    assert "<circle" in text
    assert not re.search(r"https?://|<script|<link|@import|url\(|\bsrc=", text)


def test_a_policy_file_is_the_one_under_test(trace: Path, tmp_path: Path) -> None:
    file = tmp_path / "timid.json"
    file.write_text('{"tidal": {"rule": "never"}}')
    shown = call("backtest", "--trace", trace, "--policy", file, "--against", "never,pw", "--json")
    found = json.loads(shown.stdout)
    assert found["policy"] == "timid"
    assert found["total"]["openings_per_day"] == 0
    assert found["total"]["J"] == pytest.approx(found["policies"]["never"]["J"])
    file.write_text('{"tidal": {"rule": "sometimes"}}')
    refused = call("backtest", "--trace", trace, "--policy", file)
    assert refused.exit_code == 2
    assert "timid.json" in refused.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--trace", "nowhere.csv"], "nowhere.csv"),
        ([], "--trace or --journal"),
        (["--trace", "TRACE", "--against", "best"], "no policy is called 'best'"),
        (["--trace", "TRACE", "--part", "some"], "--part"),
        (["--trace", "TRACE", "--sets", "big"], "no set 'big'"),
        (["--trace", "TRACE", "--hall", "0,1,8"], "--hall"),
        (["--trace", "TRACE", "--prices", "1,2"], ""),
    ],
)
def test_wrong_arguments_are_answered_in_one_line(trace: Path, words: list[str], expected: str) -> None:
    found = call("backtest", *[str(trace) if word == "TRACE" else word for word in words], "--processes", "1")
    assert expected in found.output
    assert found.exit_code == (2 if expected else 0)


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Write two days of two groups of windows; one group is busy while the other is quiet."""
    chance = random.Random(7)
    lines = ["set,day,part,t_min,service_min,stype"]
    for hall, rush in (("am", 0), ("pm", 60)):
        for day in range(2):
            arrivals = [chance.uniform(rush, rush + 60) for _ in range(70)]
            lines += [
                f"{hall},d{day},test,{at:.4f},{chance.lognormvariate(1.5, 0.8):.4f},0" for at in arrivals
            ]
    file = tmp_path / "two.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_areas_that_share_a_pool_are_judged_together(two: Path) -> None:
    def pooled(size: int) -> dict[str, Any]:
        words = (
            "--together",
            "am,pm:1",
            "--pool",
            str(size),
            "--hall",
            "2,1,2",
            "--processes",
            "1",
            "--json",
        )
        shown = call("backtest", "--trace", two, *words)
        assert shown.exit_code == 0, shown.output
        found: dict[str, Any] = json.loads(shown.stdout)
        return found

    small, large = pooled(1), pooled(4)
    assert list(small["sets"]) == ["am+pm"]
    assert (
        small["total"]["visitors"] == large["total"]["visitors"] < 280
    )  # half of pm's visitors: 1 window of 2
    assert small["policies"]["never"]["J"] == large["policies"]["never"]["J"]
    assert large["total"]["ratio_to_clairvoyant"] >= 1
    assert large["total"]["J"] < small["total"]["J"] < small["policies"]["never"]["J"]
    assert small["policies"]["pw-no-release"]["releases"] == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("am", "two different sets"),
        ("am,am", "two different sets"),
        ("am,x", "'x'"),
        ("am,pm:y", "--together"),
    ],
)
def test_a_wrong_pool_is_one_line(two: Path, words: str, expected: str) -> None:
    found = call("backtest", "--trace", two, "--together", words, "--processes", "1")
    assert found.exit_code == 2
    assert expected in found.output


@pytest.mark.parametrize("row", ["x,1,0", "1,-1,0", "1,nan,0", "-1,1,0", "1,1,999", "1,,0"])
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, row: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(f"t_min,service_min,stype\n1,1,0\n{row}\n")
    with pytest.raises(BadTrace, match=r"bad.csv:3: "):
        read(file)


def test_tune_says_what_is_noise(trace: Path, tmp_path: Path) -> None:
    out = tmp_path / "body.json"
    shown = call("tune", "--trace", trace, "--json", "--out", out)
    assert shown.exit_code == 0, shown.output
    (fit,) = json.loads(shown.stdout)
    assert (fit["train_days"], fit["test_days"], fit["settings"]) == (4, 2, 31)
    assert fit["train_gain_per_day"] >= 0
    assert 0 <= fit["like_the_best"] < fit["settings"]
    assert fit["proven"] == (fit["test_gain_per_day"] > fit["test_half_width_95"])
    areas = json.loads(out.read_text())["tidal"]["pw_areas"]
    assert fit["keeps_profile"] == (fit["profile_gain_per_day"] > 0)
    kept = areas.get("hall", {}).get("profile", {})
    assert len(kept.get("hall", ())) == (8 if fit["keeps_profile"] else 0)
    assert call("tune").exit_code == 2


async def test_a_journal_gives_back_its_visitors(tmp_path: Path) -> None:
    site = Site(
        "east",
        "East",
        (Area("tax", "税务", "Taxes"),),
        (Service("tax-general", "tax", "综合", "General", "A", 300),),
        (
            Window("w1", "1", ("tax-general",), panel=Point("p1")),
            Window("w2", "2", ("tax-general",), tidal=True),
        ),
    )
    fed: list[tuple[int, Event]] = [
        (0, ClockSet(FIRST_DAY_MS + 9 * 3_600_000, 480)),
        (0, SiteLoaded(site)),
        (1_000, KeyPressed(Point("p1"), "login")),
        (60_000, TicketPrinted(Point("d"), "A001", "tax-general")),
        (65_000, TicketPrinted(Point("d"), "A002", "tax-general")),
        (70_000, KeyPressed(Point("p1"), "next")),
        (71_000, KeyPressed(Point("p1"), "arrive")),
        (191_000, KeyPressed(Point("p1"), "finish")),
    ]
    engine = Engine()
    async with open_journal(tmp_path / "hall.db") as journal:
        for seq, (at_ms, event) in enumerate(fed, 1):
            journal.append(Step(seq, at_ms, event, *engine.handle(at_ms, event)))
    traces = read_journals([tmp_path / "hall.db"])
    (day,) = traces.days
    assert (day.hall, day.name, day.service_ms) == ("tax", "2026-01-01", (120_000,))  # A002 was never served
    hall = traces.halls["tax"]
    assert (hall.regular, hall.tidal, hall.opens_min, hall.means_s) == (1, 1, 17 * 60, (300.0,))
    with pytest.raises(BadTrace, match="no such file"):
        read_journals([tmp_path / "other.db"])


def test_prices_make_one_figure() -> None:
    day = DayMeasures((0, 600_000, 900_000), 30 * 60_000, 2)
    assert day.cost(Prices()) == pytest.approx(0.2 * 25 + 5 + 30 + 16)
    assert quantile([0, 10, 20], 0.9) == pytest.approx(18)
    assert student_975(90) == pytest.approx(1.98667, abs=1e-4)
