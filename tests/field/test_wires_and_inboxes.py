"""What every driver owes: a deadline that knows the line, and a loss that is told again where the inbox was full."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from devices.onbon_bx import codec
from devices.onbon_bx.driver import BITS_OF_A_BYTE, OnbonBx, OnbonOptions, rows
from devices.onbon_bx.fake import FakeOnbon
from edged import driver as contract
from edged.core.model.commands import Action, Display, Say
from edged.core.model.events import DeviceBack, DeviceLost, Event
from edged.core.model.point import Point
from edged.driver import DeviceContext, Presence
from edged.links.modbus.frames import rtu_frame
from edged.links.modbus.link import ModbusBus
from edged.links.pty import Pty
from edged.shapes import read
from tests.support.brokers import until
from tests.support.modbus_peers import RawLine

BAR = "bar"
LONG = (
    "请持有预约号的办事群众到三楼综合窗口取件，谢谢配合；" * 8
)  # 400 bytes of GBK: half a second at 9600 baud


class SlowLine:
    """A bar at the end of a line of ``baudrate``: it answers when the last byte of a frame has come."""

    def __init__(self, folder: Path, baudrate: int, **options: object) -> None:
        self.port = Pty(folder / "led")
        self.port.plug()
        self.options = read(
            OnbonOptions, {"path": self.port.path, "baudrate": baudrate, "deadline_ms": 100, **options}
        )
        self.byte_s = BITS_OF_A_BYTE / baudrate
        self.full = False
        self.events: list[Event] = []
        self.fake = FakeOnbon(self.port.send, asyncio.get_running_loop().time)
        self.received: list[bytes] = []
        self.driver = OnbonBx(self.context(), self.options)

    def context(self) -> DeviceContext:
        now_s = asyncio.get_running_loop().time
        return DeviceContext(BAR, "h", self.emit, lambda reason, detail="": None, asyncio.sleep, now_s, None)

    def emit(self, event: Event, ack: Callable[[], None] | None = None) -> bool:
        if not self.full:
            self.events.append(event)
        return not self.full

    def feed(self, data: bytes) -> None:
        self.received.append(data)
        asyncio.get_running_loop().call_later(len(data) * self.byte_s, self.fake.feed, data)

    async def live(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        lives = (self.port.run(self.feed, lambda _up, _reason: None), self.driver.run())
        started = [tasks.create_task(one) for one in lives]
        await until(lambda: self.events == [DeviceBack(Point(BAR))])
        return started


@pytest.mark.parametrize("baudrate", [9600, 19200])
async def test_a_long_text_on_a_slow_line_is_confirmed_within_a_longer_deadline(
    tmp_path: Path, baudrate: int
) -> None:
    line = SlowLine(tmp_path, baudrate)
    async with asyncio.TaskGroup() as tasks:
        started = await line.live(tasks)
        await line.driver.show(Point(BAR), Display((LONG, "A012→3号窗口")))
        assert line.fake.shown[1] == "A012→3号窗口"
        assert line.driver.deadline_s > 4 * 0.1 + 2 * len(LONG.encode("gbk")) * line.byte_s
        for task in started:
            task.cancel()
    assert line.events == [DeviceBack(Point(BAR))], "a slow line is no loss"


async def test_a_loss_that_met_a_full_inbox_is_reported_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "REPORT_AGAIN_S", 0.05)
    line = SlowLine(tmp_path, 115200)
    async with asyncio.TaskGroup() as tasks:
        started = await line.live(tasks)
        line.full = True
        line.fake.alive = False
        await until(lambda: not line.driver._dialogue.reachable)
        await asyncio.sleep(0.1)
        assert len(line.events) == 1
        line.full = False
        await until(lambda: len(line.events) == 2)
        assert isinstance(line.events[1], DeviceLost)
        for task in started:
            task.cancel()


async def test_presence_changes_are_reported_once_and_only_the_newest_after_a_full_inbox(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contract, "REPORT_AGAIN_S", 0.01)
    events: list[Event] = []
    full = False

    def emit(event: Event, ack: Callable[[], None] | None = None) -> bool:
        if not full:
            events.append(event)
        return not full

    now_s = asyncio.get_running_loop().time
    known = Presence(
        DeviceContext("d", "h", emit, lambda reason, detail="": None, asyncio.sleep, now_s, None)
    )
    lost, back = DeviceLost(Point("d"), "why"), DeviceBack(Point("d"))
    known.lost("why")
    known.lost("other")
    assert events == [lost]
    known.back()
    known.back()
    assert events == [lost, back]
    full = True
    known.lost("why")
    known.back()
    known.lost("why")
    full = False
    await asyncio.sleep(0.05)
    assert events == [lost, back, lost]
    known.unknown()
    known.lost("why")
    assert events == [lost, back, lost], "told already"
    known.forget()
    known.lost("why")
    assert events == [lost, back, lost, lost], "a driver that begins anew says it anew"


def test_all_drivers_report_presence_through_the_shared_code() -> None:
    folder = Path(__file__).parents[2] / "devices"
    for file in folder.glob("*/driver.py"):
        text = file.read_text()
        assert any(one in text for one in ("Presence(context)", "BusListener[", "Dialogue[")), (
            file
        )  # they have one
        assert "DeviceLost(" not in text, file


async def test_a_call_is_spoken_once_and_a_long_line_scrolls_at_a_readable_speed(tmp_path: Path) -> None:
    line = SlowLine(tmp_path, 115200, voice=True, scroll_speed=7)
    async with asyncio.TaskGroup() as tasks:
        started = await line.live(tasks)
        await line.driver.act(Action("a1", Point(BAR), Say("请", "", "A012")))
        assert list(line.fake.spoken) == ["请"]
        for task in started:
            task.cancel()
    repeats = codec.encode_area(
        codec.ScreenArea(0, 0, 0, 64, 16, "", speech=codec.Speech("请")), units_of_8=False
    )
    assert repeats[14] >> 4 == 0, "the vendor's 0 plays once"
    short, long = rows(("短", LONG), line.options)
    assert (short.disp, short.speed) == (codec.STATIC, 0)
    assert (long.disp, long.speed) == (codec.SCROLL_LEFT, 7)


async def test_a_modbus_deadline_starts_when_the_request_has_been_sent_completely() -> None:
    """At 1200 baud a request and its answer take 130 ms by themselves, which is no fault of the module."""
    answer = rtu_frame(1, b"\x01\x01\x05")
    line = RawLine(lambda data: line.send_later(0.1, answer))
    bus = ModbusBus(f"rtu://{line.path}?baudrate=1200")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bus.run())
        await until(lambda: bus.connected)
        assert (await bus.read_coils(1, 0, 8, deadline_s=0.05))[0]
        running.cancel()
    line.close()
    assert bus.counts.timeouts == 0
