"""How a day is recorded from what the hall publishes, kept, and read again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import structlog

from edged.clock import Clock, Warp
from edged.pages.day_recorder import CASES_LISTED, VISITS_MAX, DayRecorder
from edged.pages.days import RecordedDays
from edged.pages.whatif import compared
from tests.pages.made_hall import alarms, area, calls, cases, names, recorded_day, window
from tests.support.background import background

DATE = "2026-11-23"


def at(clock: str) -> str:
    return f"{DATE}T{clock}:00+08:00"


@pytest.fixture
def day() -> DayRecorder:
    recorder = DayRecorder(DATE)
    recorder.record("names", names(), at("08:20"))
    return recorder


def test_what_is_usual_is_the_mean_of_the_last_days_and_nothing_of_few(tmp_path: Path) -> None:
    kept = RecordedDays(tmp_path, Clock(), "Asia/Shanghai")
    lanes = {"begin": 9 * 60 + 15, "areas": {"tax": {"waiting": [None] * 5 + [4] * 10 + [8] * 30}}}
    assert kept.usual(DATE) == {}
    for place, day in enumerate(("2026-11-18", "2026-11-19", "2026-11-20")):
        lanes["areas"]["tax"]["waiting"][10] = place * 3  # type: ignore[index]
        (tmp_path / f"{day}.json").write_text(json.dumps({"date": day, **lanes}))
        assert ("tax" in kept.usual(DATE)) == (place == 2)
    (tmp_path / f"{DATE}.json").write_text("{")  # today's own, whatever it holds
    (tmp_path / "2026-11-17.json").write_text('{"areas": {"tax": 7}}')
    with structlog.testing.capture_logs() as logs:
        kept.usual(DATE)
        slots = kept.usual(DATE)["tax"]
    broken = [Path(line["file"]).name for line in logs if line["event"] == "recorded-day-unreadable"]
    assert broken == ["2026-11-17.json"], "logged once, and only days that are used"
    assert slots[18] == 3.9  # nine o'clock: of thirty times, three were 0, 3 and 6
    assert slots[19] == 8.0
    assert [place for place, one in enumerate(slots) if one is not None] == [18, 19]


def test_a_call_is_counted_once_however_often_it_is_told(day: DayRecorder) -> None:
    published = calls()
    for _ in range(3):
        day.record("calls", {"calls": published}, at("10:41"))
    numbers = [one[5] for one in day.as_json()["visits"]]
    assert sorted(numbers) == sorted(one["number"] for one in published if not one["again"])
    again = DayRecorder(DATE, json.loads(json.dumps(day.as_json())))
    again.record("calls", {"calls": published}, at("10:42"))
    assert len(again.as_json()["visits"]) == len(numbers), "after a start of the pages, too"


def test_a_band_goes_from_being_asked_to_being_given_back_and_another_area_is_another(
    day: DayRecorder,
) -> None:
    steps: list[tuple[str, dict[str, Any]]] = [
        ("09:00", window("11", "ACTIVATING", area="tax", clerk=None, paged={"who": "周凯"})),
        ("09:02", window("11", "OPEN", area="tax", clerk="周凯")),
        ("09:30", window("11", "SERVING", area="biz", clerk="周凯")),
        ("10:00", window("11", "STANDBY", area=None, clerk=None)),
    ]
    for clock, body in steps:
        day.record("window/w11", body, at(clock))
    bands = [(b["area"], b["asked"], b["opened"], b["until"], b["who"]) for b in day.as_json()["bands"]]
    assert bands == [("tax", 540, 542, 570, "周凯"), ("biz", None, 570, 600, "周凯")]


def test_lanes_know_what_they_do_not_know_and_count_regular_windows_apart(day: DayRecorder) -> None:
    day.record("area/tax", area(4, 2, 6, open_windows=3, tidal_windows=1), at("09:00"))
    day.minute(at("09:00"))
    day.minute(at("09:03"))
    lanes = day.as_json()["areas"]["tax"]
    assert (day.as_json()["begin"], lanes["waiting"]) == (540, [4, None, None, 4])
    assert (lanes["open"][0], lanes["tidal"][0]) == (2, 1)


def test_pauses_and_alarms_end_and_every_list_has_its_cap(day: DayRecorder) -> None:
    day.record("window/w5", window("5", "PAUSED", pause={"zh": "用餐", "en": "meal"}), at("09:00"))
    day.record("alarms", {"alarms": alarms()}, at("10:40"))
    day.record("window/w5", window("5", "OPEN"), at("09:20"))
    day.record("alarms", {"alarms": []}, at("10:50"))
    found = day.as_json()
    assert [(p["window"], p["from"], p["until"], p["zh"]) for p in found["pauses"]] == [
        ("5", 540, 560, "用餐")
    ]
    assert {one["until"] for one in found["alarms"]} == {650}
    assert all(one["subject"]["en"] for one in found["alarms"]), "a report says which device, window or area"
    found["visits"] += [[0, "tax", 1, 1, 1, "x", "1"]] * VISITS_MAX
    day.record("calls", {"calls": calls()}, at("10:41"))
    assert len(found["visits"]) == VISITS_MAX
    assert found["left_out"] > 0


def test_a_case_goes_from_being_brought_to_its_answer_and_its_end_and_may_come_back(day: DayRecorder) -> None:
    before = ("9", "ACKNOWLEDGED", "2026-11-20T15:00:00+08:00")
    day.record("cases", cases(before, ("1", "OPEN", at("09:00"))), at("09:00"))
    day.record("cases", cases(before, ("1", "ACKNOWLEDGED", at("09:00"))), at("09:08"))
    day.record("cases", cases(before), at("09:30"))
    found = day.as_json()["cases"]
    assert [(one["from"], one["answered"], one["until"]) for one in found] == [(0, 0, None), (540, 548, 570)]
    day.record("cases", cases(("1", "ACKNOWLEDGED", at("09:00"))), at("09:40"))
    assert [one["until"] for one in found] == [580, None]
    full = [(str(100 + n), "OPEN", at("09:50")) for n in range(CASES_LISTED)]
    day.record("cases", cases(*full), at("09:50"))
    assert found[1]["until"] is None, "more are open than the hall tells of"
    assert json.dumps(DayRecorder(DATE, json.loads(json.dumps(day.as_json()))).as_json()["cases"])


async def test_midnight_begins_another_day_and_keeps_the_last(tmp_path: Path) -> None:
    clock = Clock(0)
    night = Warp(
        600.0, clock.wall_ms(), 1795449530000
    )  # 2026-11-23 23:58:50 in Shanghai, a minute in a tenth of a second
    days = RecordedDays(tmp_path / "days", Clock(0, night), "Asia/Shanghai")
    first = days.today.date
    days.record("names", names())
    days.record("area/tax", area(4, 2, 6))
    async with background(days.run()):
        async with asyncio.timeout(20):
            while days.today.date == first or len(days.dates()) < 2:
                await asyncio.sleep(0.05)
    kept = json.loads(days.read(first) or b"null")
    assert (first, kept["date"]) == (DATE, DATE)
    assert kept["areas"]["tax"]["waiting"]
    assert days.today.as_json()["names"]["areas"][0]["id"] == "tax"
    assert days.read("../hall") is None
    assert days.read("2020-01-01") is None


def test_a_day_is_worked_out_under_both_policies_and_says_how_far_it_is() -> None:
    progress: list[tuple[int, int]] = []
    found = compared(
        recorded_day("2026-11-20", "17:10:00"), None, lambda done, of: progress.append((done, of))
    )
    assert progress == [(n, 10) for n in range(1, 11)]
    assert found["own"]["visitors"] == found["other"]["visitors"] > 100
    assert found["other"]["activations"] == found["other"]["staff_min"] == 0
    assert found["own"]["activations"] > 0
