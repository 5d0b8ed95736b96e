"""The rows of the test of every device: what is done to each, and what it must show then.

Each new driver needs a row (``tests/sim/test_every_device.py`` checks that). ``family`` is the row's group of devices,
a key of ``FAMILIES``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from devices.mqtt_json.fake import FakeDispenser, FakeOutput, FakePanel
from edged.sim.every_device.far_ends import FarEnds

FAMILIES = {
    "json": "devices that speak this product's own JSON",
    "bus": "panels, boards and a kiosk on a Candle RS-485 bus",
    "led": "LED bars",
    "mqtt": "devices with words of their own on MQTT, by description",
    "modbus": "relay boards, contacts, towers and numeric displays on Modbus, by description",
    "ff68": "RS-485 callers and evaluators",
    "bridge": "an existing queue system, followed",
    "robot": "pages as messages of a group robot",
    "counter": "people counters on MQTT",
    "http": "people counters over HTTP",
    "voice": "voice modules",
    "printer": "ticket printers",
    "input": "USB keypads and scanners",
    "radio": "433 MHz buttons",
}
WORDS = {  # captured messages of devices with a protocol of their own
    "kiosk": ("zigbee2mqtt/kiosk", '{"action":"1_single","linkquality":120}'),
    "zigbee": ("zigbee2mqtt/button-1", '{"action":"single","battery":100,"linkquality":120}'),
    "esphome": ("desk-8/binary_sensor/button/state", "ON"),
    "radio": (
        "tele/rf-bridge/RESULT",
        '{"RfReceived":{"Sync":9440,"Low":320,"High":900,"Data":"D00358","RfKey":"None"}}',
    ),
    "door-lora": (
        "application/7c2f/device/24e124fffe000001/event/up",
        '{"fCnt":112,"fPort":85,"object":{"line_1_total_in":142,"line_1_total_out":97}}',
    ),
    "door-axis": ("axis/door", '{"serial":"020000000001","name":"door","in":12,"out":8}'),
}
Touch = Callable[[FarEnds], Awaitable[None] | None]
NUMBER = r"A\d{3}"
FIGURES = r"^(?!0+$)\d{1,3}$"  # the number as a numeric display shows it
LAMP = "on|blink"
WALK_S = 0.2  # real seconds between a clerk's looks at their panel
WALKS = 100


@dataclass(frozen=True, slots=True)
class DeviceClass:
    """A row of the test: one device, or one of its channels (``point``).

    ``touch``: what a person does at the device, None for an output. Done ``times`` times, it must cause at least
    ``inputs`` events of ``kind``. ``shows``: returns what the device shows, None for an input; it must match the
    regular expression ``expects``. ``refusal``: the reason with which the core must refuse the input, None if it must
    accept it.
    """

    point: str
    family: str
    touch: Touch | None = None
    kind: str = "key"
    times: int = 1
    inputs: int = 1
    shows: Callable[[FarEnds], str] | None = None
    expects: str = NUMBER
    refusal: str | None = None


def _publishes(device: str) -> Touch:
    topic, payload = WORDS[device]
    return lambda far: far.fleet.publish(topic, payload.encode())


async def _wait_shown(shown: Callable[[], object]) -> None:
    """Wait until ``shown()``, what a device shows, is not empty. After ``WALKS`` tries give up without an error,
    because the check at the end reports it.
    """
    for _ in range(WALKS):
        if shown():
            return
        await asyncio.sleep(WALK_S)


async def _serve_somebody(far: FarEnds) -> None:
    """Let the clerk of window 7 call a visitor, who comes and leaves."""
    panel = far.json["panel-w7"]
    assert isinstance(panel, FakePanel)
    panel.press("next")
    await _wait_shown(lambda: panel.number)
    panel.press("arrive")
    panel.press("finish")


async def _call_by_caller(far: FarEnds) -> None:
    """Let the clerk of window 3 call a visitor with a caller (呼叫器), then finish, which asks the visitor for a
    rating.
    """
    far.callers.press("w3", "next")
    await _wait_shown(lambda: far.callers.shown["w3"].strip("-"))
    far.callers.press("w3", "finish")
    await _wait_shown(lambda: far.callers.acknowledged["w3"] > 1)


async def _staff_comes(far: FarEnds) -> None:
    """Let a member of staff come to window 9, the "+1" window, once the hall has asked for one, and open it by
    calling.
    """
    panel = far.json["panel-w9"]
    assert isinstance(panel, FakePanel)
    await _wait_shown(lambda: panel.shown.get("panel", {}).get("state") == "ACTIVATING")
    panel.press("next")


def _json_shows(device: str, kind: str) -> Callable[[FarEnds], str]:
    def shown(far: FarEnds) -> str:
        found: dict[str, Any] = far.json[device].shown.get(kind, {})
        return " ".join(str(one) for one in found.values() if one)

    return shown


def _lit(device: str, channel: int) -> Callable[[FarEnds], str]:
    return lambda far: far.relays[device].seen(channel)


def _paged(device: str) -> Callable[[FarEnds], str]:
    return lambda far: "; ".join(
        fields["text"] for kind, fields in far.json[device].actions if kind == "page"
    )


def _dispense(far: FarEnds) -> None:
    dispenser = far.json["dispenser"]
    assert isinstance(dispenser, FakeDispenser)
    dispenser.request("tax-general")


def _dispensed(far: FarEnds) -> str:
    dispenser = far.json["dispenser"]
    assert isinstance(dispenser, FakeDispenser)
    return " ".join(one["number"] for one in dispenser.printed)


def _rate(far: FarEnds) -> None:
    stars = far.json["stars-w7"]
    assert isinstance(stars, FakePanel)
    stars.rate(5)


def _screen_text(far: FarEnds) -> str:
    screen = far.json["screen"]
    assert isinstance(screen, FakeOutput)
    return " ".join(screen.lines)


def _break_beam(far: FarEnds) -> None:
    """Let a visitor come in through the light beam: close the contact of the light barrier."""
    far.modules["contacts"].closed.add(14)


def _hold_button(far: FarEnds) -> None:
    """Let the clerk of window 2 press the button "next-or-recall" (a contact) and not release it."""
    far.modules["contacts"].closed.add(0)


def _pass_dahua(far: FarEnds) -> None:
    far.dahua.passed(4, 1)


def _figures(far: FarEnds) -> str:
    return str(far.modules["digits"].registers.get(0, "") or "")


async def _post(far: FarEnds) -> None:
    far.hikvision.passed(3, 1)
    await far.posted()


def _report(far: FarEnds) -> None:
    far.milesight.passed(5, 2)
    far.fleet.publish("milesight/door/report", far.milesight.periodic())


def _queue(far: FarEnds) -> None:
    """Let the other queue system, which the hall follows, issue a number and call it."""
    number = f"A{len(far.theirs.tickets) + 1:03d}"
    far.theirs.tickets.append({"id": len(far.theirs.tickets) + 1, "no": number, "business": "0101"})
    far.theirs.calls.append({"id": len(far.theirs.calls) + 1, "no": number, "window": "1"})


# In this order: numbers are given first, so that there is somebody to call and the tide opens window 9.
CLASSES = (
    DeviceClass("dispenser", "json", _dispense, "ticket", 4, 4, shows=_dispensed),
    DeviceClass("kiosk/1", "mqtt", _publishes("kiosk"), "ticket", 4, 4),
    DeviceClass("thermal", "printer", shows=lambda far: " ".join(far.printer.tickets)),
    DeviceClass("bus/button-1", "bus", lambda far: far.bus.press_button(1), "ticket", 6, 6),
    DeviceClass(
        *("scanner", "input", lambda far: far.inputs["scanner"].scan("Q7K2M9"), "ticket"),
        refusal="unknown_appointment",
    ),
    DeviceClass("robot", "robot", shows=lambda far: "; ".join(far.robot.texts), expects="9号窗口"),
    DeviceClass(
        "panel-w9", "json", _staff_comes, shows=_json_shows("panel-w9", "panel"), expects="CALLING|SERVING"
    ),
    DeviceClass("door-milesight", "counter", _report, "count"),
    DeviceClass("door-lora", "mqtt", _publishes("door-lora"), "count"),
    DeviceClass("door-axis", "mqtt", _publishes("door-axis"), "count"),
    DeviceClass("door-hikvision", "http", _post, "count"),
    DeviceClass("door-dahua", "http", _pass_dahua, "count"),
    DeviceClass("contacts", "modbus", _break_beam, "count"),
    DeviceClass("zigbee", "mqtt", _publishes("zigbee")),
    DeviceClass("digits/display", "modbus", shows=_figures, expects=FIGURES),
    DeviceClass("contacts/w2", "modbus", _hold_button),
    DeviceClass(
        *("callers/w3", "ff68", _call_by_caller),
        inputs=2,
        shows=lambda far: far.callers.shown["w3"].strip("-"),
        expects=FIGURES,
    ),
    DeviceClass("callers/w3", "ff68", lambda far: far.callers.rate("w3", 3), "rating"),
    DeviceClass("keypad", "input", lambda far: far.inputs["keypad"].press("KPENTER")),
    DeviceClass("bus/w6", "bus", lambda far: far.bus.press("w6", "next-or-recall")),
    DeviceClass("bus/board-w6", "bus", shows=lambda far: far.bus.text("board-w6")),
    DeviceClass("esphome", "mqtt", _publishes("esphome")),
    DeviceClass(
        "panel-w7", "json", _serve_somebody, inputs=3, shows=_json_shows("panel-w7", "panel"), expects="OPEN"
    ),
    DeviceClass("stars-w7", "json", _rate, "rating"),
    DeviceClass("radio", "radio", _publishes("radio")),
    DeviceClass("pager-he", "json", shows=_paged("pager-he"), expects="5号窗口"),
    DeviceClass("pager-duty", "json", shows=_json_shows("pager-duty", "pager"), expects=r"\d号窗口"),
    DeviceClass("relay/0", "modbus", shows=_lit("relay", 0), expects=LAMP),
    DeviceClass("relay/1", "modbus", shows=_lit("relay", 1), expects=LAMP),
    DeviceClass("tower/2", "modbus", shows=_lit("tower", 2), expects=LAMP),
    DeviceClass("konnad/0", "modbus", shows=_lit("konnad", 0), expects=LAMP),
    DeviceClass("tasmota/1", "mqtt", shows=lambda far: "on" if far.tasmota.lit[0] else "off", expects=LAMP),
    DeviceClass("led-bar", "led", shows=lambda far: " ".join(far.bar.shown), expects=r"A\d{3}→\d号窗口"),
    DeviceClass(
        *("led-strip", "led"),
        shows=lambda far: " ".join(far.strip.card.shown),
        expects=r"A\d{3}→\d号窗口",
    ),
    DeviceClass("screen", "json", shows=_screen_text, expects=r"A\d{3}→\d号窗口"),
    DeviceClass(
        "voice", "voice", shows=lambda far: " ".join(far.voice.spoken), expects=r"请A\d{3}号到\d号窗口"
    ),
    DeviceClass(
        *("queue", "bridge", _queue, "ticket"), shows=lambda far: str(far.followed_panel.number or "")
    ),
)
