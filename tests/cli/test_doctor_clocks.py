"""A device whose clock is wrong is told by the doctor: how far, in words, and what helps."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edged.cli.doctor_clocks import DO_CLOCK, DO_ZONE, clock_error_words, message_time_s, remedy
from edged.cli.doctor_links import check_links
from edged.config import load
from edged.sim.broker import free_port
from tests.cli.test_doctor_links import WIRED
from tests.support.brokers import plain_client, real_mosquitto

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 11, 30, 12, 0, tzinfo=SHANGHAI).timestamp()


@pytest.mark.parametrize(
    "message",
    [
        {"time_info": {"start_time": "2026-11-30T11:59:00+08:00", "end_time": "2026-11-30T12:00:00+08:00"}},
        {"time": "2026-11-30T04:00:00Z", "object": {"line_1_total_in": 1}},
        {"Time": "2026-11-30T12:00:00"},
        {"timestamp": 1796011200000},
        {"ts": 1796011200, "count": 1796999999},
        {"timestamp": "20261130120000"},
        {"data": [{"datetime": "2026-11-30 12:00:00"}]},
    ],
)
def test_times_as_devices_write_them(message: dict[str, object]) -> None:
    assert message_time_s(json.dumps(message).encode(), SHANGHAI) == NOON


@pytest.mark.parametrize(
    "payload",
    [b"", b"17", b"\xff", b'{"time": "noon"}', b'{"time": 12}', b'{"time": true}', b'{"ts": 1e300}'],
)
def test_a_text_that_is_no_time_is_read_as_none(payload: bytes) -> None:
    assert message_time_s(payload, SHANGHAI) is None


@pytest.mark.parametrize(
    ("off_s", "zh", "en", "do"),
    [
        (-8 * 3600 - 20, "其时钟慢8小时", "its clock is 8 h behind ours", DO_ZONE),
        (5.5 * 3600, "其时钟快5小时30分钟", "its clock is 5 h 30 min ahead of ours", DO_ZONE),
        (-600, "其时钟慢10分钟", "its clock is 10 min behind ours", DO_CLOCK),
        (-400 * 86400 - 3600, "其时钟慢400天1小时", "its clock is 400 d 1 h behind ours", DO_CLOCK),
    ],
)
def test_the_difference_in_words_and_what_helps(off_s: float, zh: str, en: str, do: tuple[str, str]) -> None:
    assert (clock_error_words(off_s), remedy(off_s)) == ((zh, en), do)


async def test_the_doctor_hears_whose_clock_is_wrong(tmp_path: Path) -> None:
    at = {"right": timedelta(0), "zone": timedelta(hours=-8), "frozen": timedelta(days=-700)}
    door = '\n[[devices]]\nid = "{0}"\ndriver = "milesight_mqtt"\ntopic = "people/{0}"\n'
    text = WIRED.partition('[[devices]]\nid = "door"')[0] + "".join(map(door.format, at))
    async with real_mosquitto() as broker, plain_client(broker) as device:
        file = tmp_path / "hall.toml"
        file.write_text(text.format(broker=broker.port, web=free_port()))

        async def report() -> None:
            while True:
                for name, off in at.items():
                    reported_time = (datetime.now(UTC) + off).isoformat()
                    body = {"line_total_data": [], "time_info": {"end_time": reported_time}}
                    await device.publish(f"people/{name}", json.dumps(body).encode())
                await asyncio.sleep(0.2)

        async with asyncio.TaskGroup() as tasks:
            reporting = tasks.create_task(report())
            found = await asyncio.to_thread(check_links, load(file), 2.0)
            reporting.cancel()
    assert found["device right"].state == "well"
    assert "its clock agrees with ours" in found["device right"].english
    assert (found["device zone"].state, found["device zone"].do) == ("ill", DO_ZONE)
    assert found["device zone"].chinese.startswith("其时钟慢8小时")
    assert (found["device frozen"].state, found["device frozen"].do) == ("ill", DO_CLOCK)
