"""What a bad line does to a Candle bus, on real ptys: echo, damage, babble, half frames."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from devices.candle485 import driver as candle_driver
from devices.candle485.codec import Signal
from devices.candle485.echo import Echo
from devices.candle485.fake import CandleFaults
from edged.core.model.commands import Lamp, Panel
from edged.core.model.events import DeviceLost, TicketRequested
from edged.core.model.point import Point
from edged.driver import Unreachable
from edged.links import memory, noise
from tests.support.candle_bench import BACK, bench, key
from tests.support.modbus_peers import until


@pytest.mark.parametrize("echo", [True, None])
async def test_our_own_echo_presses_no_key(tmp_path: Path, echo: bool | None) -> None:
    async with bench(tmp_path, echo=echo) as b:
        b.far.faults = CandleFaults(echo=True)
        for state in ("OPEN", "SERVING", "ACTIVATING", "PAUSED") * 3:  # LED codes that are keys, too
            await b.show("panel-22", Panel("w2", state, 1))
            await b.show("panel-21", Panel("w1", state, 1))
            b.far.press("panel-21", "arrive")
        await until(lambda: len(b.pressed()) == 12)
        assert set(b.pressed()) == {key("panel-21", "arrive")}
        assert b.hall.rejected == []
        await until(lambda: b.driver._echo.echoes == b.far.frames_received.total() >= 24)


async def test_an_adapter_without_echo_is_recognised_and_loses_no_key_meanwhile(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        for count, state in enumerate(("OPEN", "SERVING") * 4, 1):
            b.far.press("panel-22", "arrive")  # the very bytes that an LED command would echo as
            await b.show("panel-21", Panel("w1", state, 1))
            await until(lambda: len(b.pressed()) == count)
        assert b.driver._echoes is False
        assert b.hall.rejected == []


async def test_an_adapter_that_stops_echoing_is_opened_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.far.faults = CandleFaults(echo=True)
        await b.show("panel-22", Lamp("on"))
        b.far.faults = CandleFaults()
        for turn in range(candle_driver.ECHO_MISSES_MAX):
            await b.show("panel-22", Lamp("off" if turn % 2 else "blink"))
        await until(
            lambda: (
                b.hall.events == [BACK, DeviceLost(Point("candle-1"), "no-echo", "no echo any more"), BACK]
            )
        )


async def test_whether_an_adapter_echoes_is_found_out_anew_for_the_next_adapter(tmp_path: Path) -> None:
    """The first does not hear itself; the one plugged in for it does, and LED codes are keys, too."""
    async with bench(tmp_path) as b:
        for turn in range(candle_driver.ECHO_MISSES_MAX):
            await b.show("panel-22", Lamp("on" if turn % 2 else "off"))
        assert b.driver._echoes is False
        b.port.unplug()
        await until(lambda: isinstance(b.hall.events[-1], DeviceLost))
        b.far.faults = CandleFaults(echo=True)
        b.port.replug()
        await until(lambda: b.hall.events[-1] == BACK)
        for state in ("OPEN", "SERVING", "ACTIVATING", "PAUSED") * 2:
            await b.show("panel-21", Panel("w1", state, 1))
            await b.show("panel-22", Panel("w2", state, 1))
        b.far.press("panel-21", "arrive")
        await until(lambda: b.pressed() != [])
        assert b.pressed() == [key("panel-21", "arrive")]


def test_only_echoes_missed_in_a_row_count() -> None:
    echo = Echo(sure=True)
    for received in (b"", b"", b"abcd", b"", b"abxd"):  # missed twice, heard, missed, heard with damage
        echo.sent(b"abcd")
        echo.feed(received)
        echo.expire()
    assert (echo.echoes, echo.damaged, echo.missed) == (1, 1, 0)


async def test_damaged_echoes_press_no_key(tmp_path: Path) -> None:
    line = memory.WireFaults(flip_byte=0.08, lose_byte=0.04)
    async with bench(tmp_path, line=line, echo=True) as b:
        b.far.faults = CandleFaults(echo=True)
        for turn in range(40):
            await b.show("panel-22", Lamp("on" if turn % 2 else "off"))
        assert b.pressed() == [], "seed 7"
        assert b.hall.rejected.count("echo_damaged") >= 5
        assert b.hall.events == [BACK]


async def test_a_line_that_damages_one_byte_in_a_hundred_costs_few_keys_and_never_the_bus(
    tmp_path: Path,
) -> None:
    line = memory.WireFaults(lose_byte=0.003, flip_byte=0.004, insert_byte=0.003, split=0.5)
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


async def test_a_babbling_bus_is_lost_once_and_back_when_it_is_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise, "BABBLE_S", 0.4)
    monkeypatch.setattr(noise, "QUIET_S", 0.2)
    async with bench(tmp_path, echo=False) as b:
        b.far.babble(True)
        await until(lambda: b.hall.events[-1] == DeviceLost(Point("candle-1"), "babble"))
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
        DeviceLost(Point("candle-1"), "babble"),
        BACK,
        TicketRequested(Point("candle-1/button-3"), "estate"),
    ]
    assert len(b.hall.rejected) == rejected  # a bus given up for lost is not counted byte by byte


async def test_noise_between_readable_keys_does_not_count_as_babble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise, "BABBLE_S", 0.2)
    async with bench(tmp_path, echo=False) as b:
        b.driver._presses.allows = lambda address, now_s: True  # type: ignore[method-assign]
        for count in range(1, 41):
            await b.port.write(b"\xff" * 8)
            b.far.press("panel-21", "arrive")
            await until(lambda: len(b.pressed()) == count)
            await asyncio.sleep(0.01)
        assert b.hall.rejected == ["noise"] * 40
        assert DeviceLost(Point("candle-1"), "babble") not in b.hall.events


async def test_half_a_frame_is_not_completed_after_silence(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.port.write(Signal(0x21, 0x31).to_bytes()[:3])
        await until(lambda: b.hall.rejected == ["noise"])
        await b.port.write(b"\x07")
        b.far.press("panel-21", "arrive")
        await until(b.pressed)
    assert b.pressed() == [key("panel-21", "arrive")]
