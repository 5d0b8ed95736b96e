"""The Candle driver on real ptys: what people press and see, what the core is told, what a bad bus does."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from devices.candle485 import driver as candle_driver
from devices.candle485.codec import BLINK, BLINK_NONE, LED_GREEN, LED_GREEN_FAST, LED_OFF, LED_RED, Signal
from devices.candle485.signs import PRINTED_BLINK
from edged import driver as contract
from edged.core.model.commands import Action, Display, Lamp, Panel, Print, Say
from edged.core.model.events import DeviceBack, DeviceLost, InputRefused, KeyPressed, TicketRequested
from edged.core.model.point import Point
from edged.driver import Refused, Unreachable
from edged.links import noise
from edged.shapes import Misshapen
from tests.support.candle_bench import BACK, Hall, bench, key, options
from tests.support.modbus_peers import until

CALLED = Display(("3号窗口 Window 3", "请A012号 Please come"), ("A012", "3"), calling=True)


async def test_keys_and_buttons_reach_the_core_and_the_first_contact_is_reported_once(tmp_path: Path) -> None:
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
        TicketRequested(Point("candle-1/button-3"), "estate"),
    ]
    assert b.hall.rejected == []
    assert b.far.frames_sent == {"panel-22": 4, "panel-21": 1, "button-3": 1}


async def test_frames_of_unknown_addresses_and_keys_are_refused_with_a_reason(tmp_path: Path) -> None:
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


async def test_with_a_configured_kiosk_address_buttons_of_other_addresses_are_refused(tmp_path: Path) -> None:
    async with bench(tmp_path, kiosk_address=0x50) as b:
        b.far.press_button(1)
        await b.port.write(Signal(0x50, 1).to_bytes() + Signal(0x50, 9).to_bytes())
        refused = InputRefused(Point("candle-1"), "request", "unknown_button")  # somebody wants a number
        await until(lambda: refused in b.hall.events)
    assert b.pressed() == [TicketRequested(Point("candle-1/button-1"), "tax")]
    assert b.hall.rejected == ["unknown_button"] * 2


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
async def test_a_panel_shows_the_state_and_number_of_its_window(
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
    ("call", "calling", "blink", "text"),
    [
        (("A012", "3"), True, BLINK, "A012- 3"),
        (("AB012", "12"), False, BLINK_NONE, "AB012  "),
        (("A045", "98"), False, BLINK_NONE, "A045-98"),
        (None, False, BLINK_NONE, "-------"),
    ],
)
async def test_a_board_shows_the_newest_ticket(
    tmp_path: Path, call: tuple[str, str] | None, calling: bool, blink: int, text: str
) -> None:
    async with bench(tmp_path, echo=False) as b:
        await b.show("board-31", Display(("whatever the policy's words are",), call, calling))
        await until(lambda: b.far.text("board-31"))
        assert (b.far.blink("board-31"), b.far.text("board-31")) == (blink, text)


async def test_a_clerk_asked_to_a_window_hears_one_beep_however_often_the_level_is_sent(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, echo=False) as b:
        for count in range(1, 4):
            await b.show("panel-22", Panel("w2", "ACTIVATING", 9))
            await until(lambda: b.far.frames_received["panel-22"] == count)
        assert b.far.units["panel-22"].beeps == 1
        assert b.far.led("panel-22") == LED_GREEN_FAST
        await b.show("panel-22", Lamp("on"))
        await until(lambda: b.far.led("panel-22") == LED_GREEN)


async def test_frames_are_spaced_and_only_the_newest_value_of_a_unit_is_sent(tmp_path: Path) -> None:
    arrivals: list[tuple[float, bytes]] = []
    hall = Hall(speed=10.0)
    async with bench(tmp_path, hall, echo=False) as b:
        port_write = b.driver._link.write

        async def timed(data: bytes) -> None:
            arrivals.append((hall.clock.now_s(), data))
            await port_write(data)

        b.driver._link.write = timed  # type: ignore[method-assign]
        async with asyncio.TaskGroup() as shows:
            for number in range(20, 40):
                shows.create_task(b.show("panel-21", Panel("w1", "CALLING", 1, f"A{number:03d}")))
        await until(lambda: b.far.text("panel-21") == "039")
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(arrivals)]
    assert min(gaps) >= 0.2
    assert len(arrivals) == 2  # one LED, one number: 19 numbers were overtaken while they waited


async def test_a_changed_value_is_sent_before_repeated_ones(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("panels", [1, 20, 64])
async def test_repeating_all_values_takes_at_most_half_the_time_of_the_bus(
    tmp_path: Path, panels: int
) -> None:
    """Frames of one round are counted on the wire: with their pauses they fill half the time at most."""
    units = {f"p{n}": {"address": 0x20 + n, "digits": n % 2 == 0} for n in range(panels)}
    chosen = options(panels=units, boards={}, kiosk_board=None, bus_pause_ms=100)
    driver = candle_driver.Candle485(Hall().context(), chosen)
    one_panel = Panel("w1", "OPEN", 9)
    frames = sum(len(driver._frames(name, one_panel)) for name in units)
    assert driver.reassert_s >= 2 * frames * 0.1


async def test_presses_of_a_stuck_key_are_limited(tmp_path: Path) -> None:
    async with bench(tmp_path, Hall(speed=0.1)) as b:
        for _ in range(50):
            b.far.press("panel-21", "next-or-recall")
        b.far.press("panel-22", "arrive")
        await until(lambda: key("panel-22", "arrive") in b.pressed())
    assert len(b.pressed()) == noise.PRESSES_MAX + 1
    assert b.hall.rejected == ["stuck_key"] * 40


async def test_a_bus_plugged_in_again_under_another_port_name_works_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.show("panel-21", Lamp("on"))
        b.port.unplug()
        await until(lambda: isinstance(b.hall.events[-1], DeviceLost))
        with pytest.raises(Unreachable):
            await b.show("panel-21", Lamp("off"))
        with pytest.raises(Unreachable):
            await b.driver.act(Action("a1", Point("candle-1/button-1"), Print("A012", "tax", 3)))
        b.far.power_cycle()
        b.port.replug()
        async with asyncio.timeout(3):
            await until(lambda: b.hall.events[-1] == BACK)
        await b.show("panel-21", Lamp("on"))  # asserted anew by the outputs: not taken for an old one
        await until(lambda: b.far.led("panel-21") == LED_GREEN)
        b.far.press("panel-21", "arrive")
        await until(b.pressed)
    assert [type(event) for event in b.hall.events] == [DeviceBack, DeviceLost, DeviceBack, KeyPressed]


async def test_the_first_contact_is_reported_again_after_the_inbox_was_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "REPORT_AGAIN_S", 0.05)
    hall = Hall(full=True)
    async with bench(tmp_path, hall):
        assert hall.events == []
        hall.full = False
        await until(lambda: hall.events == [BACK])


async def test_a_kiosk_shows_the_number_every_time(tmp_path: Path) -> None:
    async with bench(tmp_path, echo=False) as b:
        for _ in range(2):
            await b.driver.act(Action("a1", Point("candle-1/button-3"), Print("A012", "estate", 3)))
        await until(lambda: b.far.frames_received["kiosk"] == 2)
        assert (b.far.text("kiosk"), b.far.blink("kiosk")) == ("A012   ", PRINTED_BLINK)
        with pytest.raises(Refused, match="say"):
            await b.driver.act(Action("a2", Point("candle-1/button-3"), Say("请", "Please", "A012")))


async def test_a_kiosk_without_a_board_prints_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path, kiosk_board=None) as b:
        with pytest.raises(Refused, match="no printer"):
            await b.driver.act(Action("a1", Point("candle-1/button-3"), Print("A012", "estate", 3)))


async def test_values_that_a_unit_cannot_show_are_refused(tmp_path: Path) -> None:
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
def test_candle_options_that_cannot_work_are_refused_with_the_reason(
    more: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(Misshapen, match=complaint):
        options(**more)


def test_only_a_bus_with_a_kiosk_acts_as_a_dispenser() -> None:
    assert options().buttons
    assert options().reports() == {"dispenser"}
    assert structs.replace(options(), buttons={}).reports() == set()
