"""LEDSender2010 strips: packets of the maker's own code, and the driver against its fake over real datagrams."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.ledsender2010 import codec, driver
from devices.ledsender2010.codec import StripPacket, TextProgram, TextRow
from devices.ledsender2010.driver import LedSender, LedSenderOptions, text_program
from devices.ledsender2010.fake import IN_FLASH, FakeLedSender, StripFaults
from edged.core.model.commands import Action, Display, Lamp, Say
from edged.core.model.events import DeviceBack, DeviceLost
from edged.core.model.point import Point
from edged.driver import DeviceError, Garbled, Refused, Unreachable
from edged.links import dialogue
from edged.shapes import read
from edged.sim.broker import free_port
from tests.support.brokers import until
from tests.support.listening_core import ListeningCore

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/ledsender_frames.json").read_text("utf-8"))[
    "frames"
]
BYTES = {one["id"].removeprefix("ledsender."): bytes.fromhex(one["hex"]) for one in VECTORS}
CALL_TEXT = "请A012号到3号窗口"
PROGRAMS = {
    "call": (TextProgram(128, 32, (TextRow(0, 16, CALL_TEXT),), 60), 0),
    "two": (
        TextProgram(
            64,
            32,
            (TextRow(0, 16, "A012 3", "green"), TextRow(16, 16, f"{CALL_TEXT} Please come", "green", 4)),
            30,
            "three",
        ),
        7,
    ),
    "long": (
        TextProgram(192, 48, tuple(TextRow(16 * n, 16, "U华窗" * 40, "yellow", 4) for n in range(3)), 60),
        0,
    ),
}
COMMANDS = {
    "power.on": StripPacket(codec.SET_POWER, 1),
    "power.off": StripPacket(codec.SET_POWER, 0),
    "power.get": StripPacket(codec.GET_POWER),
    "power.get.2": StripPacket(codec.GET_POWER, target=2),
    "bright.5": StripPacket(codec.SET_BRIGHTNESS, 5),
    "bright.get": StripPacket(codec.GET_BRIGHTNESS),
    "rx.begin": codec.answer(codec.BEGIN, 0),
    "rx.data1": codec.answer(codec.DATA, 1),
    "rx.data.wanted": codec.answer(codec.DATA, 1, 0),
    "rx.end": codec.answer(codec.END, 2),
    "rx.power.on": codec.answer(codec.GET_POWER, 1),
}
STRIP = "led-tax"
CALL = Display(("税务综合 等候3人", "A012→3号窗口"))
BACK, LOST = DeviceBack(Point(STRIP)), DeviceLost(Point(STRIP), "no-answer", "no answer from the LED card")

every_packet = st.builds(
    StripPacket,
    st.integers(0, 99),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=600),
    st.integers(0, 255),
    st.integers(0, 255),
)
rows = st.builds(
    TextRow,
    st.integers(0, 100),
    st.sampled_from((16, 24)),
    st.text(st.sampled_from("请到窗口A0 U华"), max_size=30),
    st.sampled_from(("red", "green", "yellow")),
    st.none() | st.integers(0, 5),
)


def test_every_vector_names_its_source_and_is_used() -> None:
    assert all(one["source"] for one in VECTORS)
    parts = {f"{name}.{part}" for name in PROGRAMS for part in ("begin", "data1", "end")} | {"long.data2"}
    assert BYTES.keys() == COMMANDS.keys() | parts


@pytest.mark.parametrize("name", PROGRAMS)
def test_strip_programs_have_the_makers_bytes_and_are_read_back(name: str) -> None:
    program, address = PROGRAMS[name]
    begin, *parts, end = codec.packets(program.to_bytes(), address)
    made = {"begin": begin, "end": end} | {f"data{number}": part for number, part in enumerate(parts, 1)}
    assert {f"{name}.{part}": one.to_bytes().hex() for part, one in made.items()} == {
        found: raw.hex() for found, raw in BYTES.items() if found.startswith(f"{name}.")
    }
    got = [codec.parse(BYTES[f"{name}.data{number}"]).data for number in range(1, len(parts) + 1)]
    assert codec.decode_program(b"".join(got)) == program


@pytest.mark.parametrize("name", COMMANDS)
def test_strip_commands_and_answers_have_the_makers_bytes(name: str) -> None:
    assert COMMANDS[name].to_bytes().hex() == BYTES[name].hex()
    assert codec.parse(BYTES[name]) == COMMANDS[name]


@given(every_packet)
def test_any_packet_is_read_back_and_contains_no_frame_mark_inside(packet: StripPacket) -> None:
    raw = packet.to_bytes()
    assert codec.parse(raw) == packet
    assert raw[1:-1].count(b"\x55") == raw[1:-1].count(b"\xaa") == 0
    assert len(raw) < codec.DATAGRAM_BYTES_MAX


@given(st.lists(rows, max_size=8), st.sampled_from(tuple(codec.COLOURS)), st.integers(6, 3600))
def test_any_strip_program_is_read_back_unchanged(
    shown: list[TextRow], colours: codec.Colours, lives_s: int
) -> None:
    program = TextProgram(128, 192, tuple(shown), lives_s, colours)
    assert codec.decode_program(program.to_bytes()) == program


@given(st.binary(max_size=120))
def test_any_datagram_is_read_or_raises_garbled(data: bytes) -> None:
    for raw in (data, b"\x55" + data + b"\xaa"):
        with contextlib.suppress(Garbled):
            assert len(codec.parse(raw).data) <= len(raw)
            codec.answer_of(codec.parse(raw))
    with contextlib.suppress(Garbled):
        assert len(codec.decode_program(data).rows) <= len(data)


@given(st.sampled_from(sorted(PROGRAMS)), st.data())
def test_a_damaged_program_is_read_or_raises_garbled(name: str, data: st.DataObject) -> None:
    raw = bytearray(PROGRAMS[name][0].to_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    del raw[data.draw(st.integers(0, len(raw))) :]
    with contextlib.suppress(Garbled):
        assert len(codec.decode_program(bytes(raw)).rows) <= len(raw)


def test_truncated_and_wrongly_escaped_packets_raise_garbled() -> None:
    whole = BYTES["long.data1"]
    for raw in (
        b"",
        b"\x55",
        whole[:-1],
        whole[1:],
        whole + whole,
        b"\x55\xbb\x01" + whole[3:],
        b"\x55" + b"\0" * 8 + b"\xaa",
    ):
        with pytest.raises(Garbled):
            codec.parse(raw)
    with pytest.raises(Garbled):
        codec.answer_of(StripPacket(codec.ANSWER, 0, b"\0"))


def test_text_is_gb2312_and_is_cut_at_a_whole_character() -> None:
    assert codec.unshown("请到綦江镕Ａ€") == "镕€"
    assert codec.plain("镕\n\0A") == "?  A"
    assert codec.plain("a" + "请" * 400) == "a" + "请" * 255
    assert codec.text_width("请A012号", 16) == 64
    assert codec.text_width("请A012号", 24) == 96


class Socket(asyncio.DatagramProtocol):
    """The strip's end of the network."""

    def __init__(self, strip: Strip) -> None:
        self._strip = strip

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._strip.socket = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: object) -> None:
        self._strip.caller = address
        if self._strip.echo:
            self._strip.send(data)
        self._strip.fake.feed(data)


class Strip:
    """A driver, a fake strip and the network between them."""

    def __init__(self, seed: int = 0, **options: object) -> None:
        self.port = free_port()
        self.options = read(
            LedSenderOptions, {"host": "127.0.0.1", "port": self.port, "deadline_ms": 1000, **options}
        )
        self.core, self.echo = ListeningCore(STRIP), False
        self.socket: asyncio.DatagramTransport | None = None
        self.caller: Any = None
        self.fake = FakeLedSender(self.send, lambda: self.core.hall_s, self.options.address, seed)
        self.driver = LedSender(self.core.context, self.options)

    def send(self, data: bytes) -> None:
        if self.socket is not None:
            self.socket.sendto(data, self.caller)

    async def plug(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: Socket(self), local_addr=("127.0.0.1", self.port))

    def unplug(self) -> None:
        assert self.socket is not None
        self.socket.close()
        self.socket = None


@contextlib.asynccontextmanager
async def life(strip: Strip, plugged: bool = True) -> AsyncIterator[None]:
    """Run driver and network while the context is open."""
    if plugged:
        await strip.plug()
    running = asyncio.create_task(strip.driver.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        if strip.socket is not None:
            strip.unplug()


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "RETRY_S", 0.05)


async def test_lines_are_shown_row_by_row_and_acknowledged() -> None:
    strip = Strip(width=192, height=48, address=3, brightness=2)
    strip.fake.powered = False
    async with life(strip):
        await strip.core.reported(BACK)
        assert (strip.fake.powered, strip.fake.brightness) == (True, 2)
        assert strip.fake.shown == IN_FLASH
        await strip.driver.show(Point(STRIP), CALL)
        assert strip.fake.shown == ("税务综合 等候3人", "A012→3号窗口", "")
        await strip.driver.show(Point(f"{STRIP}/area-2"), Display(("B001", "→5")))
        assert strip.fake.shown == ("税务综合 等候3人", "A012→3号窗口", "B001 →5")
        assert strip.options.point_channels() == {"", "area-0", "area-1", "area-2"}
        for wrong in ("area-3", "area-x", "3"):
            with pytest.raises(Refused, match="area-0 to area-2"):
                await strip.driver.show(Point(f"{STRIP}/{wrong}"), CALL)
        with pytest.raises(Refused):
            await strip.driver.show(Point(STRIP), Lamp("on"))
        with pytest.raises(Refused):
            await strip.driver.act(Action("1", Point(STRIP), Say("请", "", "A012")))


async def test_a_program_of_several_packets_arrives_whole() -> None:
    strip = Strip(height=128)
    lines = tuple(f"{n}" + "请到窗口" * 60 for n in range(8))
    async with life(strip):
        await strip.core.reported(BACK)
        await strip.driver.show(Point(STRIP), Display(lines))
        assert strip.fake.shown == lines
        assert len(codec.packets(text_program(lines, strip.options).to_bytes())) > 8


async def test_the_strip_shows_its_stored_text_when_ours_is_no_longer_repeated() -> None:
    strip = Strip(dead_man_s=60)
    async with life(strip):
        await strip.core.reported(BACK)
        await strip.driver.show(Point(STRIP), CALL)
        strip.core.hall_s += 59.0
        assert strip.fake.shown == CALL.lines
        strip.core.hall_s += 2.0
        assert strip.fake.shown == IN_FLASH
    assert strip.driver.reassert_s * 3 <= 60


async def test_a_dead_strip_is_lost_once_and_back_within_three_seconds() -> None:
    strip = Strip(deadline_ms=150)
    async with life(strip):
        await strip.core.reported(BACK)
        strip.fake.alive = False
        with pytest.raises(Unreachable):
            await strip.driver.show(Point(STRIP), CALL)
        await strip.core.reported(BACK, LOST)
        with pytest.raises(Unreachable):
            await strip.driver.show(Point(STRIP), CALL)
        strip.fake.alive = True
        await strip.core.reported(BACK, LOST, BACK)
        await strip.driver.show(Point(STRIP), CALL)
        assert strip.fake.shown == CALL.lines


async def test_a_dead_strip_is_noticed_by_status_questions_alone() -> None:
    strip = Strip(deadline_ms=150)
    strip.core.speed = 20.0
    async with life(strip):
        await strip.core.reported(BACK)
        strip.fake.alive = False
        died_s = strip.core.hall_s
        await strip.core.reported(BACK, LOST)
        assert strip.core.hall_s - died_s <= driver.ASK_S + dialogue.CHECK_S


async def test_a_host_without_a_strip_is_lost_as_connection_refused() -> None:
    strip = Strip()
    async with life(strip, plugged=False):
        await until(lambda: bool(strip.core.events))
        assert isinstance(strip.core.events[0], DeviceLost)
        assert strip.core.events[0].reason == "connection-refused"
        await strip.plug()
        await until(lambda: strip.core.events[-1] == BACK)
        assert len(strip.core.events) == 2


async def test_lost_datagrams_and_repeated_answers_change_nothing() -> None:
    strip = Strip(seed=5, height=64, deadline_ms=150)
    strip.fake.faults = StripFaults(lose=0.1, mute=0.1, twice=0.3)
    shown = 0
    async with life(strip):
        for number in range(20):
            wanted = Display((f"A{number:03}→3号窗口" * 8, "", "", ""))
            with contextlib.suppress(DeviceError):
                await until(lambda: bool(strip.driver._dialogue.reachable))
                await strip.driver.show(Point(STRIP), wanted)
                assert strip.fake.shown == wanted.lines
                shown += 1
    assert shown >= 10
    assert all(type(one) is not type(other) for one, other in pairwise(strip.core.events))


async def test_a_strip_that_lost_count_gets_the_program_from_the_beginning() -> None:
    strip = Strip(height=128)
    lines = tuple("请到窗口" * 60 for _ in range(8))
    async with life(strip):
        await strip.core.reported(BACK)
        strip.fake.faults = StripFaults(forget=1.0)
        with pytest.raises(Garbled, match="loses count"):
            await strip.driver.show(Point(STRIP), Display(lines))
        strip.fake.faults = StripFaults()
        await strip.driver.show(Point(STRIP), Display(lines))
        assert strip.fake.shown == lines
    assert strip.core.rejections.reasons.count("lost_the_thread") == driver.AFRESH_MAX


async def test_a_garbage_answer_raises_garbled_and_the_strip_is_not_lost() -> None:
    strip = Strip(seed=4, deadline_ms=150)
    async with life(strip):
        await strip.core.reported(BACK)
        strip.fake.faults = StripFaults(garble=1.0)
        with pytest.raises(Garbled):
            await strip.driver.show(Point(STRIP), CALL)
        strip.fake.faults = StripFaults()
        await until(lambda: not strip.driver._dialogue.missed)
        await strip.driver.show(Point(STRIP), CALL)
    assert strip.core.events == [BACK]
    assert "garbled_frame" in strip.core.rejections.reasons


async def test_a_late_answer_never_confirms_the_next_text_on_the_strip() -> None:
    strip = Strip(deadline_ms=150)
    async with life(strip):
        await strip.core.reported(BACK)
        strip.fake.faults = StripFaults(late=1.0, late_s=0.5)  # after the last try, in the pause behind it
        with pytest.raises(Unreachable):
            await strip.driver.show(Point(STRIP), CALL)
        strip.fake.faults = StripFaults()
        await strip.driver.show(Point(STRIP), Display(("B001", "")))
        assert strip.fake.shown == ("B001", "")
    assert "late_answer" in strip.core.rejections.reasons


@pytest.mark.parametrize(
    ("command", "serial", "result", "fits"),
    [
        (codec.DATA, 5, codec.TAKEN, True),
        (codec.DATA, 4, codec.TAKEN, False),  # of the part before
        (codec.DATA, 4, 0, True),  # not taken: the number is that of the part it wants
        (codec.END, 5, codec.TAKEN, False),
    ],
)
def test_a_packet_is_confirmed_only_by_an_answer_with_its_number(
    command: int, serial: int, result: int, fits: bool
) -> None:
    strip = Strip()
    strip.driver._awaited = codec.StripPacket(codec.DATA, 5)
    assert strip.driver._fits(codec.Answer(command, serial, result)) is fits
    strip.driver._awaited = codec.StripPacket(codec.END, 5)
    assert strip.driver._fits(codec.Answer(codec.END, 4, result)) is False


async def test_echoed_datagrams_are_counted_and_ignored() -> None:
    strip = Strip()
    strip.echo = True
    async with life(strip):
        await strip.core.reported(BACK)
        await strip.driver.show(Point(STRIP), CALL)
        assert strip.fake.shown == CALL.lines
    assert set(strip.core.rejections.reasons) == {"unexpected_frame"}


def test_long_lines_scroll_and_a_row_is_as_high_as_its_font() -> None:
    options = read(LedSenderOptions, {"host": "h", "width": 96, "height": 48, "font_px": 24})
    assert options.rows == 2
    size = options.display_size("")
    assert size is not None
    assert (size.rows, size.columns, size.font) == (2, 8, "gb2312")
    short, long = text_program(("请A012", "请A012号 Please come"), options).rows
    assert (short.speed, long.speed, long.y) == (None, options.scroll_speed, 24)


@pytest.mark.parametrize(
    "options", [{}, {"host": "h", "height": 40}, {"host": "h", "height": 144}, {"host": "h", "font_px": 12}]
)
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"host|height|font_px"):
        read(LedSenderOptions, options)
