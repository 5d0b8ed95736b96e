"""Described devices on a real broker: what they say becomes events, levels reach them, nothing they send ends it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.mqtt_map.codec import PLACE, MqttModel, _matches, findings
from devices.mqtt_map.driver import MqttMap, MqttMapOptions
from devices.mqtt_map.fake import FakeTasmota
from edged.clock import Clock, Warp
from edged.core.model.commands import Action, Display, Lamp, Panel, Say
from edged.core.model.events import (
    CountRead,
    DeviceBack,
    DeviceLost,
    Event,
    HealthRead,
    InputRefused,
    KeyPressed,
    TicketRequested,
)
from edged.core.model.point import Point
from edged.descriptions import described, names
from edged.driver import DeviceContext, Garbled, Refused
from edged.links.mqtt.link import Message, MqttLink
from edged.links.mqtt.settings import MqttSettings
from edged.shapes import Misshapen, read
from tests.support.brokers import Mosquitto, Rejections, real_mosquitto, running, settings_for, until
from tests.support.needs import lacking

LAMPS = {f"d/{n}": n - 1 for n in range(1, 9)}


@dataclass
class Bench:
    """A driver that the test feeds, or one at a broker; hall time runs ``speed`` times as fast as real time."""

    mqtt: Any = None
    speed: float = 1.0
    full: bool = False
    events: list[Event] = field(default_factory=list)
    acks: int = 0
    rejections: Rejections = field(default_factory=Rejections)

    def emit(self, event: Event, ack: Callable[[], None] | None = None) -> bool:
        if self.full:
            return False
        self.events.append(event)
        if ack is not None:
            ack()
        return True

    def driver(self, **options: object) -> MqttMap:
        self.clock = Clock(warp=Warp(self.speed, 0, 0))
        context = DeviceContext(
            "d", "t", self.emit, self.rejections, self.clock.sleep, self.clock.now_s, self.mqtt
        )
        return MqttMap(context, read(MqttMapOptions, options))

    def message(self, topic: str, payload: str | bytes, retain: bool = False, again: bool = False) -> Message:
        def ack() -> None:
            self.acks += 1

        data = payload.encode() if isinstance(payload, str) else payload
        return Message(topic, data, retain, ack, again=again)


@asynccontextmanager
async def tasmota(
    bench: Bench, broker: Mosquitto, **options: Any
) -> AsyncIterator[tuple[MqttMap, FakeTasmota]]:
    bench.mqtt = MqttLink(settings_for(broker), bench.rejections)
    driver = bench.driver(topic="counter-3", **options)
    board = FakeTasmota("counter-3", "127.0.0.1", broker.port, pulse_s=15 / bench.speed)
    async with running(bench.mqtt), asyncio.TaskGroup() as group:
        life = group.create_task(driver.run())
        on_air = group.create_task(board.run())
        await until(lambda: DeviceBack(Point("d")) in bench.events)
        yield driver, board
        on_air.cancel()
        life.cancel()


async def test_lamps_follow_and_go_dark_once_their_level_is_no_longer_repeated() -> None:
    bench = Bench(speed=20)
    async with real_mosquitto() as broker, tasmota(bench, broker, model="tasmota-relay") as (driver, board):
        await driver.show(Point("d/3"), Lamp("on"))
        await until(lambda: board.lit == [n == 2 for n in range(8)])
        commands = board.commands
        await until(lambda: not any(board.lit))
        assert board.commands == commands, "the board's own timer, not we"
        await driver.show(Point("d/1"), Lamp("blink"))
        await until(lambda: board.commands > commands + 4)
        await driver.show(Point("d/1"), Lamp("off"))
        await until(lambda: not board.lit[0])
        for wrong in (Display(("A",)), Lamp("on")):
            with pytest.raises(Refused):
                await driver.show(Point("d/9"), wrong)
        with pytest.raises(Refused):
            await driver.act(Action("1", Point("d"), Say("", "", "")))


async def test_a_button_gives_key_presses_and_its_offline_message_loses_it() -> None:
    bench = Bench()
    keys = {"DOUBLE": "pause"}
    async with (
        real_mosquitto() as broker,
        tasmota(bench, broker, model="tasmota-button", keys=keys) as (driver, board),
    ):
        await board.press("SINGLE")
        await board.press("DOUBLE")
        await board.publish("stat/counter-3/RESULT", '{"POWER":"ON"}')
        await board.press("NONSENSE")
        await until(lambda: len(bench.events) == 4 and bench.rejections.reasons == ["unknown_value"])
        assert bench.events[1:] == [
            KeyPressed(Point("d"), "next-or-recall"),
            KeyPressed(Point("d"), "pause"),
            InputRefused(Point("d"), "key", "unknown_value"),
        ]
        await driver.show(Point("d"), Panel("w1", "open", 3))  # a bare button shows nothing, and takes it
        await board.publish("tele/counter-3/LWT", "Offline", retain=True)
        await until(lambda: DeviceLost(Point("d"), "offline") in bench.events)
        lost = len(bench.events)
        await board.press("SINGLE")
        await until(
            lambda: bench.events[lost:] == [DeviceBack(Point("d")), KeyPressed(Point("d"), "next-or-recall")]
        )


async def test_a_retained_button_message_presses_no_key() -> None:
    bench = Bench()
    driver = bench.driver(model="zigbee-button", topic="b")
    driver._received(bench.message("zigbee2mqtt/b", '{"action":"single"}', retain=True))
    assert (bench.events, bench.acks, bench.rejections.reasons) == ([], 1, ["retained"])
    driver._received(bench.message("zigbee2mqtt/b", '{"action":"single"}', again=True))
    assert bench.events == [DeviceBack(Point("d")), KeyPressed(Point("d"), "next-or-recall", again=True)]
    assert bench.acks == 2


async def test_an_input_that_met_a_full_inbox_is_not_acknowledged() -> None:
    bench = Bench(full=True)
    driver = bench.driver(model="zigbee-button", topic="b")
    driver._received(bench.message("zigbee2mqtt/b", '{"action":"single"}'))
    assert bench.acks == 0
    driver._presence.forget()


async def test_buttons_may_request_tickets_and_report_a_low_battery() -> None:
    bench = Bench()
    driver = bench.driver(model="zigbee-button", topic="b", requests={"single": "tax-general"})
    driver._received(bench.message("zigbee2mqtt/b", '{"action":"single","battery_low":true}'))
    driver._received(bench.message("zigbee2mqtt/b", '{"action":"","battery_low":true}'))
    driver._received(bench.message("zigbee2mqtt/b", '{"battery_low":false}'))
    assert bench.events[1:] == [
        TicketRequested(Point("d"), "tax-general"),
        HealthRead(Point("d"), fault="battery is low"),
        HealthRead(Point("d")),
    ]
    options = read(
        MqttMapOptions, {"model": "zigbee-button", "topic": "b", "requests": {"single": "tax-general"}}
    )
    assert (options.reports(), options.service_ids()) == (
        frozenset({"dispenser"}),
        frozenset({"tax-general"}),
    )


async def test_a_fault_mended_during_our_absence_is_cleared_after_the_start() -> None:
    """The journal knows it from an earlier life of this process."""
    bench = Bench()
    driver = bench.driver(model="zigbee-button", topic="b")
    for _ in range(2):
        driver._received(bench.message("zigbee2mqtt/b", '{"battery_low":false}'))
    assert bench.events[1:] == [HealthRead(Point("d"))]


async def test_counters_report_each_line_and_may_be_mounted_the_other_way_round() -> None:
    bench = Bench()
    driver = bench.driver(model="chirpstack-vs133", topic="24e124", swap=True)
    both = {"line_1_total_in": 5, "line_1_total_out": 2, "line_2_total_in": 1, "line_2_total_out": 0}
    driver._received(bench.message("application/a/device/24e124/event/up", json.dumps({"object": both})))
    assert bench.events[1:] == [
        CountRead(Point("d"), "total", 2, 5, line="line-1"),
        CountRead(Point("d"), "total", 0, 1, line="line-2"),
    ]
    assert bench.acks == 1
    driver = bench.driver(model="axis-occupancy", topic="ACCC8E")
    payload = {"message": {"data": {"scenario": "Occupancy", "human": "7"}}}
    topic = "axis/ACCC8E/event/CameraApplicationPlatform/ObjectAnalytics/Device1Scenario1"
    driver._received(bench.message(topic, json.dumps(payload)))
    assert bench.events[-1] == CountRead(Point("d"), "occupancy", occupancy=7)


async def test_a_sensor_that_falls_silent_is_lost_and_back_with_its_next_message() -> None:
    async with real_mosquitto() as broker:
        bench = Bench(speed=2000)
        bench.mqtt = MqttLink(settings_for(broker), bench.rejections)
        driver = bench.driver(model="chirpstack-vs133", topic="x")
        async with running(bench.mqtt), asyncio.TaskGroup() as group:
            life = group.create_task(driver.run())
            await until(lambda: DeviceLost(Point("d"), "silent") in bench.events)
            driver._received(bench.message("application/a/device/x/event/up", '{"object":{}}'))
            assert bench.events[-1] == DeviceBack(Point("d"))
            life.cancel()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"topic": "a/#"}, "wildcard"),
        ({"model": "no-such"}, "there is no description"),
        ({"model": "tasmota-relay", "keys": {"X": "next"}}, "has no buttons"),
        ({"keys": {"X": "dance"}}, "keys.X"),
    ],
)
def test_mqtt_map_options_that_cannot_work_are_refused_with_the_reason(
    options: dict[str, Any], says: str
) -> None:
    with pytest.raises(Misshapen, match=says):
        read(MqttMapOptions, {"model": "tasmota-button", "topic": "a"} | options)


def test_topics_points_and_roles_of_an_mqtt_map_follow_its_description() -> None:
    relay = read(MqttMapOptions, {"model": "tasmota-relay", "topic": "a"})
    assert relay.topics("t", "d") == (("tele/a/LWT",), tuple(f"cmnd/a/POWER{n}" for n in range(1, 9)))
    assert (relay.point_channels(), relay.point_roles("1")) == (frozenset("12345678"), frozenset({"lamp"}))
    remote = read(MqttMapOptions, {"model": "zigbee-buttons-4", "topic": "a"})
    assert remote.point_roles("1") == {"panel"}
    assert {"1", "2", "3", "4"} <= remote.point_channels()


MODELS = [described("mqtt_map", name, MqttModel) for name in names("mqtt_map")]
WORDS = [example for model in MODELS for example in model.examples if example.payload]


@given(data=st.data())
def test_any_payload_gives_findings_or_raises_garbled(data: st.DataObject) -> None:
    """Captured payloads whole, cut, doubled and damaged, on any topic of any model, and plain noise."""
    model = data.draw(st.sampled_from(MODELS))
    example = data.draw(st.sampled_from(WORDS))
    whole = example.payload.encode()
    cut = data.draw(st.integers(0, len(whole)))
    spot = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:spot] + data.draw(st.binary(min_size=1, max_size=3)) + whole[spot + 1 :]
    payload = data.draw(
        st.sampled_from([whole, whole[:cut], whole + whole, damaged, data.draw(st.binary(max_size=40))])
    )
    topic = (
        data.draw(st.sampled_from([one.topic for one in model.inputs] or ["x"]))
        .replace("+", "a")
        .replace("#", "b")
    )
    try:
        found = findings(model, topic, payload, PLACE)
    except Garbled:
        return
    assert all(one.words for one in found)


async def test_zigbee_button_actions_are_those_of_the_zigbee2mqtt_converters() -> None:
    """zigbee-herdsman-converters in node: raw messages of three buttons, as zigbee2mqtt would publish them."""
    packages, node = os.environ.get("EDGED_NODE_PEERS"), shutil.which("node")
    if not packages or not node:
        lacking("EDGED_NODE_PEERS names no folder with zigbee-herdsman-converters")
    script = Path(__file__).parent.parent / "support" / "zigbee_words.js"
    env = {"NODE_PATH": packages, "PATH": os.environ["PATH"]}
    peer = await asyncio.create_subprocess_exec(node, str(script), env=env, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60):
        output, _ = await peer.communicate()
    words = json.loads(output.splitlines()[-1])
    assert words["TS0044"] == [f"{n}_{press}" for n in range(1, 5) for press in ("single", "double", "hold")]
    for name, modelled in (
        ("zigbee-button", ["TS0041", "lumi.remote.b1acn01"]),
        ("zigbee-buttons-4", ["TS0044"]),
    ):
        model = described("mqtt_map", name, MqttModel)
        for word in [word for modelid in modelled for word in words[modelid]]:
            found = findings(model, f"zigbee2mqtt/{PLACE}", json.dumps({"action": word}).encode(), PLACE)
            assert bool(found) == (word != "release"), word


@pytest.mark.parametrize(
    ("topic_filter", "topic", "fits"),
    [
        ("a/#", "a", True),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("a/b", "a/c", False),
        ("a/b/c", "a/b", False),
    ],
)
def test_topic_filters_match_as_the_mqtt_standard_defines(topic_filter: str, topic: str, fits: bool) -> None:
    assert _matches(topic_filter, topic) is fits


async def test_a_topic_the_broker_refuses_loses_the_device_that_listens_to_it() -> None:
    bench = Bench()
    bench.mqtt = MqttLink(MqttSettings("edged-test", port=1), bench.rejections)
    driver = bench.driver(topic="counter-3", model="tasmota-relay")
    life = asyncio.get_running_loop().create_task(driver.run())
    await until(lambda: driver._topics[0] in bench.mqtt._handlers)
    driver._presence.back()
    bench.mqtt._notify_refused("somebody/else", "may not be listened to")
    assert bench.events[-1] == DeviceBack(Point("d"))
    bench.mqtt._notify_refused(driver._topics[0], "may not be listened to")
    lost = bench.events[-1]
    assert isinstance(lost, DeviceLost)
    assert (lost.reason, lost.detail) == ("broker-refuses", f"{driver._topics[0]}: may not be listened to")
    life.cancel()


RADIO = json.loads((Path(__file__).parents[1] / "vectors" / "rf_frames.json").read_text())["frames"]


@pytest.mark.parametrize(("model", "base"), [("tasmota-rf", 16), ("omg-rf", 10)])
def test_a_radio_button_pages_a_guide_and_can_do_nothing_else(model: str, base: int) -> None:
    """The code of a received frame, as each bridge tells it; codes of the neighbours are nobody's."""
    frame = bytes.fromhex(next(one["hex"] for one in RADIO if one["id"] == "rf.rx"))
    assert (frame[:2], frame[-1]) == (b"\xaa\xa4", 0x55)
    code = int.from_bytes(frame[8:11])
    word = f"{code:06X}" if base == 16 else str(code)
    options = {"model": model, "topic": "rf"}
    payload = {"RfReceived": {"Data": word}} if base == 16 else {"value": code, "protocol": 1, "length": 24}
    bench = Bench()
    driver = bench.driver(**options, keys={word: "guide"})
    topic = "tele/rf/RESULT" if base == 16 else "rf/433toMQTT"
    driver._received(bench.message(topic, json.dumps(payload)))
    assert [one for one in bench.events if isinstance(one, KeyPressed)] == [KeyPressed(Point("d"), "guide")]
    stranger = {"RfReceived": {"Data": "2E5D0C"}} if base == 16 else {"value": 1}
    driver._received(bench.message(topic, json.dumps(stranger)))
    assert (len([one for one in bench.events if isinstance(one, KeyPressed)]), bench.rejections) == (1, [])
    for key in ("next", "special-need", "force-open"):
        with pytest.raises(Misshapen, match="only guide, commissioner"):
            read(MqttMapOptions, options | {"keys": {word: key}})
    with pytest.raises(Misshapen, match="requests is not for it"):
        read(MqttMapOptions, options | {"requests": {word: "tax"}})
