"""The hall with one device of every class: nothing is missing in it, its judge sees faults, and it works as a whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devices import REGISTRY
from edged.config import load
from edged.core.model.commands import Note
from edged.core.model.events import CountRead, KeyPressed
from edged.core.model.point import Point, device_of
from edged.observer import Step
from edged.sim.every_device.classes import CLASSES, FAMILIES
from edged.sim.every_device.run import DeviceJournal, faults_of
from tests.support.daemons import edged

PLACE = Path(__file__).parents[2] / "configs" / "every-device"
HALLS = [load(PLACE / "hall.toml"), load(PLACE / "followed.toml")]
DEVICES = {device.id: device for hall in HALLS for device in hall.devices}
ELSEWHERE = {
    "sms": "needs gammu-smsd of the distribution, which tests/devices/test_sms.py runs; the demo only pip"
}
WAY = "give it a device in configs/every-device/hall.toml and a row in edged/sim/every_device/classes.py"


def test_every_driver_and_every_device_has_its_place() -> None:
    assert set(REGISTRY) - {device.driver for device in DEVICES.values()} == set(ELSEWHERE), WAY
    rows = {device_of(Point(one.point)) for one in CLASSES}
    own_panel = {"panel-w1"}  # of the followed hall, which "queue" looks at
    assert set(DEVICES) - rows == own_panel, WAY
    assert rows - set(DEVICES) == set()
    assert {one.family for one in CLASSES} == set(FAMILIES)


def test_whoever_reports_is_touched_and_whoever_is_named_by_the_hall_is_looked_at() -> None:
    touched = {device_of(Point(one.point)) for one in CLASSES if one.touch is not None}
    assert {name for name, device in DEVICES.items() if device.options.reports()} <= touched
    site = HALLS[0].site
    looked_at = {one.point for one in CLASSES if one.shows is not None}
    outputs = {window.lamp for window in site.windows} | {window.display for window in site.windows}
    for area in site.areas:
        outputs |= {area.voice, *area.displays, *area.lamps}
    assert {str(point) for point in outputs if point} <= looked_at
    panels = {str(window.panel) for window in site.windows}
    assert panels <= {one.point for one in CLASSES if one.kind == "key" and one.touch is not None}


def test_its_judge_sees_an_input_that_is_lost_or_refused_and_an_output_that_is_wrong() -> None:
    key = next(one for one in CLASSES if one.point == "zigbee")
    voice = next(one for one in CLASSES if one.point == "voice")
    journal = DeviceJournal()
    assert faults_of(key, journal, "") == ["zigbee: 0 of 1 inputs (key) reached the hall"]
    journal.take(Step(1, 0, KeyPressed(Point("zigbee"), "next"), (), ()))
    journal.take(Step(2, 0, CountRead(Point("zigbee"), "total", 1, 0), (), ()))
    assert faults_of(key, journal, "") == []
    ignored = Note("ignored", "w1", {"reason": "nobody_waits"})
    journal.take(Step(3, 0, KeyPressed(Point("zigbee"), "next"), (), (ignored,)))
    assert faults_of(key, journal, "") == ["zigbee: the hall answered key with nobody_waits, expected None"]
    assert faults_of(voice, journal, "请A001号到1号窗口") == []
    assert faults_of(voice, journal, "") == [f"voice: shows '', expected {voice.expects}"]


@pytest.mark.long
def test_every_device_on_its_wire_reaches_the_hall_and_is_reached(tmp_path: Path) -> None:
    """`edged demo --hall every-device`, half a minute on a quiet machine."""
    ended = edged("demo", "--hall", "every-device", "--json", timeout_s=400.0)
    assert ended.returncode == 0, ended.stderr[-3000:]
    found = json.loads(ended.stdout)
    assert found["faults"] == []
    assert {row["driver"] for row in found["devices"]} >= set(REGISTRY) - set(ELSEWHERE)
