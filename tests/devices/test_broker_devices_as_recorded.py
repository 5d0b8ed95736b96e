"""What drivers of devices at the broker tell the core and send, in scripted days, as recorded in ``dialogues/``.

Record anew, then read the diff: ``TRANSCRIPTS_UPDATE=1 pytest tests/devices/test_broker_devices_as_recorded.py``.
"""

from __future__ import annotations

import asyncio
import json
import os
import tomllib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from devices.evdev.codec import EV_KEY, EV_SYN, KEY_NAMES, InputRecord
from devices.evdev.driver import Evdev, EvdevOptions
from devices.http_counter.driver import HttpCounter, HttpCounterOptions
from devices.milesight_mqtt import driver as milesight_driver
from devices.milesight_mqtt.driver import MilesightMqtt, MilesightMqttOptions
from devices.mqtt_json.driver import MqttJson, MqttJsonOptions
from devices.mqtt_map.driver import MqttMap, MqttMapOptions
from devices.webhook.driver import Webhook, WebhookOptions
from devices.webhook.lines import line
from edged.core.model.commands import (
    Display,
    Evaluator,
    Lamp,
    Page,
    Pager,
    Panel,
    Print,
    Say,
)
from edged.driver import DeviceContext, Unreachable
from edged.links.mqtt.link import Message
from edged.shapes import read
from tests.support.dialogues import Stage, living, played

RECORDED = Path(__file__).parent / "dialogues"
Scene = Callable[[Stage], Coroutine[Any, Any, None]]


class Broker:
    """The hall's link to the broker, replaced by one that the scene controls."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.connected = True
        self.deaf = False  # nobody has subscribed
        self._handlers: dict[str, list[Callable[[Message], None]]] = {}
        self._watchers: list[Callable[[bool, str], None]] = []
        self._refusals: list[Callable[[str, str], None]] = []

    def subscribe(self, topic: str, handler: Callable[[Message], None]) -> None:
        self.stage.note(">", f"subscribe {topic}")
        self._handlers.setdefault(topic, []).append(handler)

    def unsubscribe(self, topic: str, handler: Callable[[Message], None]) -> None:
        self._handlers[topic].remove(handler)

    def on_state(self, callback: Callable[[bool, str], None]) -> Callable[[], None]:
        self._watchers.append(callback)
        return lambda: self._watchers.remove(callback)

    def on_refused(self, callback: Callable[[str, str], None]) -> Callable[[], None]:
        self._refusals.append(callback)
        return lambda: self._refusals.remove(callback)

    def publish(self, topic: str, payload: bytes, **more: Any) -> None:
        if not self.connected:
            raise Unreachable("broker: away")
        callback = more.pop("on_no_subscriber", None)
        self.stage.note(">", f"{topic} {payload.decode()} {more or ''}")
        if self.deaf and callback is not None:
            asyncio.get_running_loop().call_later(0.01, callback)

    def turn(self, up: bool) -> None:
        self.connected = up
        self.stage.note("-", f"broker {'up' if up else 'down'}")
        for callback in self._watchers:
            callback(up, "" if up else "away")

    def refuse(self, topic: str, why: str) -> None:
        self.stage.note("-", f"broker refuses {topic} {why!r}")
        for callback in self._refusals:
            callback(topic, why)

    def send(self, topic: str, payload: Any, retain: bool = False, again: bool = False) -> None:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        flags = f"{' retained' * retain}{' again' * again}"
        self.stage.note("<", f"{topic} {data.decode(errors='replace')[:120]}{flags}")

        def ack() -> None:
            self.stage.note(">", "acknowledged")

        for wanted, handlers in self._handlers.items():
            if wanted == topic or (wanted.endswith("+") and topic.startswith(wanted[:-1])):
                for handler in list(handlers):
                    handler(Message(topic, data, retain, ack, again=again))


def at(stage: Stage, device: str) -> tuple[DeviceContext, Broker]:
    broker = Broker(stage)
    return stage.context(device, broker), broker


async def http_counter(stage: Stage) -> None:
    context, broker = at(stage, "c")
    options = {"vendor": "xovis", "secret_file": "/s", "silent_s": 60.0, "swap": True}
    driver = HttpCounter(context, read(HttpCounterOptions, options))
    people, process = "hall/h/dev/c/up/people", "hall/h/counters/status"
    report = {"seq": 1, "boot": "b", "kind": "window", "in": 3, "out": 4, "line": "l"}
    async with living(driver):
        presence = next(topic for topic in broker._handlers if topic not in (people, process))
        for payload in (
            report,
            report | {"kind": "total"},
            report | {"line": "", "kind": "total"},
            report | {"in": -1},
        ):
            broker.send(people, payload)
        broker.send(people, report, retain=True)
        broker.send(people, report, again=True)
        for process_state in (
            {"up": True},
            {"up": False, "word": "no-answer", "detail": "d" * 300},
            {"up": False, "word": "odd"},
            {"up": True, "fault": "clock"},
            {"up": True, "fault": "f" * 300},
            {"up": True},
            {"up": None},
            {"up": False, "word": "access-refused", "detail": "13800138000"},
            [1],
        ):
            broker.send(presence, process_state)
        broker.send(presence, {"up": True})
        for word in (b"online", b"offline", b"offline"):
            broker.send(process, word)
        broker.send(presence, {"up": True, "fault": "x"})
        broker.send(process, b"online")
        broker.send(process, b"online")
        await asyncio.sleep(100)
        broker.send(people, report)
        for up in (False, False, True):
            broker.turn(up)
        broker.send(process, b"online")
        await asyncio.sleep(1)
        await stage.show(driver, "c", Lamp("on"))
        await stage.act(driver, "c", Say("请", "", ""))
    for broken in (True, False):
        context, broker = at(stage, "c")
        broker.connected = False
        async with living(HttpCounter(context, read(HttpCounterOptions, options))):
            broker.turn(True)
            broker.send(process, b"offline" if broken else b"online")
            await asyncio.sleep(70)


async def milesight(stage: Stage) -> None:
    def report(kind: str, *lines: tuple[str, int, int], start: str = "") -> dict[str, Any]:
        names = ("in_counted", "out_counted") if kind == "line_total_data" else ("in", "out")
        items = [{"line_uuid": uuid, names[0]: entered, names[1]: left} for uuid, entered, left in lines]
        return {kind: items, "time_info": {"start_time": start}}

    total, window, crossing = "line_total_data", "line_periodic_data", "line_trigger_data"
    for more in ({}, {"swap": True, "lines": ["a"]}):
        context, broker = at(stage, "m")
        driver = MilesightMqtt(context, read(MilesightMqttOptions, {"topic": "t", "silent_s": 120.0, **more}))
        async with living(driver):
            broker.send("t", report(window, ("a", 1, 2), ("b", 3, 4), start="10:00"))
            broker.send("t", report(window, ("a", 1, 2), start="10:00"), again=True)
            for _ in range(5):
                broker.send("t", report(window, ("a", 1, 2), start="10:00"))
            for _ in range(5):
                broker.send("t", report(window, ("a", 1, 2), start="10:30"))
            await asyncio.sleep(70)
            broker.send("t", report(window, ("a", 1, 2), start="10:00"))
            broker.send("t", report(window, ("a", 5, 6)))
            broker.send("t", report(window, ("a", 5, 6)))
            for number in range(milesight_driver.WINDOWS_MAX + 1):
                broker.send("t", report(window, ("a", number, 0), start=f"day {number}"))
            for number in (milesight_driver.WINDOWS_MAX, 2, 1, 0):
                broker.send("t", report(window, ("a", number, 0), start=f"day {number}"), again=True)
            broker.send("t", report(crossing, ("a", 1, 0)))
            broker.send("t", report(window, ("a", 7, 8), start="11:00"))
            broker.send("t", report(total, ("a", 100, 90), ("b", 7, 8)))
            broker.send("t", report(crossing, ("a", 1, 0)))
            broker.send("t", report(total, ("a", 101, 90)), retain=True)
            broker.send("t", {"x": 1})
            for number in range(40):
                broker.send("t", report(total, (f"l{number}", 1, 1)))
            await asyncio.sleep(130)
            broker.turn(False)
            broker.turn(True)
            broker.send("t", report(total, ("a", 102, 90)))
            await stage.show(driver, "m", Lamp("on"))
            await stage.act(driver, "m", Say("请", "", ""))


MODEL = """
title = "Box"
title_zh = "盒子"
source = "test"
verified = "document"
silent_s = 90
[[inputs]]
event = "key"
topic = "{topic}/key"
pointer = "/k"
values = { one = "next", two = "recall", three = "" }
channels = { two = "2" }
[[inputs]]
event = "rating"
topic = "{topic}/rate"
values = { good = "5" }
others = "ignore"
[[inputs]]
event = "count"
topic = "{topic}/count"
entered = "/in"
left = "/out"
line = "door"
[[inputs]]
event = "count"
topic = "{topic}/inside"
occupancy = "/n"
semantics = "occupancy"
[[inputs]]
event = "fault"
topic = "{topic}/fault"
values = { bad = "low battery", fine = "" }
[[inputs]]
event = "presence"
topic = "{topic}/state"
values = { on = "online", off = "offline" }
[[inputs]]
event = "presence"
topic = "{topic}/both"
pointer = "/s"
values = { on = "online", off = "offline" }
[[inputs]]
event = "key"
topic = "{topic}/both"
pointer = "/k"
values = { one = "next" }
[[inputs]]
event = "rating"
topic = "{topic}/both"
pointer = "/r"
values = { good = "5" }
[[inputs]]
event = "gateway"
topic = "gate/state"
values = { on = "online", off = "offline" }
[lamps]
topic = "{topic}/lamp/{channel}"
on = "1"
off = "0"
count = 2
[[examples]]
payload = "x"
topic = "nobody"
"""


SAID: tuple[tuple[str, Any], ...] = (
    ("x/key", {"k": "one"}),
    ("x/key", {"k": "two"}),
    ("x/key", {"k": "three"}),
    ("x/key", {"k": "four"}),
    ("x/key", {"k": "four"}),
    ("x/rate", b"good"),
    ("x/rate", b"bad"),
    ("x/count", {"in": 1, "out": 2}),
    ("x/count", {"in": -1}),
    ("x/inside", {"n": 7}),
    ("x/fault", b"bad"),
    ("x/fault", b"bad"),
    ("x/fault", b"fine"),
    ("x/fault", b"odd"),
    ("x/state", b"OFF"),
    ("x/state", b"on"),
    ("x/state", b"odd"),
    ("gate/state", b"off"),
    ("gate/state", b"off"),
    ("gate/state", b"on"),
    ("gate/state", b"on"),
)


async def mapped(stage: Stage) -> None:
    model = tomllib.loads(MODEL)
    for more in ({}, {"swap": True, "requests": {"two": "tax"}, "silent_s": 20.0}):
        context, broker = at(stage, "d")
        driver = MqttMap(context, read(MqttMapOptions, {"model": model, "topic": "x", **more}))
        async with living(driver):
            for topic, payload in SAID:
                broker.send(topic, payload)
            for both in (
                {"s": "on", "k": "one", "r": "good"},
                {"s": "odd", "k": "one"},
                {"s": "off", "k": "odd"},
                {"r": "odd"},
            ):
                broker.send("x/both", both)
            broker.send("x/key", {"k": "one"}, again=True)
            broker.send("x/key", {"k": "one"}, retain=True)
            broker.send("x/key", {"k": "four"}, retain=True)
            await asyncio.sleep(12)
            broker.send("x/key", {"k": "four"})
            stage.note("-", "what lay at the broker")
            broker.send("gate/state", b"off", retain=True)
            broker.send("x/state", b"off", retain=True)
            broker.turn(False)
            await stage.show(driver, "d/1", Lamp("on"))
            broker.turn(True)
            broker.send("gate/state", b"off", retain=True)
            broker.send("x/state", b"on", retain=True)
            broker.send("gate/state", b"on")
            broker.send("x/state", b"off", retain=True)
            broker.send("gate/state", b"off")
            broker.send("x/state", b"off", retain=True)
            broker.send("gate/state", b"on")
            broker.send("x/count", {"in": 1})
            for point, value in (
                ("d/1", Lamp("on")),
                ("d/1", Lamp("off")),
                ("d/2", Lamp("blink")),
                ("d/2", Lamp("blink")),
                ("d/1", Lamp("on")),
                ("d/3", Lamp("on")),
                ("d", Lamp("on")),
                ("d", Panel("w", "OPEN", 1)),
                ("d/1", Display(())),
            ):
                await stage.show(driver, point, value)
            await asyncio.sleep(2)
            await stage.show(driver, "d/2", Lamp("off"))
            await stage.act(driver, "d", Say("请", "", ""))
            broker.refuse("x/lamp/1", "not authorized")
            broker.refuse("x/lamp/9", "not authorized")
            broker.refuse("x/lamp/1", "")
            broker.send("x/count", {"in": 2})
            await asyncio.sleep(100)


async def json_device(stage: Stage) -> None:
    root = "hall/h/dev/j"
    context, broker = at(stage, "j")
    driver = MqttJson(context, read(MqttJsonOptions, {"kind": "dispenser"}))
    paper = Print("A012", "tax", 3, seq=7, boot="b")
    async with living(driver):
        await asyncio.sleep(31)
        broker.send(f"{root}/up/status", {"state": "online"}, retain=True)
        broker.send(f"{root}/up/status", {"state": "offline"}, retain=True)
        broker.send(f"{root}/up/status", b"", retain=True)
        calls = [asyncio.ensure_future(stage.act(driver, "j", paper))]
        await asyncio.sleep(0.1)
        for kind, payload in (
            ("request", {"seq": 7, "boot": "b", "service": "tax"}),
            ("request", {"seq": 8, "service": "tax", "odd": 1}),
            ("key", {"seq": 9, "key": "next"}),
            ("odd", {}),
            ("request", {"seq": -1}),
            ("health", {"paper": "low", "fault": "f" * 300}),
            ("done", {"id": "zz", "ok": True}),
            ("done", {"id": "a1", "ok": True}),
            ("done", {"id": "a1", "ok": True}),
        ):
            broker.send(f"{root}/up/{kind}", payload)
            await asyncio.sleep(0.01)
        broker.send(f"{root}/up/request", {"seq": 7, "boot": "b", "service": "tax"}, again=True)
        broker.send(f"{root}/up/request", {"seq": 10, "service": "tax"}, retain=True)
        for number in range(12):
            broker.send(f"{root}/up/request", {"seq": -number - 1})
        await asyncio.sleep(1.5)
        broker.send(f"{root}/up/request", {"seq": -1})
        broker.send(f"{root}/up/status", {"state": "offline"}, retain=True)
        broker.send(f"{root}/up/status", {"state": "offline"})
        await stage.act(driver, "j", paper)
        broker.send(f"{root}/up/status", {"state": "online"})
        calls.append(asyncio.ensure_future(stage.act(driver, "j", paper)))
        await asyncio.sleep(0.1)
        broker.send(f"{root}/up/done", {"id": "a1", "ok": False, "error": "no paper"})
        await asyncio.sleep(0.1)
        stage.note("-", "no answer")
        await stage.act(driver, "j", paper)
        stage.note("-", "nobody has subscribed")
        broker.deaf = True
        calls.append(asyncio.ensure_future(stage.act(driver, "j", paper)))
        await asyncio.sleep(1)
        broker.send(f"{root}/up/status", {"state": "online"}, retain=True)
        broker.deaf = False
        broker.send(f"{root}/up/status", {"state": "online"})
        await asyncio.sleep(0.1)
        broker.send(f"{root}/up/done", {"id": "a1", "ok": True})
        await asyncio.sleep(0.1)
        broker.deaf = True
        await stage.act(driver, "j", paper)
        await stage.act(driver, "j", paper)
        await asyncio.gather(*calls)
    stage.note("-", "another driver of it")
    await json_device_loses_link(stage)


async def json_device_loses_link(stage: Stage) -> None:
    root = "hall/h/dev/j"
    context, broker = at(stage, "j")
    driver = MqttJson(context, read(MqttJsonOptions, {}))
    paper, calls = Print("A012", "tax", 3, seq=7, boot="b"), []
    async with living(driver):
        stage.note("-", "a page, when the link goes")
        broker.send(f"{root}/up/status", {"state": "online"})
        for body in (Page("s-1", None, None, "请", "Please"), paper):
            calls.append(asyncio.ensure_future(stage.act(driver, "j", body)))
            await asyncio.sleep(0.1)
            broker.turn(False)
            await asyncio.sleep(0.1)
            await stage.show(driver, "j", Lamp("on"))
            broker.turn(True)
            broker.send(f"{root}/up/status", {"state": "online"})
            await asyncio.sleep(0.1)
        for topic, why in (
            (f"{root}/down/print", "not authorized"),
            ("other", "no"),
            (f"{root}/down/print", ""),
        ):
            broker.refuse(topic, why)
        await asyncio.sleep(0.1)
        await stage.show(driver, "j", Lamp("on"))
        await stage.show(driver, "j", Display(("a",)))
        await stage.show(driver, "j/1", Lamp("on"))
        await asyncio.gather(*calls)


def keys(*names: str, value: int = 1) -> bytes:
    return b"".join(InputRecord(EV_KEY, KEY_NAMES[name], value).to_bytes() for name in names)


async def keypad(stage: Stage) -> None:
    options = {"path": "/dev/input/by-id/x", "ratings": {"A": 5}}
    driver = Evdev(stage.context("k"), read(EvdevOptions, options), stage.wire)
    known = sorted(driver._keys.items())
    stage.note("-", str(known))
    async with living(driver):
        stage.wire.up()
        for data in (
            keys("KPENTER"),
            keys("1", "KP2", "3", "KPENTER"),
            keys("A"),
            keys("1", "2", "BACKSPACE", "KPSLASH"),
            keys("NUMLOCK", "ESC"),
            keys("1") + InputRecord(EV_SYN, 3, 0).to_bytes() + keys("KPENTER"),
            keys(*"1234567890123456789012345", "KPENTER"),
            keys("KPENTER", value=2),
            *(keys(*"12", name) for name in ("KPPLUS", "KPMINUS", "KPASTERISK", "KPDOT", "KPSLASH")),
        ):
            stage.wire.send(data[:5])
            stage.wire.send(data[5:])
            await asyncio.sleep(0.2)
        for pause_s in (4.9, 5.1, 9.9, 10.1):
            stage.wire.send(keys("7"))
            await asyncio.sleep(pause_s)
            stage.wire.send(keys("KPENTER"))
        stage.wire.send(keys("7"))
        stage.wire.down()
        stage.wire.up()
        stage.wire.send(keys("KPENTER"))
        for value in (Panel("w", "OPEN", 1), Evaluator("w"), Lamp("on")):
            await stage.show(driver, "k", value)
        await stage.act(driver, "k", Say("请", "", ""))
    for codes in ("appointment", "number"):
        options = {"path": "/dev/input/by-id/x", "reads": "codes", "service": "tax", "codes": codes}
        stage.wire.down()
        driver = Evdev(stage.context("k"), read(EvdevOptions, options), stage.wire)
        async with living(driver):
            stage.wire.up()
            for text in ("A012", "B-7", "A" * 21, "A" * 65, "13800138000", "1;2", "", "110105194912310027"):
                names = [{"-": "MINUS", ";": "SEMICOLON"}.get(char, char) for char in text]
                stage.wire.send(keys(*names, "ENTER"))
                await asyncio.sleep(2)
            for pause_s in (0.4, 0.6, 1.1, 2.1):
                stage.wire.send(keys("A", "1"))
                await asyncio.sleep(pause_s)
                stage.wire.send(keys("2", "ENTER"))
                await asyncio.sleep(3)


async def robot(stage: Stage) -> None:
    options = {"vendor": "wecom", "url_file": "/u", "people": {"li": "138"}, "sign": "【厅】"}
    driver = Webhook(stage.context("r"), read(WebhookOptions, options), stage.wire)
    page = Page("s-1", None, None, "请", "Please")
    async with living(driver):
        stage.wire.up()
        await stage.act(driver, "r", page)
        stage.wire.send(line(up=True, word="", detail=""))
        for answer in (
            {"ok": True, "error": None},
            {"ok": False, "error": "wecom refuses: x"},
            {"ok": False, "error": "undelivered: busy"},
            {"ok": False},
            {"ok": 1},
            None,
        ):
            call = asyncio.ensure_future(stage.act(driver, "r/li", page))
            await asyncio.sleep(0.1)
            if answer is not None:
                stage.wire.send(line(id="zz", ok=True) + line(id="a1", **answer))
                stage.wire.send(line(id="a1", ok=True))
            await call
        stage.wire.send(b"{\n\n[1]\n" + line(up=None))
        stage.wire.send(line(up=False, word="no-answer", detail="d" * 300))
        await stage.act(driver, "r", page)
        stage.wire.send(line(up=False, word="odd"))
        stage.wire.send(line(up=True))
        call = asyncio.ensure_future(stage.act(driver, "r", page))
        await asyncio.sleep(0.1)
        stage.wire.down("closed", "gone")
        await call
        await stage.show(driver, "r", Pager(1))
        await stage.show(driver, "r", Lamp("on"))
        await stage.act(driver, "r", Say("请", "", ""))
        stage.wire.up()
        stage.wire.send(b"x" * 16 * 1024 + b"xx")
        stage.wire.send(b"\n" + line(up=True))


SCENES: dict[str, Scene] = {
    "http_counter": http_counter,
    "milesight_mqtt": milesight,
    "mqtt_map": mapped,
    "mqtt_json": json_device,
    "evdev": keypad,
    "webhook": robot,
}


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_of_a_broker_device_is_as_recorded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milesight_driver, "WINDOWS_MAX", 5)
    file = RECORDED / f"{name}.txt"
    found = played(SCENES[name])
    if os.environ.get("TRANSCRIPTS_UPDATE"):
        file.write_text(found, "utf-8")
    assert found.splitlines() == file.read_text("utf-8").splitlines()
