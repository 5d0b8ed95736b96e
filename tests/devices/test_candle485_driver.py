"""The Candle driver on real ptys: what people press and see, what the core is told, what a bad bus does."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from devices.candle485 import driver as candle_driver
from devices.candle485 import noise as candle_noise
from devices.candle485.codec import BLINK, BLINK_NONE, LED_GREEN, LED_GREEN_FAST, LED_OFF, LED_RED, Signal
from devices.candle485.driver import Candle485
from devices.candle485.fake import FakeCandleBus, Faults
from devices.candle485.options import CandleOptions
from devices.candle485.signs import PRINTED_BLINK
from edged.clock import Clock, Warp
from edged.core.commands import Action, Display, Lamp, Panel, Print, Say
from edged.core.events import DeviceBack, DeviceLost, Event, KeyPressed, TicketRequested
from edged.driver import Context, Refused, Unreachable
from edged.links import memory
from edged.sim.pty import Pty
from tests.support.modbus_peers import running, until

HALL = """
baudrate = 57600
kiosk_board = "kiosk"

[panels]
panel-21 = { address = 0x21, digits = true }
panel-22 = { address = 0x22 }

[boards]
board-31 = { address = 0x31 }
kiosk = { address = 0x40 }

[buttons]
1 = "tax"
3 = "estate"
"""
CALLED = Display(("3号窗口 Window 3", "请A012号 Please come"))
BACK = DeviceBack("candle-1")


@dataclass
class Hall:
    """Hall time, ``speed`` times faster than real time, and everything that the driver tells the core."""

    speed: float = 20.0
    events: list[Event] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    full: bool = False

    def __post_init__(self) -> None:
        self.clock = Clock(warp=Warp(self.speed, 0, 0))

    def emit(self, event: Event, ack: Callable[[], None] | None = None) -> bool:
        if not self.full:
            self.events.append(event)
        return not self.full

    def reject(self, reason: str, detail: str = "") -> None:
        self.rejected.append(reason)

    def context(self) -> Context:
        return Context("candle-1", "h", self.emit, self.reject, self.clock.sleep, self.clock.now_s, None)


def options(**more: Any) -> CandleOptions:
    return CandleOptions.model_validate({"path": "none", **tomllib.loads(HALL), **more})


@dataclass
class Bench:
    """A driver and its far end."""

    hall: Hall
    port: Pty
    driver: Candle485
    far: FakeCandleBus

    async def show(self, channel: str, value: Any) -> None:
        await self.driver.show(f"candle-1/{channel}", value)

    def pressed(self) -> list[Event]:
        return [e for e in self.hall.events if isinstance(e, KeyPressed | TicketRequested)]


def key(panel: str, name: Any) -> KeyPressed:
    return KeyPressed(f"candle-1/{panel}", name)


@asynccontextmanager
async def bench(
    tmp_path: Path, hall: Hall | None = None, line: memory.Faults | None = None, **more: Any
) -> AsyncIterator[Bench]:
    """Driver and bus on one pty, after first contact. ``line``: what happens to bytes from the devices."""
    hall = hall or Hall()
    port = Pty(tmp_path / "bus", line, seed=7)
    port.plug()
    chosen = options(path=port.path, **more)
    far = FakeCandleBus(
        port,
        {name: panel.address for name, panel in chosen.panels.items()},
        {name: board.address for name, board in chosen.boards.items()},
        seed=7,
    )
    driver = Candle485(hall.context(), chosen)
    try:
        async with running(driver, far):
            await until(lambda: driver._open)
            yield Bench(hall, port, driver, far)
    finally:
        port.close()


async def test_keys_and_buttons_reach_the_core_and_contact_is_told_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        for name in ("next-or-recall", "arrive", "transfer", "no-show-or-finish"):
            b.far.press("panel-22", name)
        b.far.press("panel-21", "arrive")
        b.far.press_button(3)
        await until(lambda: len(b.pressed()) == 6)
    assert b.hall.events == [
        BACK,
        key("panel-22", "next-or-recall"),
        key("panel-22", "arrive"),
        key("panel-22", "transfer"),
        key("panel-22", "no-show-or-finish"),
        key("panel-21", "arrive"),
        TicketRequested("candle-1/button-3", "estate"),
    ]
    assert b.hall.rejected == []
    assert b.far.frames_sent == {"panel-22": 4, "panel-21": 1, "button-3": 1}


async def test_what_is_nobodys_is_refused_with_a_reason(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        for frame in (
            Signal(0x50, 0x31),
            Signal(0x21, 0x36),
            Signal(0x7E, 2),
            Signal(0x21, 3),
            Signal(0x31, 3),
        ):
            await b.port.write(frame.to_bytes())
        await b.port.write(bytes.fromhex("04 21 07") + b"?" + Signal(0x22, 0x32).to_bytes())
        await until(b.pressed)
    assert b.pressed() == [key("panel-22", "arrive")]
    assert b.hall.rejected == [
        "unknown_address",
        "unknown_key",
        *["unknown_button"] * 3,
        "unexpected_frame",
        "noise",
    ]


async def test_a_known_kiosk_address_is_the_only_one(tmp_path: Path) -> None:
    async with bench(tmp_path, kiosk_address=0x50) as b:
        b.far.press_button(1)
        await b.port.write(Signal(0x50, 1).to_bytes())
        await until(b.pressed)
    assert b.pressed() == [TicketRequested("candle-1/button-1", "tax")]
    assert b.hall.rejected == ["unknown_button"]


@pytest.mark.parametrize(
    ("state", "number", "led", "blink", "text"),
    [
        ("CLOSED", None, LED_OFF, BLINK_NONE, "   "),
        ("OPEN", None, LED_GREEN, BLINK_NONE, "---"),
        ("CALLING", "A012", 0x36, BLINK, "012"),
        ("SERVING", "B7", LED_RED, BLINK_NONE, " B7"),
        ("PAUSED", None, 0x35, BLINK_NONE, "---"),
        ("ACTIVATING", None, LED_GREEN_FAST, BLINK, "CAL"),
        ("DRAINING", "A012", 0x35, BLINK_NONE, "012"),
        ("NEW-STATE", "é12", LED_OFF, BLINK_NONE, "-12"),
    ],
)
async def test_a_panel_shows_its_window(
    tmp_path: Path, state: str, number: str | None, led: int, blink: int, text: str
) -> None:
    async with bench(tmp_path, echo=False) as b:
        await b.show("panel-21", Panel("w1", state, 4, number))
        await until(lambda: b.far.text("panel-21"))
        assert (b.far.led("panel-21"), b.far.blink("panel-21"), b.far.text("panel-21")) == (led, blink, text)
        await b.show("panel-22", Panel("w2", state, 4, number))
        await until(lambda: b.far.frames_received["panel-22"])
        assert (b.far.led("panel-22"), b.far.text("panel-22")) == (led, "")


@pytest.mark.parametrize(
    ("lines", "blink", "text"),
    [
        (("3号窗口 Window 3", "请A012号 Please come"), BLINK, "A012- 3"),
        (("12号窗口 Window 12", "AB012号办理中 Serving"), BLINK_NONE, "AB012  "),
        (("98号窗口 Window 98", "A045号办理中 Serving"), BLINK_NONE, "A045-98"),
        (("3号窗口 Window 3", "请取号等候 Open"), BLINK_NONE, "-------"),
        (("税务 等候3人 3 waiting", "A013→3号窗口", "A012→5号窗口"), BLINK_NONE, "A013- 3"),
        ((), BLINK_NONE, "-------"),
    ],
)
async def test_a_board_shows_the_newest_ticket(
    tmp_path: Path, lines: tuple[str, ...], blink: int, text: str
) -> None:
    async with bench(tmp_path, echo=False) as b:
        await b.show("board-31", Display(lines))
        await until(lambda: b.far.text("board-31"))
        assert (b.far.blink("board-31"), b.far.text("board-31")) == (blink, text)


async def test_a_clerk_is_called_by_one_beep_however_often_the_level_is_sent(tmp_path: Path) -> None:
    async with bench(tmp_path, echo=False) as b:
        for count in range(1, 4):
            await b.show("panel-22", Panel("w2", "ACTIVATING", 9))
            await until(lambda n=count: b.far.frames_received["panel-22"] == n)
        assert b.far.units["panel-22"].beeps == 1
        assert b.far.led("panel-22") == LED_GREEN_FAST
        await b.show("panel-22", Lamp("on"))
        await until(lambda: b.far.led("panel-22") == LED_GREEN)


async def test_frames_keep_their_distance_and_the_newest_value_wins(tmp_path: Path) -> None:
    heard: list[tuple[float, bytes]] = []
    hall = Hall(speed=10.0)
    async with bench(tmp_path, hall, echo=False) as b:
        port_write = b.driver._link.write

        async def timed(data: bytes) -> None:
            heard.append((hall.clock.now_s(), data))
            await port_write(data)

        b.driver._link.write = timed  # type: ignore[method-assign]
        async with asyncio.TaskGroup() as shows:
            for number in range(20, 40):
                shows.create_task(b.show("panel-21", Panel("w1", "CALLING", 1, f"A{number:03d}")))
        await until(lambda: b.far.text("panel-21") == "039")
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(heard)]
    assert min(gaps) >= 0.2
    assert len(heard) == 2  # one LED, one number: 19 numbers were overtaken while they waited


async def test_a_change_overtakes_what_is_only_sent_again(tmp_path: Path) -> None:
    panels = {f"p{n}": {"address": 0x50 + n} for n in range(8)}
    async with bench(tmp_path, Hall(speed=4.0), echo=False, panels=panels) as b:
        for name in panels:
            await b.show(name, Lamp("off"))
        seen = b.far.frames_received.total()
        for name in panels:
            await b.show(name, Lamp("off"))  # again: returns at once
        await b.show("p7", Lamp("on"))
        await until(lambda: b.far.led("p7") == LED_GREEN)
        assert b.far.frames_received.total() - seen <= 3
        assert b.driver.reassert_s >= 5.0


@pytest.mark.parametrize("echo", [True, None])
async def test_our_own_echo_presses_no_key(tmp_path: Path, echo: bool | None) -> None:
    async with bench(tmp_path, echo=echo) as b:
        b.far.faults = Faults(echo=True)
        for state in ("OPEN", "SERVING", "ACTIVATING", "PAUSED") * 3:  # LED codes that are keys, too
            await b.show("panel-22", Panel("w2", state, 1))
            await b.show("panel-21", Panel("w1", state, 1))
            b.far.press("panel-21", "arrive")
        await until(lambda: len(b.pressed()) == 12)
        assert set(b.pressed()) == {key("panel-21", "arrive")}
        assert b.hall.rejected == []
        await until(lambda: b.driver._echo.heard == b.far.frames_received.total() >= 24)


async def test_a_quiet_adapter_is_found_out_and_loses_no_key_meanwhile(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        for count, state in enumerate(("OPEN", "SERVING") * 4, 1):
            b.far.press("panel-22", "arrive")  # the very bytes that an LED command would echo as
            await b.show("panel-21", Panel("w1", state, 1))
            await until(lambda n=count: len(b.pressed()) == n)
        assert b.driver._echoes is False
        assert b.hall.rejected == []


async def test_an_adapter_that_stops_echoing_is_opened_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.far.faults = Faults(echo=True)
        await b.show("panel-22", Lamp("on"))
        b.far.faults = Faults()
        for turn in range(candle_driver.ECHO_MISSES_MAX):
            await b.show("panel-22", Lamp("off" if turn % 2 else "blink"))
        await until(lambda: b.hall.events == [BACK, DeviceLost("candle-1", "no echo any more"), BACK])


async def test_damaged_echoes_press_no_key(tmp_path: Path) -> None:
    line = memory.Faults(flip_byte=0.08, lose_byte=0.04)
    async with bench(tmp_path, line=line, echo=True) as b:
        b.far.faults = Faults(echo=True)
        for turn in range(40):
            await b.show("panel-22", Lamp("on" if turn % 2 else "off"))
        assert b.pressed() == [], "seed 7"
        assert b.hall.rejected.count("echo_damaged") >= 5
        assert b.hall.events == [BACK]


async def test_a_line_that_damages_one_byte_in_a_hundred_costs_few_keys_and_never_the_bus(
    tmp_path: Path,
) -> None:
    line = memory.Faults(lose_byte=0.003, flip_byte=0.004, insert_byte=0.003, split=0.5)
    async with bench(tmp_path, line=line, echo=False) as b:
        b.driver._presses.allows = lambda address, now_s: True  # type: ignore[method-assign]
        for _ in range(500):
            await b.port.write(Signal(0x21, 0x31).to_bytes())
        await b.port.write(Signal(0x22, 0x34).to_bytes() * 2)
        await until(lambda: key("panel-22", "no-show-or-finish") in b.pressed())
        good = b.pressed().count(key("panel-21", "next-or-recall"))
        assert 460 <= good < 500, "seed 7"
        assert b.hall.rejected
        assert b.hall.events[0] == BACK
        assert not any(isinstance(event, DeviceLost) for event in b.hall.events)


async def test_babble_loses_the_bus_once_until_it_is_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candle_noise, "BABBLE_S", 0.4)
    monkeypatch.setattr(candle_noise, "QUIET_S", 0.2)
    async with bench(tmp_path, echo=False) as b:
        b.far.babble(True)
        await until(lambda: b.hall.events[-1] == DeviceLost("candle-1", "babble"))
        rejected = len(b.hall.rejected)
        b.far.press_button(1)
        with pytest.raises(Unreachable, match="babble"):
            await b.show("panel-21", Lamp("on"))
        b.far.babble(False)
        await until(lambda: b.hall.events[-1] == BACK)
        b.far.press_button(3)
        await until(b.pressed)
        await b.show("panel-21", Lamp("on"))
    assert b.hall.events == [
        BACK,
        DeviceLost("candle-1", "babble"),
        BACK,
        TicketRequested("candle-1/button-3", "estate"),
    ]
    assert len(b.hall.rejected) == rejected  # a bus given up for lost is not counted byte by byte


async def test_noise_between_understood_keys_is_no_babble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candle_noise, "BABBLE_S", 0.2)
    async with bench(tmp_path, echo=False) as b:
        b.driver._presses.allows = lambda address, now_s: True  # type: ignore[method-assign]
        for count in range(1, 41):
            await b.port.write(b"\xff" * 8)
            b.far.press("panel-21", "arrive")
            await until(lambda n=count: len(b.pressed()) == n)
            await asyncio.sleep(0.01)
        assert b.hall.rejected == ["noise"] * 40
        assert DeviceLost("candle-1", "babble") not in b.hall.events


async def test_half_a_frame_is_not_completed_after_silence(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.port.write(Signal(0x21, 0x31).to_bytes()[:3])
        await until(lambda: b.hall.rejected == ["noise"])
        await b.port.write(b"\x07")
        b.far.press("panel-21", "arrive")
        await until(b.pressed)
    assert b.pressed() == [key("panel-21", "arrive")]


async def test_a_stuck_key_is_held_back(tmp_path: Path) -> None:
    async with bench(tmp_path, Hall(speed=0.1)) as b:
        for _ in range(50):
            b.far.press("panel-21", "next-or-recall")
        b.far.press("panel-22", "arrive")
        await until(lambda: key("panel-22", "arrive") in b.pressed())
    assert len(b.pressed()) == candle_noise.PRESSES_MAX + 1
    assert b.hall.rejected == ["stuck_key"] * 40


async def test_unplugged_and_plugged_in_under_another_name(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.show("panel-21", Lamp("on"))
        b.port.unplug()
        await until(lambda: isinstance(b.hall.events[-1], DeviceLost))
        with pytest.raises(Unreachable):
            await b.show("panel-21", Lamp("off"))
        with pytest.raises(Unreachable):
            await b.driver.act(Action("a1", "candle-1/button-1", Print("A012", "tax", 3)))
        b.far.power_cycle()
        b.port.replug()
        async with asyncio.timeout(3):
            await until(lambda: b.hall.events[-1] == BACK)
        await b.show("panel-21", Lamp("on"))  # asserted anew by the outputs: not taken for an old one
        await until(lambda: b.far.led("panel-21") == LED_GREEN)
        b.far.press("panel-21", "arrive")
        await until(b.pressed)
    assert [type(event) for event in b.hall.events] == [DeviceBack, DeviceLost, DeviceBack, KeyPressed]


async def test_contact_is_told_again_where_the_inbox_was_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candle_driver, "TELL_S", 0.05)
    hall = Hall(full=True)
    async with bench(tmp_path, hall):
        assert hall.events == []
        hall.full = False
        await until(lambda: hall.events == [BACK])


async def test_a_kiosk_shows_the_number_every_time(tmp_path: Path) -> None:
    async with bench(tmp_path, echo=False) as b:
        for _ in range(2):
            await b.driver.act(Action("a1", "candle-1/button-3", Print("A012", "estate", 3)))
        await until(lambda: b.far.frames_received["kiosk"] == 2)
        assert (b.far.text("kiosk"), b.far.blink("kiosk")) == ("A012   ", PRINTED_BLINK)
        with pytest.raises(Refused, match="say"):
            await b.driver.act(Action("a2", "candle-1/button-3", Say("请", "Please", "A012")))


async def test_a_kiosk_without_a_board_prints_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path, kiosk_board=None) as b:
        with pytest.raises(Refused, match="no printer"):
            await b.driver.act(Action("a1", "candle-1/button-3", Print("A012", "estate", 3)))


async def test_what_a_unit_cannot_show_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        for channel, value in (
            ("board-31", Lamp("on")),
            ("panel-21", CALLED),
            ("panel-99", Lamp("on")),
            ("", CALLED),
        ):
            with pytest.raises(Refused):
                await b.show(channel, value)
        assert b.far.frames_received.total() == 0


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"boards": {"b": {"address": 0x21}}}, "address of panel-21"),
        ({"boards": {"panel-21": {"address": 0x41}}}, "names a panel and a board"),
        ({"kiosk_board": "nowhere"}, "is not one of boards"),
        ({"baudrate": 9600}, "baudrate"),
        ({"buttons": {"0": "tax"}}, "buttons"),
        ({"buttons": {"32": "tax"}}, "buttons"),
        ({"panels": {"p": {"address": 0x1F}}}, "address"),
        ({"panels": {"p": {"adress": 0x21}}}, "adress"),
    ],
)
def test_options_that_cannot_work_are_told(more: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        options(**more)
