"""The fuzz targets: each passes bytes to one function of the program that reads foreign data.

``python -m tests.fuzz`` runs them under atheris. The corpora in ``corpus/`` begin with correct frames, and keep each
input that broke a target. A target suppresses the errors that the function may raise by its contract. Any other
exception, and a failed assertion, is a fault: the fuzzer then keeps the bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from devices.candle485.codec import Parser
from devices.escpos import codec as escpos
from devices.evdev import codec as evdev
from devices.ff68.codec import RATED, CallerParser
from devices.http_counter import codec as http_counter
from devices.ledsender2010 import codec as ledsender
from devices.milesight_mqtt import codec as milesight
from devices.modbus_map import codec as modbus_map
from devices.modbus_map.codec import MapModel
from devices.modbus_relay import codec as modbus
from devices.modbus_relay.profiles import Profile
from devices.mqtt_json import codec as mqtt_json
from devices.mqtt_json.codec import Unfit
from devices.mqtt_map.codec import MqttModel, findings
from devices.onbon_bx import codec as onbon
from devices.onbon_bx import pixels as onbon_pixels
from devices.voice_chip import codec as voice_chip
from devices.webhook import vendors as robots
from devices.webhook.lines import LineReader
from edged.bridge.messages import BridgeProgress, Oddities, take, take_whole
from edged.bridge.settings import BridgeSettings
from edged.central import envelope, policies
from edged.central.audience import HighestVersion, Trusted
from edged.central.refusals import DocumentRefused
from edged.config import ConfigErrors, load
from edged.core.model.commands import Display
from edged.core.model.point import Point
from edged.descriptions import Description, described, names, parsed, table
from edged.driver import DeviceError
from edged.links.modbus import frames as modbus_frames
from edged.links.modbus import pdus
from edged.shapes import read
from edged.store import codec as journal
from tests.support.policies import AUDIENCE, KEY, KEYS, NOW_MS, document

VENDORS: tuple[http_counter.Vendor, ...] = get_args(http_counter.Vendor)
ROBOTS: tuple[robots.Vendor, ...] = get_args(robots.Vendor)
ONCE_MAX = 4096  # bytes of one input; a function has its own limit, which its tests try
SIGNED = hashlib.sha256(json.dumps(document()).encode()).hexdigest()  # the one document of the corpus
DESCRIPTION = Path(tempfile.gettempdir()) / f"edged-fuzz-description-{os.getpid()}.toml"
MQTT_MODELS, MODBUS_MODELS = names("mqtt_map"), names("modbus_map")
BRIDGED = read(
    BridgeSettings,
    {
        "queue": "queue-1",
        "url_file": "url",
        "tickets": {"view": "t", "key": "id", "number": "no", "service": "biz"},
        "calls": {"view": "c", "key": "id", "number": "no", "window": "win"},
        "waiting": {"view": "t", "number": "no", "service": "biz", "order": "id"},
        "services": {"0101": "tax-general"},
        "windows": {"3": "w3"},
    },
)
HALL = Path(tempfile.gettempdir()) / "edged-fuzz-hall.toml"


def device_json(data: bytes) -> None:
    """Decode a payload of ``dev/{device}/up/{kind}``; the first byte chooses the kind. Both ways to decode it must
    agree.
    """
    kinds = (*mqtt_json.MODELS, "nothing")
    kind = kinds[data[0] % len(kinds)] if data else "nothing"
    with contextlib.suppress(Unfit):
        decoded = mqtt_json.decode(kind, data[1:])
        assert decoded == mqtt_json.by_parts(kind, data[1:]), "the two ways to read a payload differ"
        for count in ("total", "window", "occupancy", None):
            with contextlib.suppress(Unfit):
                mqtt_json.to_event(Point("device-1"), decoded.body, count)


def candle_frames(data: bytes) -> None:
    """Decode bytes of an RS-485 bus of call panels. Each frame must encode to the bytes that were read, and the same
    bytes in two chunks must give the same frames.
    """
    whole, halves = Parser(), Parser()
    frames = whole.feed(data)
    middle = len(data) // 2
    again = halves.feed(data[:middle]) + halves.feed(data[middle:])
    assert frames == again, f"{frames} whole, {again} in two halves"
    for frame in frames:
        assert frame.to_bytes() in data, f"{frame} is not what was sent"
    whole.gap()


def ff68_frames(data: bytes) -> None:
    """Decode bytes of a bus of FF 68 callers. Each frame must encode to the bytes that were read, and the same bytes in
    two chunks must give the same frames.
    """
    whole, halves = CallerParser(), CallerParser()
    frames = whole.feed(data)
    middle = len(data) // 2
    assert frames == halves.feed(data[:middle]) + halves.feed(data[middle:])
    for frame in frames:
        assert frame.to_bytes() in data
        assert frame.key is None or (frame.is_press and frame.function != RATED)


def onbon_frames(data: bytes) -> None:
    """Decode bytes of an Onbon LED controller, of either series."""
    for found in onbon.FrameReader(onbon_pixels.opened).feed(data):
        with contextlib.suppress(DeviceError):
            onbon_pixels.decode_area(found.data)
    reader = onbon.FrameReader()
    for frame in reader.feed(data):
        assert next(iter(onbon.FrameReader().feed(frame.to_bytes()))) == frame
        for units_of_8 in (True, False):
            with contextlib.suppress(DeviceError, ValueError):
                onbon.decode_areas(frame.data, units_of_8)


def strip_datagrams(data: bytes) -> None:
    """Decode a datagram of an LED strip's controller card, and a program (its stored text) read from it."""
    with contextlib.suppress(DeviceError):
        packet = ledsender.parse(data)
        assert ledsender.parse(packet.to_bytes()) == packet
        ledsender.answer_of(packet)
    with contextlib.suppress(DeviceError):
        assert len(ledsender.decode_program(data).rows) <= len(data)


def input_records(data: bytes) -> None:
    """Decode input records of a keypad or scanner. Two chunks must give the same records, and a scanned code has a
    maximum length.
    """
    whole, halves, codes = evdev.InputReader(), evdev.InputReader(), evdev.CodeReader()
    records, middle = whole.feed(data), len(data) // 2
    assert records == halves.feed(data[:middle]) + halves.feed(data[middle:])
    evdev.pressed(records)
    for record in records:
        assert len(codes.take(record) or "") <= evdev.CODE_MAX


def printer_answers(data: bytes) -> None:
    """Decode status bytes of a ticket printer. Each byte is one answer or noise; an answer about paper gives one of the
    values of ``escpos.Paper``.
    """
    for byte in data:
        if escpos.is_at_once(byte):
            assert escpos.paper_at_once(byte) in get_args(escpos.Paper)
            assert escpos.cause(byte)
        elif escpos.is_in_turn(byte):
            assert escpos.paper_in_turn(byte) in get_args(escpos.Paper)
    assert len(escpos.describe(data)) <= max(1, len(data))


def robot_answers(data: bytes) -> None:
    """Judge the answer of a group robot's server, and read lines from the socket between `edged pager` and the
    daemon.
    """
    for vendor in ROBOTS:
        for status in (200, 302, 404, 503):
            verdict, detail = robots.judged(vendor, status, data)
            assert verdict != "sent" or (status == 200 and b"0" in data)
            assert len(detail) < 200
    whole, halves = LineReader(), LineReader()
    middle = len(data) // 2
    assert whole.feed(data) == halves.feed(data[:middle]) + halves.feed(data[middle:])


def voice_answers(data: bytes) -> None:
    """Describe bytes from a voice module, and split a text to speak into frames. Each frame must fit the module, and no
    text may contain a command to it.
    """
    assert len(voice_chip.describe(data)) <= max(1, len(data))
    text = data.decode("utf-8", "replace")
    for chip in get_args(voice_chip.Chip):
        spoken = voice_chip.parts(chip, text)
        for part in spoken:
            assert voice_chip.describe(voice_chip.speak(chip, part))[0].startswith("speak ")
            assert part.count("[") == 1, "somebody's text may not command the module"


def described_words(data: bytes) -> None:
    """Decode an MQTT payload for every device description: only events that the description lists may come out, with
    counts of 0 or more.
    """
    for name in MQTT_MODELS:
        model = described("mqtt_map", name, MqttModel)
        for topic in {one.topic.replace("{topic}", "x").replace("+", "x") for one in model.inputs}:
            with contextlib.suppress(DeviceError):
                for one in findings(model, topic, data, "x"):
                    assert one.event in {found.event for found in model.inputs}
                    assert min(one.entered, one.left, one.occupancy) >= 0


def module_registers(data: bytes) -> None:
    """Decode a Modbus module's answers about contacts and counters, and encode a call for a module with a display."""
    closed, contacts = [byte & 1 == 1 for byte in data], modbus_map.Contacts(0.3)
    assert contacts.pressed(closed, 0, 0.0) == [], "closed at first was not pressed"
    pressed = contacts.pressed([not one for one in closed], 0, 1.0)
    assert pressed == [place for place, one in enumerate(closed) if not one]
    for asked in (pdus.ask_coils(0, 8), pdus.ask_inputs(0, 16), pdus.ask_registers(0, 2)):
        if data[:1] == asked[:1] and modbus_frames.fits(asked, data):
            assert (pdus.registers(data), pdus.coils(data, 16)) != ((), ())
    for name in MODBUS_MODELS:
        model = described("modbus_map", name, MapModel)
        words = [int.from_bytes(data[place : place + 2], "big") for place in range(0, len(data), 2)]
        for counter in (model.counters or {}).values():
            with contextlib.suppress(DeviceError):
                assert modbus_map.counted(counter, words) >= 0
        if model.display is not None:
            shown = Display((), (data[:8].decode("utf-8", "replace"), data[8:].decode("utf-8", "replace")))
            assert len(modbus_map.number_pdu(model.display, shown)) < 256


def description_files(data: bytes) -> None:
    """Read a site's own device description. A wrong one must raise ``ValueError``, never an exception of a library; of
    a valid one, the examples are checked.
    """
    DESCRIPTION.write_bytes(data)
    kinds: tuple[type[Description], ...] = (Profile, MapModel, MqttModel)
    for kind in kinds:
        with contextlib.suppress(ValueError):
            model = parsed(table(DESCRIPTION), kind)
            assert all(isinstance(line, str) for line in model.wrong_examples())


def queue_rows(data: bytes) -> None:
    """Convert rows of another queue system. Whatever they contain, the messages made from them must be valid for the
    daemon.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return
    rows = [row for row in (found if isinstance(found, list) else [found]) if isinstance(row, dict)]
    progress, odd = BridgeProgress("b1"), Oddities()
    take(progress, "tickets", rows, BRIDGED, odd)
    take(progress, "calls", rows, BRIDGED, odd)
    take_whole(progress, "waiting", rows, BRIDGED, odd)
    for kind, payload in progress.pending:
        mqtt_json.to_event(Point("queue-1"), mqtt_json.decode(kind, payload.encode()).body, None)
    assert BridgeProgress.from_json(progress.to_json()) == progress


def milesight_report(data: bytes) -> None:
    """Decode a report of a Milesight people counter."""
    with contextlib.suppress(DeviceError):
        for line in milesight.decode(data):
            assert line.start == line.start.strip("\0")


def http_reports(data: bytes) -> None:
    """Decode a people counter's report over HTTP, and the report that is then sent through the broker."""
    for vendor in VENDORS:
        with contextlib.suppress(DeviceError):
            for one in http_counter.decode(vendor, data):
                assert 0 <= one.entered <= http_counter.COUNT_MAX
                assert len(one.line) <= http_counter.LINE_CHARS_MAX
    with contextlib.suppress(DeviceError):
        report = http_counter.LineReport.of(data)
        assert http_counter.LineReport.of(report.to_bytes()) == report


def modbus_pdus(data: bytes) -> None:
    """Decode a relay module's answers, and requests that another master may send on the line."""
    for decode in (modbus.decode_answer, modbus.decode_request):
        with contextlib.suppress(DeviceError):
            message = decode(data)
            assert decode(message.to_bytes()) == message
    for _unit, pdu in modbus_frames.RequestReader().feed(data):
        assert pdu in data


def modbus_answers(data: bytes) -> None:
    """Search bytes on a Modbus line for the answer to a request: only an answer to that very request may be
    accepted.
    """
    for pdu in (b"\x01\x00\x00\x00\x08", b"\x05\x00\x03\xff\x00", b"\x03\x00\x10\x00\x02"):
        sent = modbus_frames.rtu_frame(3, pdu)
        answer = modbus_frames.find_rtu_answer(sent, data)
        assert answer in data
        assert not answer or answer[0] == 3
        over_tcp = modbus_frames.tcp_frame(7, 3, pdu)
        found = modbus_frames.find_tcp_answer(over_tcp, data)
        assert not found or found[:2] == over_tcp[:2]
        modbus_frames.only_older(over_tcp, data)


def signed_envelope(data: bytes) -> None:
    """Check a message as if it had come on ``policy/push``: without a signature by a trusted key it must be refused."""
    with contextlib.suppress(DocumentRefused):
        accepted = policies.accept(data, Trusted(KEYS), AUDIENCE, HighestVersion(), NOW_MS)
        assert accepted.sha256 == SIGNED, "a policy was accepted that nobody signed"


def signed_policy(data: bytes) -> None:
    """Check a policy with any content and a good signature: it must be accepted or refused with reasons."""
    with contextlib.suppress(DocumentRefused):
        raw = envelope.sign(data, policies.PAYLOAD_TYPE, KEY)
        policies.accept(raw, Trusted(KEYS), AUDIENCE, HighestVersion(), NOW_MS)


def hall_toml(data: bytes) -> None:
    """Read a hall.toml. Every mistake must be a line that begins with the file's name, never an exception of a
    library.
    """
    HALL.write_bytes(data)
    lines: Sequence[str] = (str(HALL),)
    try:
        load(HALL)
    except ConfigErrors as errors:
        lines = errors.lines
    assert lines
    assert all(line.startswith(str(HALL)) for line in lines), lines


def journal_rows(data: bytes) -> None:
    """Decode a row of a damaged journal; the first byte chooses the kind of event."""
    kinds = (*journal.EVENTS, "Nothing")
    kind = kinds[data[0] % len(kinds)] if data else "Nothing"
    for decode in (lambda: journal.decode_event(kind, data[1:]), lambda: journal.decode_commands(data[1:])):
        with contextlib.suppress(journal.CodecError):
            decode()


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        device_json,
        candle_frames,
        ff68_frames,
        onbon_frames,
        strip_datagrams,
        milesight_report,
        voice_answers,
        described_words,
        module_registers,
        description_files,
        queue_rows,
        http_reports,
        input_records,
        printer_answers,
        robot_answers,
        modbus_pdus,
        modbus_answers,
        signed_envelope,
        signed_policy,
        hall_toml,
        journal_rows,
    )
}
