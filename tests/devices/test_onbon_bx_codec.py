"""Onbon frames against frames of the vendor's own code and of unrelated programs, whole and in every kind of pieces."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.onbon_bx import codec
from devices.onbon_bx.codec import Frame, FrameReader, ScreenArea, Speech
from edged.driver import Garbled

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "onbon_frames.json").read_text("utf-8"))[
    "frames"
]
BYTES = {vector["id"]: bytes.fromhex(vector["hex"]) for vector in VECTORS}
CALL = "请A012号到3号窗口"
CALL_AREA = ScreenArea(0, 0, 0, 128, 32, CALL)
# What our builders must produce to the last bit. The others were written by programs with other habits (reply flag,
# length in the reserved bytes): they are read, below, not imitated.
BUILT: dict[str, Frame] = {
    "onbon.on": codec.power(True),
    "onbon.off": codec.power(False),
    "onbon.dyn.call.5k": codec.show([CALL_AREA], units_of_8=True),
    "onbon.dyn.call.6k": codec.show([CALL_AREA], units_of_8=False),
    "onbon.dyn.color": codec.show(
        [ScreenArea(0, 0, 0, 64, 16, "\\C20123", single=codec.MULTI_LINE, disp=2)], units_of_8=True
    ),
    "onbon.dyn.voice": codec.show(
        [
            ScreenArea(
                0, 0, 0, 64, 16, "A012", single=codec.MULTI_LINE, disp=2, speech=Speech(CALL, repeats=1)
            )
        ],
        units_of_8=True,
    ),
    "onbon.dyn.delete0": codec.delete(0),
    "onbon.time": codec.set_clock((2026, 11, 23, 9, 30, 15, 1)),
    "onbon.ping": codec.ping(1),
    "onbon.nack": codec.answer(False),
}
READ_ONLY = {"onbon.bright", "onbon.format", "onbon.time2", "onbon.dyn.noack1", "onbon.dyn.doc"}
PING = codec.ping().to_bytes()

frames = st.builds(Frame, st.binary(min_size=2, max_size=120), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
texts = st.text(alphabet=st.characters(codec="gbk", exclude_categories=["Cs"]), max_size=40)
areas = st.builds(
    ScreenArea,
    id=st.integers(0, 255),
    x=st.integers(0, 100).map(lambda n: n * 8),
    y=st.integers(0, 500),
    width=st.integers(0, 100).map(lambda n: n * 8),
    height=st.integers(0, 500),
    text=texts,
    run_mode=st.integers(0, 5),
    timeout_s=st.integers(0, 0xFFFF),
    single=st.integers(1, 2),
    newline=st.integers(1, 2),
    disp=st.integers(1, 6),
    speed=st.integers(0, 255),
    hold=st.integers(0, 255),
    line_space=st.integers(0, 255),
    speech=st.none() | st.builds(Speech, texts, st.integers(0, 15), st.integers(0, 15)),
)


def test_every_vector_names_its_source_and_is_used() -> None:
    assert all(vector["source"] for vector in VECTORS)
    assert BYTES.keys() == BUILT.keys() | READ_ONLY


@pytest.mark.parametrize("name", BUILT)
def test_built_frames_equal_the_published_bytes(name: str) -> None:
    assert BUILT[name].to_bytes().hex() == BYTES[name].hex()


@pytest.mark.parametrize("name", BYTES)
def test_published_frames_are_read_and_written_back(name: str) -> None:
    [frame] = FrameReader().feed(BYTES[name])
    assert frame.to_bytes() == BYTES[name]


@pytest.mark.parametrize("name", BYTES)
def test_published_frames_survive_pieces_garbage_and_neighbours(name: str) -> None:
    raw = BYTES[name]
    [whole] = FrameReader().feed(raw)
    one_by_one = FrameReader()
    assert [frame for byte in raw for frame in one_by_one.feed(bytes((byte,)))] == [whole]
    assert one_by_one.garbled == 0
    for garbage in (b"\x00", b"\x5a", b"\xa6", b"\x5b\x5a", b"\xa5\x01\x02", PING[:20], bytes(range(256))):
        reader = FrameReader()
        assert list(reader.feed(garbage + raw + garbage + raw)) == [whole, whole]


def test_areas_in_published_frames_are_read_as_their_sources_describe() -> None:
    def areas_of(name: str, units_of_8: bool) -> tuple[ScreenArea, ...]:
        [frame] = FrameReader().feed(BYTES[name])
        return codec.decode_areas(frame.data, units_of_8)[1]

    assert areas_of("onbon.dyn.call.5k", True) == areas_of("onbon.dyn.call.6k", False) == (CALL_AREA,)
    [voice] = areas_of("onbon.dyn.voice", True)
    assert (voice.text, voice.speech) == ("A012", Speech(CALL, repeats=1))
    [foreign] = areas_of("onbon.dyn.noack1", True)
    assert (foreign.text, foreign.id, foreign.timeout_s) == ("\\FO000TEMPER:21℃", 1, 2)
    assert (foreign.y, foreign.width, foreign.height) == (12, 512, 12)
    [document] = areas_of("onbon.dyn.doc", True)
    assert (document.text, document.width, document.height) == ("012345QRSTTV'B", 192, 32)
    [frame] = FrameReader().feed(BYTES["onbon.dyn.delete0"])
    assert codec.decode_areas(frame.data, True) == ((0,), ())


def test_checksum_is_crc16_arc() -> None:
    assert (
        codec.crc16(b"123456789") == 0xBB3D
    )  # the catalogue's check value; the Modbus variant would give 0x4B37


def test_another_programs_brightness_frame_differs_from_ours_in_reserved_bytes_only() -> None:
    [foreign] = FrameReader().feed(BYTES["onbon.bright"])
    ours = codec.brightness(12, 1)
    assert (foreign.target, foreign.command, foreign.data[5:]) == (ours.target, ours.command, ours.data[5:])


@given(frames)
def test_any_frame_is_read_back_unchanged_whatever_its_bytes(frame: Frame) -> None:
    raw = frame.to_bytes()
    assert list(FrameReader().feed(raw)) == [frame]
    assert 0xA5 not in raw[8:]
    assert raw.index(0x5A) == len(raw) - 1


@given(st.lists(areas, max_size=4), st.booleans())
def test_areas_are_read_back_unchanged_for_both_card_models(
    wanted: list[ScreenArea], units_of_8: bool
) -> None:
    frame = codec.show(wanted, units_of_8)
    assert codec.decode_areas(frame.data, units_of_8) == ((), tuple(wanted))


@given(st.binary(max_size=300), st.lists(st.integers(1, 50), max_size=8))
def test_the_frame_reader_never_raises_and_finds_the_next_frame_after_garbage(
    garbage: bytes, cuts: list[int]
) -> None:
    reader = FrameReader()
    stream = garbage + PING
    at = 0
    found: list[Any] = []
    for size in [*cuts, len(stream)]:
        found += reader.feed(stream[at : at + size])
        at += size
    assert found[-1:] == [codec.ping()]


@given(st.binary(min_size=2, max_size=80), st.booleans())
def test_hostile_area_commands_are_read_or_raise_garbled(data: bytes, units_of_8: bool) -> None:
    try:
        _, found = codec.decode_areas(bytes((*codec.AREAS, 1, 0, 0)) + data, units_of_8)
    except Garbled:
        return
    assert all(0 <= area.id <= 255 and len(area.text) <= len(data) for area in found)


@given(frames, st.data())
def test_a_flipped_bit_in_a_frame_is_always_noticed(frame: Frame, data: st.DataObject) -> None:
    raw = frame.to_bytes()
    at = data.draw(st.integers(8, len(raw) - 2))
    bit = data.draw(st.integers(0, 7))
    damaged = raw[:at] + bytes((raw[at] ^ 1 << bit,)) + raw[at + 1 :]
    assert frame not in list(FrameReader().feed(damaged))


def test_a_frame_longer_than_the_maximum_is_dropped() -> None:
    reader = FrameReader()
    assert list(reader.feed(b"\xa5" + b"\x00" * (codec.FRAME_BYTES_MAX + 10))) == []
    assert reader.garbled >= 1
    assert list(reader.feed(PING)) == [codec.ping()]


def test_text_is_cut_at_a_whole_character_and_control_tags_in_it_are_removed() -> None:
    encoded = codec.encode_text("a" + "请" * 400)
    assert len(encoded) == 511
    assert encoded.decode("gbk") == "a" + "请" * 255
    assert codec.encode_text("§é😀") == "§é?".encode("gbk", "replace")
    assert codec.plain("\\C1红\n\x00A") == "/C1红  A"
    assert codec.text_width("请A012号") == 64


@pytest.mark.parametrize("level", [-1, 16])
def test_brightness_outside_the_scale_is_an_error(level: int) -> None:
    with pytest.raises(ValueError, match="0 to 15"):
        codec.brightness(level)


def test_replacing_the_text_changes_nothing_else() -> None:
    other = codec.show([replace(CALL_AREA, text="B001")], units_of_8=False)
    [area] = codec.decode_areas(other.data, units_of_8=False)[1]
    assert area == replace(CALL_AREA, text="B001")


def test_the_highest_brightness_is_fifteen() -> None:
    assert codec.brightness(15).data[-1] == 15
    for level in (-1, 16):
        with pytest.raises(ValueError, match="not 0 to 15"):
            codec.brightness(level)


def test_a_character_beyond_ascii_counts_as_two_columns_wide() -> None:
    assert codec.text_width("a\x7f") == 16
    assert codec.text_width("\x80") == 16


def test_the_answers_of_a_card_end_in_zero_bytes() -> None:
    assert codec.answer(True).data == bytes((*codec.ACK, 0, 0, 0))
    assert codec.answer(False).data == bytes((*codec.NACK, 0, 0, 0))


def test_every_byte_outside_a_frame_is_counted_once() -> None:
    reader = FrameReader()
    assert list(reader.feed(b"\x01\x02")) == []
    assert reader.garbled == 2
    list(reader.feed(b"\xa5\x01\xa5"))  # one that never ended
    assert reader.garbled == 3
    list(reader.feed(b"\x01\xa6\x07"))  # an escape that is none
    assert reader.garbled == 4
