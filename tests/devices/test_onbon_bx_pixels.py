"""Onbon BX-6Q cards, which take pictures: frames of the vendor's own code, the font, and the driver over real TCP."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.onbon_bx import codec, driver, pixels
from devices.onbon_bx.codec import FrameReader
from devices.onbon_bx.driver import OnbonBx, OnbonOptions
from devices.onbon_bx.fake import FakePixelCard
from devices.onbon_bx.hexfont import HexFont
from devices.onbon_bx.pixels import PixelArea, PixelFrame
from edged.core.model.commands import Display
from edged.core.model.events import DeviceBack, DeviceLost
from edged.core.model.point import Point
from edged.driver import Garbled, Refused, Unreachable
from edged.shapes import Misshapen, read
from edged.sim.broker import free_port
from tests.support.brokers import until
from tests.support.listening_core import ListeningCore

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/onbon_pixel_frames.json").read_text("utf-8"))[
    "frames"
]
BYTES = {one["id"].removeprefix("onbon.6q."): bytes.fromhex(one["hex"]) for one in VECTORS}
BAR = "led-6q"
BACK = DeviceBack(Point(BAR))
RED, GREEN, DARK = b"\xff\0\0", b"\0\xff\0", b"\0\0\0"


def picture(number: int, width: int = 16, height: int = 8) -> bytes:
    """The pictures that the vendor's code was given."""
    places = ((x, y) for y in range(height) for x in range(width))
    return b"".join(
        RED if (x + y + number) % 3 == 0 else GREEN if (x * y + number) % 5 == 0 else DARK for x, y in places
    )


BUILT: dict[str, PixelFrame] = {
    "demo.pages": pixels.show(PixelArea(0, 64, 0, 16, 8, (picture(0), picture(1)), programs=(0,), way=0)),
    "area3": pixels.show(PixelArea(3, 0, 16, 16, 8, (picture(2),), codec.BLANK_ON_TIMEOUT, 30, alone=True)),
    "delete01": pixels.delete((0, 1)),
    "deleteall": pixels.delete_all(),
    "ack": pixels.answer(True),
    "nack7": pixels.answer(False, 7),
}


def reader() -> FrameReader:
    return FrameReader(pixels.opened)


def test_every_vector_names_its_source_and_is_used() -> None:
    assert all(one["source"] for one in VECTORS)
    assert BYTES.keys() == BUILT.keys()


@pytest.mark.parametrize("name", BUILT)
def test_frames_have_the_vendors_bytes_and_are_read_back(name: str) -> None:
    assert BUILT[name].to_bytes().hex() == BYTES[name].hex()
    assert list(reader().feed(BYTES[name])) == [BUILT[name]]
    one_by_one, noisy = reader(), reader()
    assert [found for byte in BYTES[name] for found in one_by_one.feed(bytes((byte,)))] == [BUILT[name]]
    assert (
        list(noisy.feed(b"\x5a\xa6\x00" + BYTES[name] + BYTES[name][:20] + BYTES[name])) == [BUILT[name]] * 2
    )


def test_areas_and_refusals_in_vendor_frames_are_read_as_documented() -> None:
    assert pixels.decode_area(BUILT["demo.pages"].data).pages == (picture(0), picture(1))
    assert pixels.decode_area(BUILT["area3"].data).timeout_s == 30
    assert (BUILT["nack7"].command, BUILT["nack7"].error) == (codec.NACK, 7)


def test_frames_of_the_other_series_are_not_taken_for_ours() -> None:
    assert list(reader().feed(codec.power(True).to_bytes())) == []
    assert list(FrameReader().feed(BYTES["ack"])) == []


@given(st.binary(max_size=120))
def test_hostile_area_commands_are_read_or_raise_garbled(data: bytes) -> None:
    for body in (data, BUILT["demo.pages"].data[:11] + data, BUILT["area3"].data[: 11 + len(data)]):
        with contextlib.suppress(Garbled):
            assert all(len(page) <= len(body) for page in pixels.decode_area(body).pages)
    assert list(reader().feed(data)) == []


@given(
    st.builds(
        PixelArea,
        id=st.integers(0, 255),
        x=st.integers(0, 999),
        y=st.integers(0, 999),
        width=st.just(8),
        height=st.just(2),
        pages=st.lists(st.binary(min_size=48, max_size=48), max_size=3).map(tuple),
        run_mode=st.integers(0, 5),
        timeout_s=st.integers(0, 999),
        alone=st.booleans(),
        programs=st.lists(st.integers(0, 99), max_size=3).map(tuple),
    )
)
def test_any_pixel_area_is_read_back_unchanged(area: PixelArea) -> None:
    [frame] = reader().feed(pixels.show(area).to_bytes())
    assert pixels.decode_area(frame.data) == area


CHARACTERS = "?AB0123456789 号请到窗口→"


@pytest.fixture(scope="module")
def font_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Characters as the file of GNU Unifont has them, each with a shape of its own."""
    file = tmp_path_factory.mktemp("font") / "font.hex"
    lines = []
    for char in sorted(CHARACTERS):
        wide = 1 if char < "\x80" else 2
        shape = b"".join((ord(char) + row & 0xFF).to_bytes(wide, "big") for row in range(16))
        lines.append(f"{ord(char):04X}:{shape.hex().upper()}\n")
    file.write_text("".join(lines))
    return str(file)


def test_a_character_missing_from_the_font_is_drawn_as_a_question_mark(font_file: str) -> None:
    font = HexFont(font_file)
    for char in CHARACTERS:
        wide = 1 if char < "\x80" else 2
        assert font.glyph(char)[:wide] == (ord(char) & 0xFF).to_bytes(wide, "big")
        assert len(font.glyph(char)) == 16 * wide
    for absent in "\x01Z镕😀\uffff":
        assert font.glyph(absent) == font.glyph("?")


@pytest.mark.parametrize("text", ["", "no font\n", "0041:00\n", "003F:0\n"])
def test_a_file_that_is_no_font_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "font").write_text(text)
    with pytest.raises((OSError, ValueError)):
        HexFont(str(tmp_path / "font"))


def test_a_line_becomes_pages_of_whole_characters(font_file: str) -> None:
    glyph = HexFont(font_file).glyph
    [short] = pixels.pictures("A请", 32, "yellow", glyph)
    assert len(short) == 32 * 16 * 3
    first = "".join("1" if short[at : at + 3] == b"\xff\xff\0" else "0" for at in range(0, 32 * 3, 3))
    assert first == f"{ord('A'):08b}{ord('请') & 0xFF:016b}" + "0" * 8
    assert len(pixels.pictures("请到窗口", 32, "red", glyph)) == 2
    assert len(pixels.pictures("请到窗口A", 24, "red", glyph)) == 4, "none is cut in two"
    assert pixels.pictures("", 32, "red", glyph) == (bytes(32 * 16 * 3),)
    assert len(pixels.pictures("请" * 999, 64, "red", glyph)) == pixels.pages_max(64) == 5


class Bar:
    """A driver, a fake card and the connection between them."""

    def __init__(self, font_file: str, deadline_ms: int = 2000) -> None:
        self.port = free_port()
        fields = {"host": "127.0.0.1", "port": self.port, "model": "6q", "width": 64, "height": 32}
        self.options = read(OnbonOptions, fields | {"font_file": font_file, "deadline_ms": deadline_ms})
        self.core = ListeningCore(BAR, speed=20.0)
        self.card = FakePixelCard(self._send, lambda: self.core.hall_s)
        self.writer: asyncio.StreamWriter | None = None
        self.driver = OnbonBx(self.core.context, self.options)

    def _send(self, data: bytes) -> None:
        assert self.writer is not None
        self.writer.write(data)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1000):
                self.card.feed(data)
        writer.close()

    def seen(self, font_file: str) -> list[list[bytes]]:
        """Each row's pages, as pictures."""
        return [list(area.pages) for area in self.card.areas.values()]


@contextlib.asynccontextmanager
async def life(bar: Bar) -> AsyncIterator[None]:
    server = await asyncio.start_server(bar.serve, "127.0.0.1", bar.port)
    running = asyncio.create_task(bar.driver.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        server.close()


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "RETRY_S", 0.05)


async def test_two_rows_are_drawn_as_two_areas_in_our_font_and_vanish_without_us(font_file: str) -> None:
    bar = Bar(font_file)
    glyph = HexFont(font_file).glyph
    async with life(bar):
        await until(lambda: bar.core.events == [BACK])
        await bar.driver.show(Point(BAR), Display(("A012", "请到3号窗口")))
        wanted = [list(pixels.pictures(text, 64, "red", glyph)) for text in ("A012", "请到3号窗口")]
        assert bar.seen(font_file) == wanted
        assert [len(pages) for pages in wanted] == [1, 2]
        assert [(area.y, area.alone) for area in bar.card.areas.values()] == [(0, True), (16, True)]
        await bar.driver.show(Point(f"{BAR}/area-1"), Display(("B",)))
        assert bar.seen(font_file)[1] == list(pixels.pictures("B", 64, "red", glyph))
        bar.core.hall_s += 31.0
        assert bar.card.areas == {}


async def test_a_refusal_is_raised_and_a_silent_card_is_lost_and_comes_back(font_file: str) -> None:
    bar = Bar(font_file, deadline_ms=200)
    async with life(bar):
        await until(lambda: bar.core.events == [BACK])
        bar.card.refused = True
        with pytest.raises(Refused, match="refused, error 0"):
            await bar.driver.show(Point(BAR), Display(("A012", "")))
        bar.card.alive = False
        await until(lambda: isinstance(bar.core.events[-1], DeviceLost))
        with pytest.raises(Unreachable):
            await bar.driver.show(Point(BAR), Display(("A012", "")))
        bar.card.alive = True
        await until(lambda: bar.core.events[-1] == BACK)
        await bar.driver.show(Point(BAR), Display(("A012", "")))
        assert len(bar.card.areas) == 2


async def test_a_card_that_refuses_a_status_question_counts_as_present(font_file: str) -> None:
    bar = Bar(font_file)
    async with life(bar):
        await until(lambda: bar.core.events == [BACK])
        before = bar.card.frames_received
        bar.card.refused = True
        await until(lambda: bar.card.frames_received > before + 1)
        assert bar.core.events == [BACK]


async def test_a_bar_without_its_font_file_is_lost_and_the_file_is_named(tmp_path: Path) -> None:
    bar = Bar(str(tmp_path / "absent.hex"))
    async with life(bar):
        await until(lambda: bool(bar.core.events))
        [lost] = bar.core.events
        assert isinstance(lost, DeviceLost)
        assert "absent.hex" in lost.detail


@pytest.mark.parametrize(
    "options",
    [
        {"path": "/dev/x"},
        {"host": "h", "voice": True},
        {"host": "h", "brightness": 3},
        {"host": "h", "width": 328},
    ],
)
def test_options_that_cards_of_this_series_lack_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(Misshapen):
        read(OnbonOptions, {"model": "6q", **options})


def test_a_screen_with_a_configured_number_is_addressed_by_it(font_file: str) -> None:
    options = Bar(font_file).options
    [area, _] = driver.rows(("A",), options)
    glyph = HexFont(font_file).glyph
    assert driver.drawn(area, options, glyph).target == 0xFFFF
    assert driver.drawn(area, read(OnbonOptions, {"host": "h", "screen": 3}), glyph).target == 3
    assert replace(area, text="镕").text == "镕"
