"""What each codec makes of golden frames that are cut short, or have one byte changed, as written in ``changed/``.

A check of a length, a bound or a field that is missing, or one too many, shows there as another line. Frames with a
checksum are changed before it is added, because otherwise the checksum would hide every other check.

Rewrite the files, then read the diff: ``TRANSCRIPTS_UPDATE=1 pytest tests/devices/test_changed_frames.py``.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest

from devices.candle485.codec import Parser
from devices.escpos import codec as escpos
from devices.evdev import codec as evdev
from devices.ff68.codec import HEAD, MIDDLE, CallerParser
from devices.ledsender2010 import codec as strip
from devices.modbus_relay.codec import decode_answer, decode_request
from devices.onbon_bx import codec as onbon
from devices.onbon_bx import pixels
from devices.voice_chip import codec as voice
from edged.driver import Garbled
from edged.links.framing import FrameCutter
from edged.links.modbus.frames import RequestReader, rtu_frame
from tests.support.differences import difference

CHANGED = Path(__file__).parent / "changed"
VECTORS = Path(__file__).parents[1] / "vectors"
FrameT = TypeVar("FrameT")


class Codec(NamedTuple):
    """``frames``: golden frames by name, without checksum. ``read``: returns how the codec reads one, as text."""

    frames: dict[str, bytes]
    read: Callable[[bytes], str]


def frames_of(family: str) -> dict[str, bytes]:
    listed = json.loads((VECTORS / f"{family}_frames.json").read_text("utf-8"))["frames"]
    return {one["id"]: bytes.fromhex(one["hex"]) for one in listed}


def parsed(cutter: FrameCutter[FrameT], data: bytes) -> str:
    found = cutter.feed(data)
    return f"{' '.join(map(str, found))} noise {cutter.noise} holding {cutter.holding}"


def ff68(body: bytes) -> str:
    framed = HEAD + bytes((len(body) & 0xFF, len(body) & 0xFF, MIDDLE)) + body
    cutter = CallerParser()
    found = cutter.feed(framed + bytes((sum(body) & 0xFF, 0x16)))
    return " ".join(
        f"{one} press {one.is_press} key {one.key} answered {one.acknowledgement.function}" for one in found
    )


def onbon_body(frame: bytes) -> bytes:
    """Header and data, unescaped, without the checksum."""
    inside = frame[8:-1]
    for (first, second), byte in onbon.UNESCAPES.items():
        inside = inside.replace(bytes((first, second)), b"\0\0ESC" + bytes((byte,)))
    return inside.replace(b"\0\0ESC", b"")[:-2]


def bar(body: bytes) -> str:
    reader = onbon.FrameReader()
    found = []
    for one in reader.feed(onbon.wrap(body)):
        found.append(f"{one.command} error {one.error} from {one.source} to {one.target}")
        if one.command == onbon.AREAS:
            deleted, areas = onbon.decode_areas(one.data, units_of_8=False)
            found.append(f"deleted {len(deleted)} {areas}")
    return f"{' '.join(found)} garbled {reader.garbled}"


def bar_wire(data: bytes) -> str:
    """Read a frame followed by a good one; return the frames found and how many bytes were garbled."""
    reader = onbon.FrameReader()
    found = list(reader.feed(data + onbon.ping(1).to_bytes()))
    return f"{' '.join(one.data.hex() for one in found)} garbled {reader.garbled}"


def picture(body: bytes) -> str:
    reader = onbon.FrameReader(pixels.opened, pixels.PICTURE_BYTES_MAX * 2)
    found = []
    for one in reader.feed(onbon.wrap(body)):
        found.append(f"{one.command} error {one.error} from {one.source} to {one.target}")
        if one.command == pixels.SHOW_AREA:
            area = pixels.decode_area(one.data)
            found.append(f"{len(area.pages)} pages {replace(area, pages=())}")
    return f"{' '.join(found)} garbled {reader.garbled}"


def datagram(data: bytes) -> str:
    return f"{strip.parse(data)} means {'; '.join(strip.describe(data))}"


def inside(body: bytes) -> str:
    """Wrap a packet's body for an LED card, escaped as on the wire; return how the codec reads and describes it."""
    escaped = b"".join(bytes((strip.FILL, b + 1) if b in strip.ESCAPED else (b,)) for b in body + b"\0\0")
    data = bytes((strip.HEAD,)) + escaped + bytes((strip.TAIL,))
    return f"{strip.answer_of(strip.parse(data))} {'; '.join(strip.describe(data))}"


def module(pdu: bytes) -> str:
    found = []
    for name, decode in (("request", decode_request), ("answer", decode_answer)):
        try:
            found.append(f"{name} {decode(pdu)}")
        except Garbled as error:
            found.append(str(error))
    return "; ".join(found)


def requests(pdu: bytes) -> str:
    """Read a request followed by a good one; return the requests found and how many bytes were dropped."""
    reader = RequestReader()
    frames = reader.feed(rtu_frame(7, pdu) + rtu_frame(9, b"\x01\0\0\0\x08"))
    return f"{' '.join(f'{unit}:{one.hex()}' for unit, one in frames)} dropped {reader.dropped}"


# One frame of each shape; the rest of the vectors has the same.
BAR = ("onbon.on", "onbon.dyn.delete0", "onbon.nack", "onbon.bright", "onbon.format")
FF68 = (
    "ff68.ticket",
    "ff68.beep",
    "ff68.ask",
    "ff68.key.05.0c",
    "ff68.key.05.060f",
    "ff68.key.05.01020c",
    "ff68.rate.05.1",
)
STRIP = ("ledsender.power.on", "ledsender.bright.5", "ledsender.call.end", "ledsender.rx.data.wanted")
MODULE = (
    "ws.on0",
    "ws.read8",
    "ws.read32.rsp",
    "ws.write8",
    "ws.write32off",
    "ws.version",
    "lc.all.rsp",
    "tower.r.on",
)
ASKED = ("ws.on0", "ws.write32off")
VOICE = (
    "syn6288.stop",
    "syn6288.call",
    "syn6288.vol11",
    "xfs.call",
    "xfs.status",
    "syn6288.rx.ok",
    "syn6288.rx.idle",
)
TYPED = b"".join(
    evdev.InputRecord(*one).to_bytes() for one in ((1, 42, 1), (1, 30, 1), (1, 30, 2), (1, 30, 0), (0, 3, 0))
)
PROGRAM = strip.TextProgram(
    64, 32, (strip.TextRow(0, 16, "A012号"), strip.TextRow(16, 16, "Please", "green", 4)), 30, "three"
).to_bytes()
NO_TEXT = strip.TextProgram(8, 24, (strip.TextRow(0, 24, "", "yellow"),), 1, "full").to_bytes()
AREAS = onbon.show(
    [
        onbon.ScreenArea(3, 8, 16, 64, 16, "A012号", speech=onbon.Speech("请", 3, 1, 9, 4)),
        onbon.ScreenArea(4, 0, 32, 64, 16, "B7", 2, 30, 1, 2, 3, 4, 5, 6),
    ],
    units_of_8=False,
)
SILENT = onbon.encode_area(onbon.ScreenArea(4, 0, 32, 64, 16, "B7"), units_of_8=False)
LOUD_AREA = SILENT[:14] + b"\x01\x13\x09\x04" + SILENT[15:]  # sound mode 1: no text of its own
LOUD = onbon.Frame(bytes((*onbon.AREAS, 1, 0, 0, 0, 1, len(LOUD_AREA), 0)) + LOUD_AREA)
SMALL = pixels.show(pixels.PixelArea(1, 8, 0, 8, 2, (b"\xff\0\0" * 16,) * 2, 2, 30, False, (5,), 3, 4))
REPORTED = {
    f"two registers {word:#x}": struct.pack(">BBHH", 3, 4, word, word ^ 0xFFFF) for word in (0, 0x1234)
}
CODECS: dict[str, Codec] = {
    "candle485": Codec(frames_of("candle"), lambda data: parsed(Parser(), data)),
    "ff68": Codec(
        {name: one for name, one in frames_of("ff68").items() if name in FF68},
        lambda data: parsed(CallerParser(), data),
    ),
    "ff68-summed": Codec({name: one[5:-2] for name, one in frames_of("ff68").items() if name in FF68}, ff68),
    "onbon": Codec(
        {name: onbon_body(one) for name, one in frames_of("onbon").items() if name in BAR}
        | {"areas": onbon_body(AREAS.to_bytes()), "speaks what it shows": onbon_body(LOUD.to_bytes())}
        | {f"{size} bytes": onbon_body(onbon.Frame(bytes(size)).to_bytes()) for size in range(4)},
        bar,
    ),
    "onbon-wire": Codec(
        {"with escapes": onbon.Frame(b"\xa3\x00\xa5\xa6\x5a\x5b").to_bytes()},
        bar_wire,
    ),
    "onbon-pixels": Codec(
        {
            name: onbon_body(one)
            for name, one in (frames_of("onbon_pixel") | {"area": SMALL.to_bytes()}).items()
            if name in ("onbon.6q.deleteall", "onbon.6q.nack7", "area")
        },
        picture,
    ),
    "ledsender2010": Codec(
        {name: one for name, one in frames_of("ledsender").items() if name in STRIP}, datagram
    ),
    "ledsender2010-inside": Codec({"answer": bytes((3, 0, 1, 2, 4, 0, 0, 0, 2, 0, 1, 0))}, inside),
    "ledsender2010-program": Codec(
        {"program": PROGRAM, "no text": NO_TEXT}, lambda data: str(strip.decode_program(data))
    ),
    "voice_chip": Codec(
        {name: one for name, one in frames_of("voice").items() if name in VOICE},
        lambda data: "; ".join(voice.describe(data)),
    ),
    "escpos": Codec(
        {name: one for name, one in frames_of("escpos").items() if len(one) < 12},
        lambda data: "; ".join(escpos.describe(data)),
    ),
    "evdev": Codec({"Shift and A": TYPED}, lambda data: "; ".join(evdev.describe(data))),
    "modbus_relay": Codec(
        {name: one[1:-2] for name, one in frames_of("modbus").items() if name in MODULE} | REPORTED, module
    ),
    "modbus-requests": Codec(
        {name: one[1:-2] for name, one in frames_of("modbus").items() if name in ASKED}, requests
    ),
}


def made(codec: Codec, data: bytes) -> str:
    try:
        return codec.read(data)
    except Garbled as error:
        return f"refused: {str(error).partition(':')[0]}"  # what struct says is not ours


def lines(codec: Codec) -> Iterator[str]:
    """Read every golden frame, its beginnings, and itself with one byte changed; equal results share a line."""
    for name, frame in codec.frames.items():
        usual = made(codec, frame)
        yield f"{name} {frame[:40].hex()}: {usual}"
        before = ""
        for length in range(1, len(frame)):
            found = difference(usual, made(codec, frame[:length]))
            if found != before:
                yield f"  first {length}: {found}"
            before = found
        yield f"  and a zero: {difference(usual, made(codec, frame + bytes(1)))}"
        last: list[str] = []
        for place, byte in enumerate(frame):
            by_finding: dict[str, list[str]] = {}
            for other in sorted({0, byte - 1, byte + 1, byte ^ 0x80, 0xFF} - {byte, -1, 256}):
                found = difference(usual, made(codec, frame[:place] + bytes((other,)) + frame[place + 1 :]))
                by_finding.setdefault(found, []).append(f"{other:02x}")
            if len(by_finding) > 1 or list(by_finding) != last:
                for found, others in by_finding.items():
                    which = f"is {' '.join(others)}" if len(by_finding) > 1 else "is another"
                    yield f"  {place} {which}: {found}"
            last = list(by_finding)


@pytest.mark.parametrize("name", CODECS)
def test_the_meaning_of_every_changed_frame_is_as_written(name: str) -> None:
    file = CHANGED / f"{name}.txt"
    found = "".join(f"{line.encode('unicode_escape').decode()}\n" for line in lines(CODECS[name]))
    if os.environ.get("TRANSCRIPTS_UPDATE"):
        file.write_text(found, "utf-8")
    assert found.splitlines() == file.read_text("utf-8").splitlines()
