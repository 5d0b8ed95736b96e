"""The bytes that codecs make of commands, each parameter changed alone, as written in ``sent/``.

Rewrite the files, then read the diff: ``TRANSCRIPTS_UPDATE=1 pytest tests/devices/test_commands_as_sent.py``.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from devices.candle485 import signs
from devices.candle485.options import BoardOptions
from devices.escpos import codec as escpos
from devices.evdev import codec as evdev
from devices.ff68 import codec as ff68
from devices.http_counter.codec import LineReport
from devices.ledsender2010 import codec as strip
from devices.modbus_map.codec import Contacts, MapCounter, MapNumber, Unwrapped, counted, number_pdu
from devices.modbus_relay.codec import Style, blink_value, write_for
from devices.modbus_relay.profiles import Profile
from devices.mqtt_json import codec as mqtt_json
from devices.mqtt_map.codec import (
    PLACE,
    MqttModel,
    carries_only_presence,
    lamp_channels,
    lamp_message,
    presses,
)
from devices.onbon_bx import codec as onbon
from devices.onbon_bx import pixels
from devices.voice_chip import codec as voice
from devices.webhook import vendors
from edged.core.model.commands import (
    Action,
    Display,
    Evaluator,
    Issuing,
    Lamp,
    NoNumber,
    Page,
    Pager,
    Panel,
    Print,
    Refuse,
    Say,
    Serve,
)
from edged.core.model.point import Point
from edged.driver import DeviceError
from edged.shapes import read
from tests.support.differences import difference

SENT = Path(__file__).parent / "sent"
DEVICES = Path(__file__).parents[2] / "devices"
WORDS = ("", "A", "号", "A012号到3号窗口", "é\x07[v9]\\C1", "长" * 300, "ab cd-" * 60, "😀")


def reported(made: Callable[[], Any]) -> str:
    """Return what a codec makes as text: long bytes by their beginning, length and checksum."""
    try:
        found = made()
    except (DeviceError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    if isinstance(found, bytes):
        return found.hex(" ") if len(found) <= 96 else f"{found[:40].hex(' ')} {len(found)} {crc32(found):x}"
    text = str(found)
    return text if len(text) <= 200 else f"{text[:80]}… {len(text)} {crc32(text.encode()):x}"


def varied(
    name: str, make: Callable[..., Any], usual: dict[str, Any], others: Mapping[str, Sequence[Any]]
) -> Iterator[str]:
    """List what ``make`` makes of the usual parameters, and how that changes with each other value."""
    first = reported(lambda: make(**usual))
    yield f"{name}: {first}"
    for parameter, values in others.items():
        for value in values:
            found = reported(lambda one={parameter: value}: make(**usual | one))  # type: ignore[misc]
            shown = str(value) if len(str(value)) <= 60 else f"{str(value)[:40]}… {len(str(value))}"
            yield f"  {parameter} {shown}: {difference(first, found)}"


def onbon_lines() -> Iterator[str]:
    area = onbon.ScreenArea(3, 16, 32, 64, 16, "A012号", onbon.BLANK_ON_TIMEOUT, 30, 1, 1, 1, 4, 8, 2)
    area = replace(area, speech=onbon.Speech("请", 3, 1, 9, 4))
    fields = {
        **dict.fromkeys(("id", "x", "y", "width", "height"), (0, 1, 8, 255)),
        **dict.fromkeys(("run_mode", "timeout_s", "single", "newline", "disp", "speed", "hold"), (0, 2)),
        **{
            "line_space": (0, 1),
            "text": WORDS,
            "speech": (None, onbon.Speech("请"), onbon.Speech("é", 15, 15)),
        },
    }
    for units in (False, True):
        yield from varied(
            f"area, units of 8 {units}",
            lambda units=units, **more: onbon.show([replace(area, **more)], units).data,
            {},
            fields,
        )
    yield from varied(
        "areas", lambda count: onbon.show([area] * count, False, 7).data, {"count": 1}, {"count": (0, 2)}
    )
    for name, frame in {
        "ping": onbon.ping(5),
        "on": onbon.power(True, 5),
        "off": onbon.power(False, 5),
        "clock": onbon.set_clock((2039, 12, 31, 23, 59, 48, 7), 5),
        "accepted": onbon.answer(True),
        "refused": onbon.answer(False),
        "delete": onbon.delete(7, 5),
    }.items():
        yield f"{name}: {frame.command} {frame.error} {frame.to_bytes().hex(' ')}"
    yield from varied(
        "brightness",
        lambda level: onbon.brightness(level, 5).to_bytes(),
        {"level": 7},
        {"level": (-1, 0, 15, 16)},
    )
    for text in WORDS:
        yield f"{text[:20]!r}: {onbon.text_width(text)} {reported(lambda text=text: onbon.encode_text(text))}"  # type: ignore[misc]
        for font in ("gbk", "gb2312"):
            yield f"  {font} lacks {onbon.unshown(text, font)!r}, shows {onbon.plain(text, font)[:20]!r}"
        yield f"  any font shows {onbon.plain(text, None)[:20]!r}"


def pixel_lines() -> Iterator[str]:
    area = pixels.PixelArea(1, 8, 16, 8, 2, (b"\xff\0\0" * 16, bytes(48)), 2, 30, True, (5, 6), 3, 4)
    yield from varied(
        "area",
        lambda target=9, **more: pixels.show(replace(area, **more), target).data,
        {},
        dict.fromkeys(
            ("id", "x", "y", "width", "height", "run_mode", "timeout_s", "way", "page_s"), (0, 1, 7)
        )
        | {"alone": (False,), "programs": ((), (1,)), "pages": ((), (bytes(48),)), "target": (1,)},
    )
    yield from varied("delete", lambda ids: pixels.delete(ids, 9).data, {"ids": (1,)}, {"ids": ((), (1, 2))})
    yield f"delete all: {pixels.delete_all(9).to_bytes().hex(' ')}"
    for accepted in (True, False):
        answer = pixels.answer(accepted, 7)
        yield f"answer: {answer.command} {answer.error} {answer.to_bytes().hex(' ')}"
    for width in (8, 16, 152, 160, 312, 320, 328):
        yield f"width {width}: {pixels.pages_max(width)} pages"

    def glyph(char: str) -> bytes:
        return bytes(range(16)) if char < "\x80" else bytes(range(100, 132))

    for colour in pixels.COLOUR:
        for text in ("", "A", "AB", "号", "A号", "号A", "ABC号" * 40):
            found = pixels.pictures(text, 24, colour, glyph)
            yield f"{colour} {text[:8]}: {len(found)} {[len(one) for one in found[:3]]} {crc32(b''.join(found)):x}"


def strip_lines() -> Iterator[str]:
    row = strip.TextRow(16, 16, "A012号", "green", 4)
    yield from varied(
        "row",
        lambda **more: strip.TextProgram(64, 48, (replace(row, **more),), 30, "three").to_bytes(),
        {},
        {
            **{
                "y": (0, 1, 255),
                "height": (24,),
                "text": (*WORDS, "ab", "abc", "abcd"),
                "colour": ("red", "yellow"),
            },
            "speed": (None, 0, 5),
        },
    )
    yield from varied(
        "program",
        lambda **more: replace(strip.TextProgram(64, 48, (row,), 30, "three"), **more).to_bytes(),
        {},
        {
            **{"width": (8, 256), "height": (16, 256), "rows": ((), (row, row)), "lives_s": (1, 3600)},
            "colours": ("mono", "double", "full"),
        },
    )
    yield from varied(
        "packet",
        lambda **more: strip.StripPacket(
            **dict[str, Any](command=2, serial=3, data=b"x", target=4, source=5) | more
        ).to_bytes(),
        {},
        dict.fromkeys(("command", "serial", "target", "source"), (0, 85, 170, 187))
        | {"data": (b"", b"\x55\xaa\xbb", b"\xa9\x54\xba")},
    )
    for size in (0, 1, 511, 512, 513, 1024, 1025):
        sent = strip.packets(bytes(size), 7)
        yield f"{size} bytes: {[(one.command, one.serial, len(one.data), one.target) for one in sent]}"
    for text in WORDS:
        yield (
            f"{text[:20]!r}: {strip.text_width(text, 16)} {strip.text_width(text, 24)} lacks {strip.unshown(text)!r} "
            f"shows {len(strip.plain(text))} {strip.plain(text)[:20]!r}"
        )


STATES = ("CLOSED", "OPEN", "CALLING", "SERVING", "PAUSED", "STANDBY", "ACTIVATING", "DRAINING", "COOLDOWN")


def candle_lines() -> Iterator[str]:
    for state in (*STATES, "CONSULTING", "INVITED", "NEW"):
        for number in (None, "A012", "7", "é1"):
            panel = Panel("w", state, 3, number)
            frame = signs.led(0x21, panel)
            yield (
                f"{state} {number}: {frame.to_bytes().hex()} {signs.loud(frame, panel).to_bytes().hex()} "
                f"{signs.digits(0x21, panel).to_bytes().hex()}"
            )
    for lamp in (Lamp("off"), Lamp("on"), Lamp("blink"), Pager(0), Pager(1), Pager(2)):
        yield f"{lamp}: {signs.led(0x21, lamp).to_bytes().hex()}"
    for size in (3, 4, 7):
        unit = BoardOptions(0x31, size, ">")
        for call in (
            None,
            ("A012", "3"),
            ("A012", ""),
            ("A012", "12"),
            ("AB0123456", "1"),
            ("7", "123"),
            ("7", "12345"),
        ):
            for calling in (False, True):
                yield f"{size} {call} {calling}: {signs.board(unit, Display((), call, calling))}"
        for number in ("", "7", "A012", "AB0123456", "é"):
            yield f"{size} printed {number}: {signs.printed(unit, number)}"


def caller_lines() -> Iterator[str]:
    yield from varied(
        "show",
        lambda **more: ff68.show(**{"address": 5, "waiting": None, "number": None} | more).to_bytes(),
        {},
        {
            "waiting": (0, 7, 42, 998, 999, 1000),
            "number": ("", "7", "A012", "12345", "é", "1 2", "٣"),
            "address": (1, 254),
        },
    )
    yield f"both: {ff68.show(5, 4, 'A012').to_bytes().hex()}"


def printer_lines() -> Iterator[str]:
    layout = escpos.Layout("大厅", 32, "partial")
    yield from varied(
        "ticket",
        lambda service="税务", **more: escpos.ticket(
            replace(Print("A012", "tax", 3), **more), service, layout
        ),
        {},
        {
            **{"service": ("",), "number": ("", "é", "长" * 40), "ahead": (0, 1), "about": ("case",)},
            **{"lines": (("请",), ("请" * 17,)), "lines_en": (("Please wait here until called now",),)},
            "url": ("https://x/1", "https://x/é", "h" * 200, "h" * 201),
        },
    )
    waits = {"wait_low_s": 60, "wait_high_s": 180}
    yield from varied(
        "wait",
        lambda **more: escpos.ticket(replace(Print("A012", "tax", 3), **waits | more), "", layout),
        {},
        {"wait_low_s": (None, 0, 119, 120, 180, 239), "wait_high_s": (None, 60, 119, 179)},
    )
    for cut in escpos.CUTS:
        for columns in (16, 32):
            slip = escpos.refusal(
                Refuse("tax", "closed", "今天不办，请明天再来一次", "Not today, come again tomorrow"),
                escpos.Layout("", columns, cut),
            )
            yield f"refused {cut} {columns}: {slip.hex(' ')}"
    for text in (*WORDS, "请 wait 号", "a" * 40, "ab " * 20, "1234567890 12345", "号12345678"):
        for columns in (8, 16):
            found = escpos.wrapped(text, columns)
            yield f"{text[:20]!r} in {columns}: {reported(lambda found=found: found)}"  # type: ignore[misc]
    yield from varied(
        "qr", escpos.qr, {"text": "https://x/1"}, {"text": ("a", "h" * 200, "h" * 300), "size": (1, 16)}
    )
    for byte in range(256):
        paper = f"{escpos.paper_at_once(byte)} {escpos.paper_in_turn(byte)} {escpos.cause(byte)}"
        yield f"{byte:02x}: {paper} {escpos.is_at_once(byte)} {escpos.is_in_turn(byte)}"


def voice_lines() -> Iterator[str]:
    for chip in voice.TEXT_BYTES_MAX:
        yield f"{chip} as usual: {voice.parts(chip, '号')}"
        for command, data in ((1, b""), (2, b""), (0x31, b"\0"), (1, bytes(300))):
            yield f"{chip} {command} {len(data)}: {reported(lambda a=(chip, command, data): voice.frame(*a))}"  # type: ignore[misc]
        for text in (*WORDS, "a" * 195, "a" * 196, "a" * 197, "号a" * 65, "号" * 1998, "号" * 1999):
            for slow in (False, True):
                cut = voice.parts(chip, text, slow)
                sizes, heads = [len(one) for one in cut], [one[:8] for one in cut[:3]]
                yield f"{chip} {text[:12]!r} {len(text)} {slow}: {sizes} {heads}"
            yield f"  {reported(lambda a=(chip, text): voice.speak(*a))}"  # type: ignore[misc]


def relay_lines() -> Iterator[str]:
    for file in sorted((DEVICES / "modbus_relay").glob("*.toml")):
        profile = read(Profile, tomllib.loads(file.read_text("utf-8")))
        for inverted in (False, True):
            for blink_hz in (0.25, 1.0, 5.0):
                for dead_man_s in (15, 5000):
                    style = Style(profile, inverted, blink_hz, dead_man_s)
                    sent = [
                        write_for(style, channel, state, phase).to_bytes().hex()
                        for channel in (0, 3)
                        for state in ("off", "on", "blink")
                        for phase in (True, False)
                    ]
                    way = f"{file.stem} {inverted} {blink_hz} {dead_man_s}"
                    yield f"{way}: {blink_value(style)} {' '.join(dict.fromkeys(sent))}"


def map_lines() -> Iterator[str]:
    calls = (None, ("A012", "3"), ("A1 é2", "12"), ("X", ""), ("123456789", "9"), ("~\x7f\x1f ", "3"))
    for form in ("whole", "ascii"):
        for shows in ("number", "window"):
            for width in (1, 4, 5):
                number = MapNumber(7, shows, form, width, 0xFFFF)
                sent = [number_pdu(number, Display((), call)).hex() for call in calls]
                yield f"{form} {shows} {width}: {' '.join(sent)}"
    for words in (1, 2):
        for order in ("high-first", "low-first"):
            counter = MapCounter(address=0, words=words, order=order, scale=3)
            for registers in ((), (1,), (1, 2), (1, 2, 3)):
                yield f"{words} {order} {registers}: {reported(lambda a=(counter, registers): counted(*a))}"  # type: ignore[misc]
    for words, most in ((1, 1 << 16), (2, 1 << 32)):
        for scale in (1, 3):
            counter = MapCounter(address=0, words=words, scale=scale)  # type: ignore[arg-type]
            for before in (most - most // 4, most - most // 4 + 1, most - 1, 7):
                for after in (0, 1, most // 4 - 1, most // 4, before, before + 1):
                    total = Unwrapped(counter)
                    found = [total.total(one * scale) for one in (5, before, after, after + 1)]
                    yield f"{words} x {scale}, {before} then {after}: {found}"
    contacts = Contacts(0.3)
    for closed, first, now_s in (
        ((True, False), 0, 0.0), ((True, True), 0, 0.1), ((False, False), 0, 0.2), ((True, True), 0, 0.39),
        ((False, False), 0, 0.395), ((True, True), 0, 0.4), ((True, False), 8, 0.4), ((True, True), 8, 0.5),
    ):  # fmt: skip
        yield f"{closed} from {first} at {now_s}: {contacts.pressed(closed, first, now_s)}"
    contacts.forget()
    yield f"after a loss: {contacts.pressed((True, True), 0, 9.0)}"


def mapped_lines() -> Iterator[str]:
    for file in sorted((DEVICES / "mqtt_map").glob("*.toml")):
        model = read(MqttModel, tomllib.loads(file.read_text("utf-8")))
        channels = sorted(lamp_channels(model.lamps))
        yield f"{file.stem}: {channels} {model.silent_s} {sorted(model.only_keys)}"
        if model.lamps is not None:
            for lit in (True, False):
                yield f"  {[lamp_message(model.lamps, 'x/y', channel, lit) for channel in channels[:2]]}"
        for topic in dict.fromkeys(
            one.topic.replace(PLACE, "x/y").replace("+", "z").replace("#", "a/b") for one in model.inputs
        ):
            for asked in (topic, f"{topic}/more", topic.rpartition("/")[0], topic.upper()):
                stands = carries_only_presence(model, asked, "x/y")
                yield f"  {asked}: stands {stands} presses {presses(model, asked, 'x/y')}"


def message_lines() -> Iterator[str]:
    for value in (
        Lamp("blink"), Display(("a", "号")), Display((), ("A1", "3"), True, True), Panel("w1", "OPEN", 4),
        Panel("w1", "CALLING", 4, "A012", "accept?", 60, 120, "A013"), Pager(0), Pager(3, "page"),
        Serve((("w1", ("tax", "id")), ("w2", ()))), Evaluator("w1"),
        Evaluator("w1", "A012"), Evaluator("w1", None, "c-7"),
        Issuing(), Issuing((NoNumber("tax", "closed", "不办", "closed"),)),
    ):  # fmt: skip
        topic, payload = mqtt_json.encode_level(value)
        yield f"{topic} {payload.decode()}"
    for body in (
        Say("请", "Please", "A012"), Say("请", "Please", "A012", True), Print("A012", "tax", 3),
        Print("A012", "tax", 3, 60, 90, 120, "case", "w1", ("行",), ("line",), 7, "b", "https://x"),
        Print("A012", "tax", 3, seq=0), Print("A012", "tax", 3, None, 0, None),
        Refuse("tax", "closed", "不办", "closed"),
        Page("s-1", "area", "w1", "请", "Please"), Page("s-1", None, None, "请", "Please"),
    ):  # fmt: skip
        topic, payload = mqtt_json.encode_action(Action("a1", Point("d"), body))
        yield f"{topic} {payload.decode()}"
    yield LineReport(7, "b", "total", 3, 4, "l").to_bytes().decode()
    for name, wrong in {
        "kind": ("crossing", None), "seq": (-1, 0, 2**53 - 1, 2**53, True, 1.0), "boot": ("", "b" * 40),
        "in": (-1, 2**32 - 1, 2**32, "7"), "out": (None,), "line": ("l" * 40, 7),
    }.items():  # fmt: skip
        for odd in wrong:
            fields = {"seq": 7, "boot": "b", "kind": "total", "in": 3, "out": 4, "line": "l"} | {name: odd}
            yield f"{name} {odd}: {reported(lambda fields=fields: LineReport.of(json.dumps(fields).encode()))}"  # type: ignore[misc]


def typed_lines() -> Iterator[str]:
    """Each key, alone, with Shift, and with Caps Lock, then Enter."""

    def typed(*codes: tuple[int, int]) -> str | None:
        reader, found = evdev.CodeReader(), None
        for code, value in codes:
            found = reader.take(evdev.InputRecord(evdev.EV_KEY, code, value))
        return found

    enter = (evdev.KEY_NAMES["ENTER"], 1)
    for code in range(128):
        alone = typed((code, 1), enter)
        shifted = typed((42, 1), (code, 1), (42, 0), enter)
        caps = typed((evdev.CAPS, 1), (code, 1), enter)
        yield f"{code} {evdev.NAMES.get(code)}: {alone!r} {shifted!r} {caps!r}"
    for length in (63, 64, 65):
        yield f"{length} keys: {typed(*[(30, 1)] * length, enter)!r}"
    yield f"spaces: {typed((57, 1), (30, 1), (57, 1), enter)!r} {typed((57, 1), enter)!r} {typed(enter)!r}"
    yield f"held and released: {typed((30, 1), (30, 2), (30, 0), enter)!r}"
    yield f"both Shifts, one let go: {typed((42, 1), (54, 1), (42, 0), (30, 1), enter)!r}"


def robot_lines() -> Iterator[str]:
    vendor: vendors.Vendor
    for vendor in vendors.CODES:
        for secret in (None, "s"):
            for at in ((), ("138", "139")):
                for url in ("https://x/h", "https://x/h?k=1"):
                    post = vendors.request(vendor, url, secret, "请", at, 1_700_000_000_123)
                    yield f"{vendor} {secret} {len(at)}: {post.url} {post.body.decode()}"
        for status in (199, 200, 201, 299, 300, 399, 400, 404, 428, 429, 430, 499, 500, 503):
            yield f"{vendor} HTTP {status}: {vendors.judged(vendor, status, b'{}')}"
        for answered in (0, 1, -1, "0", None, True, 0.0, *sorted(vendors.LATER[vendor])):
            for key in ("errcode", "code", "StatusCode"):
                for words in ("errmsg", "msg", "StatusMessage"):
                    body = json.dumps({key: answered, words: "w" * 120}).encode()
                    yield f"{vendor} {key} {answered} {words}: {vendors.judged(vendor, 200, body)}"
    for texts in (
        ["a"],
        ["a", "b"],
        ["号" * 700],
        ["a" * 2048],
        ["a" * 2049],
        ["a" * 2046, "b"],
        ["a" * 2047, "b"],
        ["a"] * 3,
    ):
        text, count = vendors.joined(texts)
        yield f"{[len(one) for one in texts]}: {count} {len(text.encode())} {text[-3:]!r}"


LINES: dict[str, Callable[[], Iterator[str]]] = {
    "candle485": candle_lines,
    "escpos": printer_lines,
    "evdev": typed_lines,
    "ff68": caller_lines,
    "ledsender2010": strip_lines,
    "messages": message_lines,
    "modbus_map": map_lines,
    "modbus_relay": relay_lines,
    "mqtt_map": mapped_lines,
    "onbon_bx": onbon_lines,
    "onbon_bx-pixels": pixel_lines,
    "voice_chip": voice_lines,
    "webhook": robot_lines,
}


@pytest.mark.parametrize("name", LINES)
def test_the_bytes_sent_for_commands_are_as_written(name: str) -> None:
    file = SENT / f"{name}.txt"
    found = "".join(f"{line.encode('unicode_escape').decode()}\n" for line in LINES[name]())
    if os.environ.get("TRANSCRIPTS_UPDATE"):
        file.write_text(found, "utf-8")
    assert found.splitlines() == file.read_text("utf-8").splitlines()
