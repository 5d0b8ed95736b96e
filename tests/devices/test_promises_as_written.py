"""What each driver's options mean for the hall, and which are refused, as written in ``sent/promises.txt``.

Deadlines, pauses, channels, roles, sizes, services and topics stand there, each option changed alone.

Rewrite the file, then read the diff: ``TRANSCRIPTS_UPDATE=1 pytest tests/devices/test_promises_as_written.py``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devices import REGISTRY
from devices.candle485.echo import HELD_MAX, Echo
from devices.webhook import sender
from devices.webhook.lines import LINE_BYTES_MAX, LineReader
from devices.webhook.sender import Outlet, Wanted
from edged.driver import DeviceContext, Options
from edged.shapes import Misshapen, read
from tests.devices.test_losses import DRIVERS
from tests.support.differences import difference

SENT = Path(__file__).parent / "sent"
URL = "tcp://h"
CANDLE: dict[str, Any] = {
    "path": "/p",
    "panels": {"p1": {"address": 0x21, "digits": True}, "p2": {"address": 0x22}},
    "boards": {"b": {"address": 0x31}},
    "buttons": {1: "tax"},
}
BOX: dict[str, Any] = {
    "title": "Box",
    "title_zh": "盒子",
    "source": "s",
    "verified": "document",
    "examples": [{"answer": "020100", "inputs_on": []}],
}
KEYS: dict[str, Any] = BOX | {
    "examples": [{"payload": "x"}],
    "inputs": [{"event": "key", "values": {"one": "next", "two": "recall"}, "channels": {"two": "2"}}],
}
COUNT = {"event": "count", "entered": "/in"}
LAMPS = {"topic": "{topic}/{channel}", "on": "1", "off": "0"}
RELAY = BOX | {"channels": 4, "examples": [{"channel": 0, "level": "on", "sends": "050000ff00"}]}
# By driver: its usual options, and what is changed in each of the other cases.
CASES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "candle485": (
        CANDLE,
        [
            *(
                {"baudrate": 19200},
                {"bus_pause_ms": 20},
                {"bus_pause_ms": 1000},
                {"buttons": {}},
                {"panels": {}},
            ),
            *(
                {"boards": {"b": {"address": 0x21}}},
                {"boards": {"p1": {"address": 0x41}}},
                {"kiosk_board": "x"},
            ),
            *({"panels": {"p": {"address": address}}} for address in (0x1F, 0x20, 0xFE, 0xFF)),
            *({"boards": {"b": {"address": address}}} for address in (0x7F, 0x80)),
            *({"buttons": {number: "tax"}} for number in (0, 31, 32)),
        ],
    ),
    "escpos": (
        {"path": "/p"},
        [{"host": "h"}, {"path": None, "host": "h"}, {"path": None}, {"names": {"tax": "税"}}],
    ),
    "evdev": (
        {"path": "/dev/input/by-id/x"},
        [
            *(
                {"path": "/dev/input/event3"},
                {"path": "x"},
                {"ratings": {"A": 5}},
                {"ratings": {"A": 6}},
                {"keys": {"QQ": "next"}},
            ),
            *({"keys": {"A": "next"}, "ratings": {"A": 5}}, {"reads": "codes"}, {"service": "tax"}),
            {"reads": "codes", "service": "tax"},
        ],
    ),
    "ff68": (
        {"path": "/p", "callers": {"w1": 1, "w2": 2}},
        [
            *({"baudrate": 4800}, {"bus_pause_ms": 1000}, {"callers": {f"w{n}": n for n in range(1, 65)}}),
            *(
                {"callers": {"a": 7, "b": 7}},
                {"callers": {"a": 0}},
                {"callers": {"a": 254}},
                {"callers": {"a": 255}},
            ),
            *({"ratings": {0: 5}}, {"ratings": {10: 5}}, {"ratings": {0: 6}}),
        ],
    ),
    "http_counter": (
        {"vendor": "xovis", "secret_file": "/s"},
        [
            *({"vendor": vendor} for vendor in ("hikvision", "dahua", "axis", "terabee")),
            *(
                {"vendor": "axis", "url": "http://h"},
                {"counts": "crossing"},
                {"url": "ftp://h"},
                {"username": "a:b"},
            ),
        ],
    ),
    "ledsender2010": (
        {"host": "h"},
        [
            *(
                {"font_px": 24, "height": 24},
                {"font_px": 24},
                {"height": 128},
                {"height": 144},
                {"width": 256},
            ),
            *({"dead_man_s": 6}, {"deadline_ms": 50}, {"deadline_ms": 2000}, {"host": "a b"}, {"height": 24}),
        ],
    ),
    "milesight_mqtt": (
        {"topic": "t/+"},
        [{"topic": "t/#/x"}, {"silent_s": 59.0}, {"topic": "hall/h/dev/x/up/y"}],
    ),
    "modbus_map": (
        {"url": URL, "model": BOX | {"contacts": {"count": 3}}, "panels": {"p": {"next": 0}}},
        [
            *(
                {"panels": {"p": {"next": 2}}},
                {"panels": {"p": {"next": 3}}},
                {"panels": {"p": {"next": 0, "recall": 0}}},
            ),
            *(
                {"beams": {"entered": 1}},
                {"beams": {"entered": 0}},
                {"unit": 9},
                {"deadline_ms": 2000},
                {"url": "x"},
            ),
            *(
                {"model": BOX | {"display": {}}},
                {"model": BOX | {"display": {}}, "panels": {}},
                {"model": BOX, "panels": {}},
            ),
            {"model": BOX | {"counters": {"in": {"address": 0}}}, "panels": {}},
        ],
    ),
    "modbus_relay": (
        {"url": URL},
        [
            *(
                {"profile": "waveshare"},
                {"profile": "tower"},
                {"profile": "nobody"},
                {"channels": 9},
                {"channels": 1000},
            ),
            *(
                {"unit": 0},
                {"unit": 0, "url": "rtu:///dev/x"},
                {"unit": 7},
                {"deadline_ms": 2000},
                {"url": "rtu:///dev/x?parity=E"},
            ),
            *(
                {"profile": RELAY | {"blinks": [[rate, value]]}}
                for rate in (0.04, 0.05, 20.0, 20.1)
                for value in (0, 65535)
            ),
            *({"profile": RELAY | {"blinks": [[1.0, value]]}} for value in (-1, 65536)),
            *(
                {"profile": RELAY | {"write": "register"}},
                {"profile": RELAY | {"write": "register", "reads": False}},
            ),
            {"profile": RELAY | {"write": "register", "reads": False, "pulse_off": 1}},
        ],
    ),
    "mqtt_json": (
        {},
        [
            *(
                {"kind": kind}
                for kind in (
                    "panel",
                    "pager",
                    "dispenser",
                    "counter",
                    "queue",
                    "lamp",
                    "display",
                    "evaluator",
                )
            ),
            *({"rows": 4}, {"columns": 4}, {"rows": 4, "columns": 16}, {"kind": "odd"}),
        ],
    ),
    "mqtt_map": (
        {"model": KEYS, "topic": "x"},
        [
            *(
                {"topic": "a/+"},
                {"keys": {"three": "finish"}},
                {"requests": {"one": "tax"}},
                {"silent_s": 9.0},
                {"model": BOX},
            ),
            *(
                {"model": KEYS | {"only_keys": ["next"]}, "keys": {"a": key, "b": "next"}}
                for key in ("next", "recall")
            ),
            {"model": KEYS | {"only_keys": ["next"]}, "keys": {"a": "recall", "b": "finish", "c": "arrive"}},
            {"model": KEYS | {"only_keys": ["next"]}, "requests": {"a": "tax"}},
            {"model": KEYS | {"inputs": [COUNT]}},
            {"model": KEYS | {"inputs": [COUNT]}, "keys": {"a": "next"}},
            *(
                {"model": KEYS | {"lamps": LAMPS | {"first": first, "count": count}}}
                for first in (0, 1)
                for count in (0, 2)
            ),
            {"model": KEYS | {"inputs": [{"event": "rating", "values": {"a": "5"}}]}},
            *(
                {"model": KEYS | {"inputs": [{"event": "rating", "values": {"a": level}}]}}
                for level in ("0", "6", "")
            ),
            *(
                {"model": KEYS | {"inputs": [one]}}
                for one in ({"event": "key"}, COUNT | {"values": {"a": "next"}})
            ),
            *(
                {"model": KEYS | {"inputs": [COUNT | {"semantics": "occupancy"}]}},
                {"model": KEYS | {"inputs": [{"event": "count"}]}},
            ),
            {"model": KEYS | {"inputs": [{"event": "presence", "values": {"a": "online", "b": "away"}}]}},
            {"model": KEYS | {"inputs": [{"event": "fault", "values": {"a": "x"}, "entered": "/in"}]}},
            {"model": KEYS | {"inputs": [{"event": "key", "values": {"a": "next"}, "topic": "a/#/b"}]}},
            {"model": KEYS | {"lamps": LAMPS | {"topic": "a/+"}}},
        ],
    ),
    "onbon_bx": (
        {"host": "h"},
        [
            *(
                {"path": "/p"},
                {"host": None, "path": "/p"},
                {"host": None, "path": "/p", "baudrate": 9600},
                {"voice": True},
            ),
            *(
                {"model": "6q"},
                {"model": "6q", "voice": True},
                {"model": "6q", "brightness": 5},
                {"height": 128},
                {"height": 144},
            ),
            *({"model": "6q", "width": width} for width in (160, 168, 320, 328)),
            *(
                {"model": "6q", "path": "/p", "host": None},
                {"dead_man_s": 6},
                {"deadline_ms": 10_000},
                {"width": 20},
                {"font": "gb2312"},
            ),
        ],
    ),
    "sms": (
        {"people": {"li": "+8613800138000"}},
        [{"people": {}}, {"people": {"li": "x"}}, {"sockets": "/x"}],
    ),
    "voice_chip": ({"path": "/p"}, [{"chip": "xfs5152"}, {"baudrate": 115200}, {"deadline_ms": 2001}]),
    "webhook": (
        {"vendor": "wecom", "url_file": "/u"},
        [{"people": {"li": "138"}}, {"people": {"Li": "138"}}, {"people": {"li": "a b"}}, {"sign": "x" * 41}],
    ),
}


def properties_of(name: str, options: dict[str, Any]) -> str:
    """Return what a driver derives from these options, as text."""
    driver = DRIVERS[name]
    try:
        made = read(driver.OPTIONS, {key: value for key, value in options.items() if value is not None})
    except Misshapen as error:
        return f"refused: {error}"
    context = DeviceContext("d", "h", lambda *_: True, lambda *_: None, asyncio.sleep, lambda: 0.0, None)
    live = driver(context, made)
    return f"{live.deadline_s:.4f} {live.reassert_s:.4f} {live.pace_s} {meaning(made)}"


def meaning(options: Options) -> str:
    channels = sorted(options.point_channels())
    roles = {channel: sorted(options.point_roles(channel) or ["any"]) for channel in channels}
    sizes = {channel: options.display_size(channel) for channel in channels}
    properties = {
        "roles": roles if len(channels) < 12 else f"{len(channels)} channels",
        "sizes": {channel: tuple(vars_of(size)) for channel, size in sizes.items() if size is not None},
        "reports": sorted(options.reports()),
        "services": sorted(options.service_ids()),
        "topics": options.topics("h", "d"),
        "speaker": options.speaker("d"),
        "wire": options.shared_wire(),
        "unshown": options.unshown("A号é龘😀"),
    }
    return " ".join(f"{key} {value}" for key, value in properties.items())


def vars_of(size: Any) -> Iterator[Any]:
    yield from (size.rows, size.columns, size.scrolls, size.font)


def lines() -> Iterator[str]:
    for name, (usual, others) in CASES.items():
        promised = properties_of(name, usual)
        yield f"{name} {usual}: {promised}"
        for change in others:
            found = properties_of(name, usual | change)
            if not found.startswith("refused"):
                found = difference(promised, found)
            yield f"  {str(change)[-150:]}: {found}"


async def test_the_properties_following_from_driver_options_are_as_written() -> None:
    assert CASES.keys() == REGISTRY.keys()
    file = SENT / "promises.txt"
    found = "".join(f"{line}\n" for line in lines())
    if os.environ.get("TRANSCRIPTS_UPDATE"):
        file.write_text(found, "utf-8")
    assert found.splitlines() == file.read_text("utf-8").splitlines()


def test_the_echo_filter_holds_bytes_up_to_its_limit() -> None:
    for size, given_up in ((HELD_MAX, False), (HELD_MAX + 1, True)):
        echo = Echo(sure=False)
        assert echo.sent(b"\x01\x02\x03") == b""
        assert len(echo.feed(bytes(size))) == size * given_up
        assert (echo.due, echo.missed, echo.damaged) == (not given_up, int(given_up), 0)


def test_lines_of_the_helper_socket_are_limited_and_counted_exactly() -> None:
    reader = LineReader()
    assert reader.garbled == 0
    assert reader.feed(b'{"a":1}\n\n {"b":') == [{"a": 1}]
    assert reader.feed(b"2}\nx\n[1]\n") == [{"b": 2}]
    assert reader.garbled == 2
    assert reader.feed(b" " * LINE_BYTES_MAX) == []
    assert reader.garbled == 2
    assert reader.feed(b" ") == []
    assert reader.garbled == 3
    assert reader.feed(b'{"c":3}\n') == [{"c": 3}]


class RecordingOutlet(Outlet):
    """An outlet that keeps the pages it is given."""

    def __init__(self) -> None:
        super().__init__("robot")
        self.wanted: list[Wanted] = []

    def want(self, wanted: Wanted) -> None:
        self.wanted.append(wanted)

    async def run(self) -> None:
        """No-op."""


def test_a_line_from_the_daemon_is_a_page_only_with_three_texts() -> None:
    outlet = RecordingOutlet()
    answers: list[dict[str, object]] = []
    wrong: tuple[object, ...] = (None, 1, [], True)
    assert outlet.sent == 0
    whole = {"id": "a", "text": "t", "at": "138"}
    for key in whole:
        for odd in wrong:
            sender._take(outlet, whole | {key: odd}, lambda **fields: answers.append(fields))
        sender._take(outlet, {name: one for name, one in whole.items() if name != key}, lambda **_: None)
    assert outlet.wanted == []
    sender._take(outlet, whole, lambda **fields: answers.append(fields))
    [page] = outlet.wanted
    page.answer(None)
    page.answer("no")
    assert (page.text, page.at) == ("t", "138")
    assert answers == [{"id": "a", "ok": True, "error": None}, {"id": "a", "ok": False, "error": "no"}]
