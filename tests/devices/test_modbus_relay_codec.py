"""Relay frames against published examples, byte by byte, and the writes that lamp levels turn into."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from devices.modbus_relay.codec import (
    Bits,
    Message,
    Read,
    Refusal,
    Style,
    Write,
    WriteMany,
    decode_answer,
    decode_request,
    write_for,
)
from devices.modbus_relay.driver import RelayOptions
from devices.modbus_relay.profiles import profile_of
from edged.driver import Garbled, SharedWire
from edged.links.modbus import pdus
from edged.links.modbus.frames import RequestReader, crc16, open_rtu_frame, rtu_frame, tcp_frame
from edged.links.modbus.wire import parse_url
from edged.shapes import read

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "modbus_frames.json").read_text("utf-8"))[
    "frames"
]
IDS = [vector["id"] for vector in VECTORS]


def message_of(vector: dict[str, Any]) -> Message:
    [(kind, fields)] = vector["message"].items()
    if kind == "bits":
        return Bits(fields[0], bytes.fromhex(fields[1]))
    if kind == "write_many":
        return WriteMany(fields[0], fields[1], bytes.fromhex(fields[2]))
    return Read(*fields) if kind == "read" else Write(*fields)


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_published_frame_is_encoded_byte_for_byte(vector: dict[str, Any]) -> None:
    assert rtu_frame(vector["unit"], message_of(vector).to_bytes()).hex() == vector["hex"]


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_published_frame_is_decoded(vector: dict[str, Any]) -> None:
    unit, pdu = open_rtu_frame(bytes.fromhex(vector["hex"]))
    decode = decode_answer if ".rsp" in vector["id"] else decode_request
    assert (unit, decode(pdu)) == (vector["unit"], message_of(vector))


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_a_flipped_bit_anywhere_in_a_frame_is_detected(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["hex"])
    for bit in range(len(frame) * 8):
        broken = bytearray(frame)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Garbled):
            open_rtu_frame(bytes(broken))


@pytest.mark.parametrize(
    ("frame", "profile", "channel", "state", "options"),
    [
        ("ws.off0", "waveshare", 0, "off", {}),
        ("ws.flashon1", "waveshare", 1, "on", {"dead_man_s": 0.8}),
        ("ws.on2", "plain", 2, "on", {}),
        ("ws.off1", "plain", 1, "off", {}),
        ("ws.on7", "plain", 7, "off", {"inverted": True}),
        ("lc.on0", "lc-tech", 0, "on", {}),
        ("lc.off0", "lc-tech", 0, "off", {}),
        ("adam4068.on0", "adam4068", 0, "on", {}),
        ("tower.r.on", "tower", 0, "on", {}),
        ("tower.r.2hz", "tower", 0, "blink", {"blink_hz": 2.4}),
        ("tower.r.0.5hz", "tower", 0, "blink", {"blink_hz": 0.5}),
        ("tower.r.0.25hz", "tower", 0, "blink", {"blink_hz": 0.2}),
        ("tower.y.1hz", "tower", 1, "blink", {}),
    ],
)
def test_a_lamp_level_is_sent_as_the_published_frame(
    frame: str, profile: str, channel: int, state: str, options: dict[str, Any]
) -> None:
    vector = VECTORS[IDS.index(frame)]
    write = write_for(Style(profile_of(profile), **options), channel, state)  # type: ignore[arg-type]
    assert rtu_frame(profile_of(profile).unit, write.to_bytes()).hex() == vector["hex"]


def test_a_waveshare_lamp_is_lit_for_thirty_seconds_and_a_blink_for_half_its_period() -> None:
    style = Style(profile_of("waveshare"))
    assert write_for(style, 3, "on") == Write(5, 0x0203, 300)
    assert write_for(style, 3, "blink") == Write(5, 0x0203, 5)
    assert write_for(style, 3, "blink", lit_phase=False) == Write(5, 0x0003, 0)
    assert write_for(Style(profile_of("waveshare"), inverted=True), 3, "on") == Write(5, 0x0403, 300)
    assert write_for(Style(profile_of("waveshare"), inverted=True), 3, "off") == Write(5, 0x0003, 0xFF00)


@given(value=st.integers(0, 0xFFFF), address=st.integers(0, 0xFFFF), unit=st.integers(1, 247))
def test_requests_sent_through_pymodbus_have_the_bytes_of_our_messages(
    value: int, address: int, unit: int
) -> None:
    """A raw coil value, too: pymodbus itself knows only on and off."""
    assert pdus.set_coil(address, value) == Write(5, address, value).to_bytes()
    assert pdus.ask_coils(address, 8) == Read(1, address, 8).to_bytes()
    assert pdus.ask_registers(address, 2) == Read(3, address, 2).to_bytes()
    pdu = pdus.set_coil(address, value)
    decoder = DecodePDU(is_server=False)
    assert rtu_frame(unit, pdu) == FramerRTU(decoder).encode(pdu, unit, 0), "pymodbus frames it the same"
    assert tcp_frame(value, unit, pdu) == FramerSocket(decoder).encode(pdu, unit, value)


@given(levels=st.lists(st.booleans(), min_size=1, max_size=40))
def test_answers_read_through_pymodbus_equal_our_messages(levels: list[bool]) -> None:
    packed = sum(level << place for place, level in enumerate(levels)).to_bytes(
        -(-len(levels) // 8), "little"
    )
    assert pdus.coils(Bits(1, packed).to_bytes(), len(levels)) == tuple(levels)
    assert pdus.registers(b"\x03\x04\x12\x34\x56\x78") == (0x1234, 0x5678)


@given(data=st.binary(max_size=64))
def test_checksum_agrees_with_pymodbus(data: bytes) -> None:
    assert crc16(data).to_bytes(2, "little") == FramerRTU.compute_CRC(data).to_bytes(2, "big")


@pytest.mark.parametrize("decode", [decode_request, decode_answer])
@given(pdu=st.binary(max_size=40))
def test_any_bytes_are_a_message_with_the_same_bytes_or_raise_garbled(
    decode: Callable[[bytes], Message], pdu: bytes
) -> None:
    try:
        message = decode(pdu)
    except Garbled:
        return
    assert message.to_bytes() == pdu


@given(
    st.lists(st.sampled_from([v for v in VECTORS if v["direction"] == "host>device"]), max_size=6), st.data()
)
def test_reader_finds_every_request_however_the_stream_is_cut(
    vectors: list[dict[str, Any]], data: st.DataObject
) -> None:
    vectors = [vector for vector in vectors if ".rsp" not in vector["id"]]
    stream = b"".join(bytes.fromhex(vector["hex"]) for vector in vectors)
    reader, found = RequestReader(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert found == [open_rtu_frame(bytes.fromhex(vector["hex"])) for vector in vectors]


def test_reader_resynchronises_after_noise() -> None:
    reader = RequestReader()
    frame = rtu_frame(1, Write(5, 0, 0xFF00).to_bytes())
    assert reader.feed(b"\x00\x55\xaa" + frame + frame) == [open_rtu_frame(frame)] * 2
    assert reader.dropped == 3


@pytest.mark.parametrize("code", range(1, 12))
def test_exception_answers_keep_their_code(code: int) -> None:
    assert decode_answer(Refusal(5, code).to_bytes()) == Refusal(5, code)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"url": "tcp://h", "profile": "waveshar"}, "waveshare"),
        ({"url": "serial:/dev/x"}, "rtu:///dev/"),
        ({"url": "rtu:///dev/x?baudrate=9601"}, "9600"),
        ({"url": "rtu:///dev/x?parity=X"}, "N, E, O"),
        ({"url": "rtu:///dev/x?speed=9600"}, "speed"),
        ({"url": "tcp://h", "profile": "tower", "channels": 5}, "4 channels"),
        ({"url": "rtu+tcp://h", "unit": 0}, "unit 0 is the broadcast address"),
        ({"url": "tcp://h", "colour": "red"}, "colour"),
    ],
)
def test_wrong_relay_options_are_refused_with_the_right_values(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read(RelayOptions, options)


@pytest.mark.parametrize("bad", [{"reads": True}, {"pulse_on": 1}, {"pulse_off": 1}])
def test_a_register_profile_reads_nothing_back_and_has_no_pulses(bad: dict[str, Any]) -> None:
    good = profile_of("register-0100-0200")
    assert (good.write, good.reads) == ("register", False)
    with pytest.raises(ValueError, match="those are of coils"):
        structs.replace(good, **bad)


def test_an_answer_without_a_byte_has_no_function() -> None:
    with pytest.raises(Garbled, match="function 0, 0 bytes"):
        decode_answer(b"")


@pytest.mark.parametrize(
    ("profile", "unit", "found"), [("juying-dam", None, 254), ("juying-dam", 3, 3), ("waveshare", None, 1)]
)
def test_modules_on_one_wire_are_distinguished_by_their_unit_number(
    profile: str, unit: int | None, found: int
) -> None:
    options = RelayOptions(url="rtu:///dev/ttyUSB0", profile=profile, unit=unit)
    assert options.shared_wire() == SharedWire("/dev/ttyUSB0", parse_url(options.url).settings, found)
