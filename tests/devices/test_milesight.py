"""Milesight counters: captured reports, both shapes, and nobody counted twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.milesight_mqtt.codec import CountedLine, decode
from devices.milesight_mqtt.driver import TOTALS_MAX, MilesightMqtt, MilesightMqttOptions
from devices.milesight_mqtt.fake import UUID, FakeMilesight
from edged.core.model.events import CountRead, DeviceBack, DeviceLost, Event
from edged.core.model.point import Point
from edged.driver import DeviceContext, Garbled
from edged.links.mqtt.link import Message, MqttLink
from edged.shapes import read
from tests.support.brokers import Rejections, plain_client, real_mosquitto, running, settings_for, until

FRAMES = {
    frame["id"]: frame
    for frame in json.loads((Path(__file__).parents[1] / "vectors/milesight_frames.json").read_text())[
        "frames"
    ]
}


class Bench:
    """A driver that the test feeds with reports, and the events that it emitted."""

    def __init__(self, **options: object) -> None:
        self.events: list[Event] = []
        self.acks = 0
        self.rejections = Rejections()
        context = DeviceContext("door-1", "t", self.emit, self.rejections, asyncio.sleep, lambda: 0.0, None)
        self.driver = MilesightMqtt(context, read(MilesightMqttOptions, {"topic": "t/vs125"} | options))

    def emit(self, event: Event, ack: Callable[[], None] | None = None) -> bool:
        self.events.append(event)
        if ack is not None:
            ack()
        return True

    def receive(self, payload: bytes, retain: bool = False) -> None:
        self.driver._received(Message("t/vs125", payload, retain, self._ack))

    def _ack(self) -> None:
        self.acks += 1

    @property
    def counts(self) -> list[CountRead]:
        return [event for event in self.events if isinstance(event, CountRead)]


def payload_of(frame: str) -> bytes:
    return json.dumps(FRAMES[frame]["json"]).encode()


def test_captured_report_gives_its_window_and_its_totals() -> None:
    uuid = "00000000-0000-4000-8000-000000000001"
    start = "2026-07-31T23:11:00-00:00"
    assert decode(payload_of("vs125.captured")) == (
        CountedLine("total", uuid, 8442, 15583, start),
        CountedLine("window", uuid, 0, 0, start),
    )


def test_published_trigger_report_gives_its_counts() -> None:
    (line,) = decode(payload_of("vs125.trigger"))
    expect = FRAMES["vs125.trigger"]["expect"]
    assert (line.kind, line.entered, line.left) == ("crossing", expect["in"], expect["out"])


@pytest.mark.parametrize("shape", ["VS125", "VS135"])
def test_both_report_formats_give_the_same_counts(shape: str) -> None:
    camera = FakeMilesight(shape)  # type: ignore[arg-type]
    camera.passed(3, 1)
    start = "2026-11-23T08:00:00+08:00"
    assert decode(camera.periodic()) == (
        CountedLine("total", UUID, 3, 1, start),
        CountedLine("window", UUID, 3, 1, start),
    )


def test_totals_are_preferred_to_the_period_count_of_the_same_report() -> None:
    bench, camera = Bench(), FakeMilesight()
    for _ in range(3):
        camera.passed(2, 1)
        bench.receive(camera.periodic())
    assert bench.counts == [total(UUID, 2 * n, n) for n in (1, 2, 3)]
    assert bench.acks == 3


def test_period_counts_are_ignored_once_a_crossing_was_reported() -> None:
    bench, camera = Bench(), FakeMilesight()
    bench.receive(camera.trigger(1, 0))
    bench.receive(camera.trigger(0, 2))
    bench.receive(camera.periodic(with_total=False))
    assert bench.counts == [
        CountRead(Point("door-1"), "window", 1, 0),
        CountRead(Point("door-1"), "window", 0, 2),
    ]
    assert bench.acks == 3


def test_crossings_are_ignored_where_totals_contain_them() -> None:
    bench, camera = Bench(), FakeMilesight()
    bench.receive(camera.periodic())
    bench.receive(camera.trigger(1, 0))
    bench.receive(camera.periodic())
    assert bench.counts == [total(UUID, 0, 0), total(UUID, 1, 0)]


def test_a_period_count_reported_twice_counts_once() -> None:
    bench, camera = Bench(), FakeMilesight()
    camera.passed(4, 0)
    report = camera.periodic(with_total=False)
    bench.receive(report)
    bench.receive(report)
    camera.passed(1, 0)
    bench.receive(camera.periodic(with_total=False))
    assert bench.counts == [
        CountRead(Point("door-1"), "window", 4, 0),
        CountRead(Point("door-1"), "window", 1, 0),
    ]
    assert bench.rejections.reasons == ["repeated_window"]
    assert bench.acks == 3


def test_camera_mounted_the_other_way_round_is_swapped() -> None:
    bench, camera = Bench(swap=True), FakeMilesight()
    camera.passed(5, 2)
    bench.receive(camera.periodic())
    assert bench.counts == [total(UUID, 2, 5)]


def test_each_line_has_a_total_of_its_own_and_a_report_is_acknowledged_with_its_last() -> None:
    bench = Bench()
    bench.receive(_totals({"a": (100, 90)}))
    bench.receive(_totals({"a": (101, 90), "b": (5000, 4000)}))
    assert bench.counts == [total("a", 100, 90), total("a", 101, 90), total("b", 5000, 4000)]
    assert bench.acks == 2


def test_only_the_configured_lines_count() -> None:
    bench = Bench(lines=["b"])
    bench.receive(_totals({"a": (100, 90), "b": (7, 6)}))
    assert bench.counts == [total("b", 7, 6)]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b"{}" + b" " * 16384, "too_large"),
        (b"\xff", "not_utf8"),
        (b"{", "not_json"),
        (b"[" * 16000, "too_deep"),
        (b"[]", "not_object"),
        (b"{}", "no_lines"),
        (b'{"line_total_data":[{"in_counted":1,"in_counted":2,"out_counted":1}]}', "duplicate_key"),
        (b'{"region_trigger_data":[]}', "no_lines"),
        (b'{"line_total_data":{}}', "invalid"),
        (b'{"line_total_data":[1]}', "invalid"),
        (b'{"line_total_data":[{"in_counted":1}]}', "invalid"),
        (b'{"line_total_data":[{"in_counted":NaN,"out_counted":1}]}', "not_finite"),
        (b'{"line_total_data":[{"in_counted":1e999,"out_counted":1}]}', "not_finite"),
        (b'{"line_total_data":[{"in_counted":1180591620717411303424,"out_counted":1}]}', "invalid"),
        (b'{"line_total_data":[{"in_counted":-1,"out_counted":1}]}', "invalid"),
        (b'{"line_total_data":[{"in_counted":true,"out_counted":1}]}', "invalid"),
        (b'{"line_trigger_data":[' + b",".join([b"{}"] * 17) + b"]}", "invalid"),
    ],
)
def test_hostile_reports_are_counted_and_acknowledged(payload: bytes, reason: str) -> None:
    bench = Bench()
    bench.receive(payload)
    assert (bench.rejections.reasons, bench.events, bench.acks) == ([reason], [], 1)


def test_a_retained_report_is_refused_as_old() -> None:
    bench = Bench()
    bench.receive(FakeMilesight().periodic(), retain=True)
    assert (bench.rejections.reasons, bench.events) == (["retained"], [])


@given(st.binary(max_size=300))
def test_random_bytes_as_a_report_raise_garbled_only(payload: bytes) -> None:
    with pytest.raises(Garbled):
        decode(payload)


async def test_counter_at_a_real_broker_is_back_counts_and_falls_silent() -> None:
    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker), Rejections())
        events: list[Event] = []
        hall_s = [0.0]

        def emit(event: Event, ack: Callable[[], None] | None = None) -> bool:
            events.append(event)
            if ack is not None:
                ack()
            return True

        async def sleep(_seconds: float) -> None:
            await asyncio.sleep(0.01)

        context = DeviceContext("door-1", "t", emit, Rejections(), sleep, lambda: hall_s[0], link)
        driver = MilesightMqtt(context, MilesightMqttOptions(topic="site/+/count", silent_s=60))
        async with plain_client(broker) as camera, running(link):
            task = asyncio.get_running_loop().create_task(driver.run())
            await asyncio.sleep(0.05)
            await camera.publish("site/vs125/count", payload_of("vs125.captured"), qos=1)
            await until(lambda: len(events) == 2)
            hall_s[0] = 61
            await until(lambda: len(events) == 3)
            task.cancel()
        assert events == [
            DeviceBack(Point("door-1")),
            total(UUID, 8442, 15583),
            DeviceLost(Point("door-1"), "silent"),
        ]


def total(uuid: str, entered: int, left: int) -> CountRead:
    """The total of one line."""
    return CountRead(Point("door-1"), "total", entered, left, line=f"{crc32(uuid.encode()):08x}")


def _totals(lines: dict[str, tuple[int, int]]) -> bytes:
    items = [{"line_uuid": uuid, "in_counted": n, "out_counted": m} for uuid, (n, m) in lines.items()]
    return json.dumps({"line_total_data": items}).encode()


def test_totals_are_kept_for_a_limited_number_of_lines() -> None:
    bench = Bench()
    lines = [CountedLine("total", f"line-{number}", 1, 0, "") for number in range(TOTALS_MAX + 1)]
    assert len(bench.driver._total(lines[:TOTALS_MAX])) == TOTALS_MAX
    assert bench.rejections.reasons == []
    assert bench.driver._total(lines[TOTALS_MAX:]) == []
    assert bench.rejections.reasons == ["too_many_lines"]
    assert len(bench.driver._total(lines[:1])) == 1, "a line that is known goes on"
