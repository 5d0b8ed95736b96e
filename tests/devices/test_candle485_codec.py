"""Candle frames against public vectors, and against everything that a line without checksums does to them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.candle485.codec import (
    ADDRESS_MIN,
    BUTTON_MAX,
    BUTTON_MIN,
    CHARACTERS,
    CODE_MAX,
    CODE_MIN,
    FRAME_MAX,
    KEYS,
    LED_GREEN,
    LED_GREEN_FAST,
    Brightness,
    Frame,
    Parser,
    Readdress,
    Scan,
    Signal,
    Text,
)
from devices.candle485.echo import HELD_MAX, Echo

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "candle_frames.json").read_text("utf-8"))[
    "frames"
]
MEANING: dict[str, Frame] = {
    "candle.board.invite": Text(0x21, 0x21, "A045-98"),
    "candle.board.work": Text(0x21, 0x20, "A045-98"),
    "candle.board.partial": Text(0x21, 0x20, "A13"),
    "candle.board.partial2": Text(0x21, 0x20, "A135<72"),
    "candle.board.bright": Brightness(0x21, 0x20),
    "candle.panel.key1": Signal(0x21, 0x31),
    "candle.panel.key2": Signal(0x21, 0x32),
    "candle.panel.key4": Signal(0x21, 0x34),
    "candle.panel.led.green": Signal(0x21, LED_GREEN),
    "candle.panel.led.alert": Signal(0x21, LED_GREEN_FAST + 7),
    "candle.panel.text": Text(0x21, 0x21, "A12"),
    "candle.scan": Scan(0x21),
    "candle.kiosk.button3": Signal(0x20, 3),
}
BYTES = {vector["id"]: bytes.fromhex(vector["hex"]) for vector in VECTORS}
KEY = Signal(0x22, 0x31)

addresses = st.integers(ADDRESS_MIN, 0x7F)
texts = st.text(alphabet=[chr(c) for c in sorted(CHARACTERS)], min_size=1, max_size=7)
frames = st.one_of(
    st.builds(Signal, addresses, st.integers(CODE_MIN, CODE_MAX) | st.integers(BUTTON_MIN, BUTTON_MAX)),
    st.builds(Text, addresses, st.integers(0x20, 0x7F), texts),
    st.builds(Brightness, addresses, st.integers(0x20, 0x23)),
    st.builds(Readdress, addresses, addresses),
    st.builds(Scan, addresses),
)


def test_every_published_frame_has_a_listed_meaning() -> None:
    assert BYTES.keys() == MEANING.keys()


@pytest.mark.parametrize("name", BYTES)
def test_published_frames_are_written_and_read_byte_for_byte(name: str) -> None:
    assert MEANING[name].to_bytes() == BYTES[name]
    assert Parser().feed(BYTES[name]) == [MEANING[name]]


def test_frames_arriving_one_byte_at_a_time_are_read() -> None:
    parser = Parser()
    stream = b"".join(BYTES.values())
    found = [frame for byte in stream for frame in parser.feed(bytes((byte,)))]
    assert found == list(MEANING.values())
    assert parser.noise == 0
    assert not parser.holding


@pytest.mark.parametrize(
    "garbage", [b"\x00", b"\x01", b"\xff\x07", b"\x01\x21", b"\x01\x21\x31", b"\x02\x21\x20", b"A" * 40]
)
def test_frames_between_garbage_are_read_and_the_garbage_is_counted(garbage: bytes) -> None:
    parser = Parser()
    assert parser.feed(garbage + KEY.to_bytes() + garbage + KEY.to_bytes()) == [KEY, KEY]
    assert parser.noise == 2 * len(garbage)


@pytest.mark.parametrize(
    "bad",
    [
        "01213e07",  # no such LED or key
        "01210007",  # button 0
        "011f3107",  # address below 0x20
        "01212007",  # a blink without text
        "0121206107",  # lower case
        "01212041424344454647" + "4807",  # eight digits
        "02211f07",
        "02212407",
        "03212108",
        "041f07",
    ],
)
def test_bytes_out_of_range_are_noise_and_no_frame(bad: str) -> None:
    parser = Parser()
    assert parser.feed(bytes.fromhex(bad)) == []
    assert parser.feed(KEY.to_bytes()) == [KEY]
    assert parser.noise == len(bytes.fromhex(bad))


def test_half_a_frame_is_dropped_after_a_pause_on_the_line() -> None:
    parser = Parser()
    assert parser.feed(KEY.to_bytes()[:3]) == []
    assert parser.holding
    parser.gap()
    assert parser.feed(b"\x07") == []
    assert parser.noise == 4


def test_the_key_codes_are_those_of_the_panel() -> None:
    assert KEYS == {0x31: "next-or-recall", 0x32: "arrive", 0x33: "transfer", 0x34: "no-show-or-finish"}


@given(st.lists(frames, max_size=8), st.integers(1, 20))
def test_any_frames_cut_into_any_pieces_are_read(sent: list[Frame], step: int) -> None:
    stream = b"".join(frame.to_bytes() for frame in sent)
    parser = Parser()
    found = [frame for at in range(0, len(stream), step) for frame in parser.feed(stream[at : at + step])]
    assert found == sent
    assert parser.noise == 0


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_noise_never_raises_and_at_most_one_frame_behind_it_is_missed(chunks: list[bytes]) -> None:
    parser = Parser()
    for chunk in chunks:
        parser.feed(chunk)
        assert len(parser._held) < FRAME_MAX
    assert KEY in parser.feed(KEY.to_bytes() * 2)


@given(frames, st.data())
def test_one_damaged_byte_costs_at_most_one_frame(frame: Frame, data: st.DataObject) -> None:
    whole = bytearray(frame.to_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["lost", "flipped", "inserted"]))
    if kind == "lost":
        del whole[at]
    elif kind == "flipped":
        whole[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        whole.insert(at, data.draw(st.integers(0, 255)))
    found = Parser().feed(bytes(whole) + KEY.to_bytes() * 2)
    assert found[-1] == KEY
    assert len(found) >= 2


# --- echo


LED = Signal(0x21, LED_GREEN).to_bytes()  # the very bytes of key 0x32


def test_an_echo_is_removed_and_a_key_before_or_behind_it_is_kept() -> None:
    for before in (b"", KEY.to_bytes()):
        for behind in (b"", KEY.to_bytes(), LED):
            echo = Echo(sure=True)
            echo.sent(LED)
            passed = b"".join(echo.feed(bytes((byte,))) for byte in before + LED + behind)
            assert passed == before + behind
            assert (echo.echoes, echo.damaged, echo.missed) == (1, 0, 0)


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_echo_presses_no_key(at: int, bit: int) -> None:
    echo = Echo(sure=True)
    echo.sent(LED)
    damaged = bytearray(LED)
    damaged[at] ^= 1 << bit
    assert echo.feed(bytes(damaged)) == b""
    left = echo.expire()
    assert len(left) <= 1
    assert Parser().feed(left + KEY.to_bytes()) == [KEY]
    assert echo.damaged == 1
    assert echo.feed(KEY.to_bytes()) == KEY.to_bytes()


@pytest.mark.parametrize("damaged", [LED[1:], LED[:-1], LED[:2] + b"\x55" + LED[2:], LED[:1] + LED[2:]])
def test_a_key_next_to_a_damaged_echo_is_read(damaged: bytes) -> None:
    echo = Echo(sure=True)
    echo.sent(LED)
    assert echo.feed(damaged + KEY.to_bytes()) == b""
    assert Parser().feed(echo.expire()) == [KEY]
    echo.sent(LED)
    echo.feed(KEY.to_bytes() + damaged)
    assert Parser().feed(echo.expire()) == [KEY]


def test_a_missing_echo_loses_no_key() -> None:
    echo = Echo(sure=True)
    text = Text(0x21, 0x21, "A012- 3").to_bytes()
    assert echo.sent(text) == b""
    assert echo.feed(KEY.to_bytes()) == b""
    assert echo.sent(text) == KEY.to_bytes()
    assert echo.missed == 1


def test_a_key_that_looks_like_a_damaged_echo_is_kept_until_the_adapter_has_echoed() -> None:
    key = Signal(0x21, 0x31).to_bytes()  # one bit from being the LED command
    echo = Echo(sure=False)
    echo.sent(LED)
    echo.feed(key)
    assert echo.expire() == key
    assert (echo.missed, echo.damaged) == (1, 0)
    echo.sent(LED)
    assert echo.feed(LED) == b""
    assert echo.sure


@given(st.lists(st.binary(max_size=50), max_size=6))
def test_the_echo_filter_holds_few_bytes_and_never_raises(chunks: list[bytes]) -> None:
    echo = Echo(sure=True)
    for chunk in chunks:
        echo.sent(LED)
        echo.feed(chunk)
        echo.feed(chunk)
        assert len(echo._held) <= HELD_MAX
