"""The LED bar's driver against its fake, on real ptys: acknowledged text, dead-man, loss and return, hostile wires."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import pytest

from devices.onbon_bx import codec, driver
from devices.onbon_bx.driver import OnbonBx, OnbonOptions, rows
from devices.onbon_bx.fake import BarFaults, FakeOnbon
from edged.clock import monotonic_s
from edged.core.model.commands import Action, Display, Lamp, Print, Say
from edged.core.model.events import DeviceBack, DeviceLost
from edged.core.model.point import Point
from edged.driver import DeviceError, Garbled, Refused, Unreachable
from edged.links import dialogue
from edged.links.memory import WireFaults as WireFaults
from edged.links.pty import Pty
from edged.shapes import read
from tests.support.brokers import until
from tests.support.listening_core import ListeningCore

BAR = "led-tax"
CALL = Display(("税务综合 等候3人", "A012→3号窗口"))
BACK, LOST = DeviceBack(Point(BAR)), DeviceLost(Point(BAR), "no-answer", "no answer from the LED card")


class Bar:
    """A driver, a fake bar and the serial line between them."""

    def __init__(self, port: Pty, seed: int = 0, **options: object) -> None:
        settings = {"deadline_ms": 100, **options}
        self.options = read(OnbonOptions, {"path": port.path, **settings})
        self.port = port
        self.core = ListeningCore(BAR)
        self.fake = FakeOnbon(port.send, lambda: self.core.hall_s, self.options.model == "5k", seed)
        self.driver = OnbonBx(self.core.context, self.options)


@contextlib.asynccontextmanager
async def life(bar: Bar, receive: Callable[[bytes], None] | None = None) -> AsyncIterator[None]:
    """Run driver and line while the context is open; ``receive`` gets the bytes instead of the fake bar."""
    async with asyncio.TaskGroup() as tasks:
        lives = (bar.port.run(receive or bar.fake.feed, lambda _up, _reason: None), bar.driver.run())
        started = [tasks.create_task(one) for one in lives]
        try:
            yield
        finally:
            for task in started:
                task.cancel()


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Pty]:
    pty = Pty(tmp_path / "led")
    pty.plug()
    yield pty
    pty.close()


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "RETRY_S", 0.05)


@pytest.mark.parametrize("model", ["5k", "6k"])
async def test_lines_are_shown_row_by_row_and_acknowledged(port: Pty, model: str) -> None:
    bar = Bar(port, model=model, width=192, height=48)
    async with life(bar):
        await bar.core.reported(BACK)
        await bar.driver.show(Point(BAR), CALL)
        assert bar.fake.shown == ("税务综合 等候3人", "A012→3号窗口", "")
        await bar.driver.show(Point(f"{BAR}/area-2"), Display(("B001", "→5")))
        assert bar.fake.shown == ("税务综合 等候3人", "A012→3号窗口", "B001 →5")
        assert bar.options.point_channels() == {"", "area-0", "area-1", "area-2"}
        for wrong in ("area-3", "area-x", "3"):
            with pytest.raises(Refused, match="area-0 to area-2"):
                await bar.driver.show(Point(f"{BAR}/{wrong}"), CALL)
        with pytest.raises(Refused):
            await bar.driver.show(Point(BAR), Lamp("on"))


async def test_the_first_contact_switches_the_screen_on_and_sets_its_brightness(port: Pty) -> None:
    bar = Bar(port, brightness=3)
    bar.fake.powered = False
    async with life(bar):
        await bar.core.reported(BACK)
        assert (bar.fake.powered, bar.fake.brightness) == (True, 3)


async def test_a_bar_with_a_voice_speaks_once_and_keeps_its_text(port: Pty) -> None:
    bar = Bar(port, voice=True)
    bar.core.speed = 50.0
    async with life(bar):
        await bar.core.reported(BACK)
        await bar.driver.show(Point(BAR), CALL)
        say = Say("请A012号到3号窗口", "Ticket A012, window 3", "A012")
        before_s = bar.core.hall_s
        await bar.driver.act(Action("1", Point(BAR), say))
        assert list(bar.fake.spoken) == ["请A012号到3号窗口"]
        assert bar.fake.shown == CALL.lines
        assert bar.core.hall_s - before_s >= 3.0  # the next one would cut it short
        with pytest.raises(Refused):
            await bar.driver.act(Action("2", Point(BAR), Print("A012", "tax", 3)))
    with pytest.raises(Refused):
        await Bar(port).driver.act(Action("3", Point(BAR), say))


async def test_the_text_goes_dark_when_it_is_no_longer_repeated(port: Pty) -> None:
    bar = Bar(port, dead_man_s=30)
    async with life(bar):
        await bar.core.reported(BACK)
        await bar.driver.show(Point(BAR), CALL)
        bar.core.hall_s += 29.0
        assert bar.fake.shown == CALL.lines
        await bar.driver.show(Point(BAR), CALL)
        bar.core.hall_s += 29.0
        assert bar.fake.shown == CALL.lines
        bar.core.hall_s += 2.0
        assert bar.fake.shown == ("", "")
    assert bar.driver.reassert_s * 3 <= 30


async def test_a_nack_of_the_card_is_a_refusal_and_no_loss(port: Pty) -> None:
    bar = Bar(port)
    async with life(bar):
        await bar.core.reported(BACK)
        bar.fake.faults = BarFaults(nack=1.0)
        for _ in range(4):
            with pytest.raises(Refused):
                await bar.driver.show(Point(BAR), CALL)
    assert bar.core.events == [BACK]


async def test_a_silent_bar_is_unreachable_and_reported_lost_once_and_back_once(port: Pty) -> None:
    bar = Bar(port)
    async with life(bar):
        await bar.core.reported(BACK)
        bar.fake.alive = False
        started_s = monotonic_s()
        with pytest.raises(Unreachable):
            await bar.driver.show(Point(BAR), CALL)
        assert monotonic_s() - started_s < bar.driver.deadline_s
        await bar.core.reported(BACK, LOST)
        with pytest.raises(Unreachable):
            await bar.driver.show(Point(BAR), CALL)
        bar.fake.alive = True
        await bar.core.reported(BACK, LOST, BACK)
        await bar.driver.show(Point(BAR), CALL)
        assert bar.fake.shown == CALL.lines


async def test_a_dead_bar_is_noticed_by_pings_alone(port: Pty) -> None:
    bar = Bar(port)
    bar.core.speed = 20.0
    async with life(bar):
        await bar.core.reported(BACK)
        bar.fake.alive = False
        died_s = bar.core.hall_s
        await bar.core.reported(BACK, LOST)
        # One ping's time, then the doubt is settled at once; the tolerance is one look at the clock.
        assert bar.core.hall_s - died_s <= driver.PING_S + dialogue.CHECK_S


async def test_an_absent_bar_is_lost_at_the_start_and_its_port_is_reopened(port: Pty) -> None:
    bar = Bar(port, deadline_ms=50)
    bar.fake.alive = False
    async with life(bar):
        await bar.core.reported(LOST)
        await until(lambda: vars(bar.driver._link)["opened"] >= 2)
        assert bar.core.events == [LOST]
        bar.fake.alive = True
        await bar.core.reported(LOST, BACK)


async def test_a_garbage_answer_raises_garbled_and_the_bar_is_not_lost(port: Pty) -> None:
    bar = Bar(port, seed=4)
    async with life(bar):
        await bar.core.reported(BACK)
        bar.fake.faults = BarFaults(garble=1.0)
        with pytest.raises(Garbled):
            await bar.driver.show(Point(BAR), CALL)
        bar.fake.faults = BarFaults()
        await until(lambda: not bar.driver._dialogue.missed)
        await bar.driver.show(Point(BAR), CALL)
    assert bar.core.events == [BACK]
    assert "garbled_frame" in bar.core.rejections.reasons


async def test_a_late_answer_of_the_bar_is_not_taken_for_the_next_request(port: Pty) -> None:
    bar = Bar(port)
    async with life(bar):
        await bar.core.reported(BACK)
        bar.fake.faults = BarFaults(late=1.0, late_s=0.15)  # 1.5 deadlines
        with pytest.raises(Unreachable):
            await bar.driver.show(Point(BAR), CALL)
        bar.fake.faults = BarFaults(nack=1.0)  # what the next request must be told
        with pytest.raises(Refused):
            await bar.driver.show(Point(BAR), CALL)
    assert bar.core.rejections.reasons.count("late_answer") == 1


async def test_echoes_of_the_adapter_do_not_affect_the_bar(port: Pty) -> None:
    bar = Bar(port)

    def echo(data: bytes) -> None:
        port.send(data)
        bar.fake.feed(data)

    async with life(bar, echo):
        await bar.core.reported(BACK)
        await bar.driver.show(Point(BAR), CALL)
        assert bar.fake.shown == CALL.lines
        bar.fake.alive = False
        with pytest.raises(Unreachable):  # its own echo is nobody's answer
            await bar.driver.show(Point(BAR), CALL)
    assert bar.core.rejections == []


async def test_a_bar_is_driven_over_the_network(port: Pty) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fake = FakeOnbon(writer.write, lambda: 0.0)
        fakes.append(fake)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1000):
                fake.feed(data)
        writer.close()

    fakes: list[FakeOnbon] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    bar = Bar(port)
    bar.options = OnbonOptions(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    bar.driver = OnbonBx(bar.core.context, bar.options)
    async with life(bar):
        await bar.core.reported(BACK)
        await bar.driver.show(Point(BAR), CALL)
        assert fakes[0].shown == CALL.lines
    server.close()


async def test_a_bar_whose_port_is_unplugged_is_lost_and_back_after_replugging(port: Pty) -> None:
    bar = Bar(port)
    async with life(bar):
        await bar.core.reported(BACK)
        port.unplug()
        await until(lambda: len(bar.core.events) == 2)
        with pytest.raises(Unreachable):
            await bar.driver.show(Point(BAR), CALL)
        port.replug()
        await until(lambda: len(bar.core.events) == 3)
        await bar.driver.show(Point(BAR), CALL)
        assert bar.fake.shown == CALL.lines
    assert [type(event) for event in bar.core.events] == [DeviceBack, DeviceLost, DeviceBack]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_on_a_noisy_wire_every_confirmed_text_is_shown_and_only_device_errors_are_raised(
    tmp_path: Path, seed: int
) -> None:
    noise = WireFaults(flip_byte=0.01, lose_byte=0.01, insert_byte=0.01, split=0.5)
    port = Pty(tmp_path / "led", noise, seed)
    port.plug()
    bar = Bar(port, seed, deadline_ms=50)
    bar.core.speed = 5.0
    wanted = [Display((f"A{n:03}→3号窗口", "")) for n in range(1, 21)]
    shown = 0
    async with life(bar):
        for value in wanted:
            with contextlib.suppress(DeviceError):
                await until(lambda: bool(bar.driver._dialogue.reachable))
                await bar.driver.show(Point(BAR), value)
                assert bar.fake.shown == value.lines, f"acknowledged and not shown, seed={seed}"
                shown += 1
    port.close()
    assert shown >= 3, f"seed={seed}"
    changes = [type(event) for event in bar.core.events]
    assert all(a is not b for a, b in pairwise(changes)), f"seed={seed}"


async def test_the_late_answer_to_a_cancelled_request_is_not_taken_for_the_next(port: Pty) -> None:
    bar = Bar(port, deadline_ms=200)
    async with life(bar):
        await bar.core.reported(BACK)
        bar.fake.faults = BarFaults(late=1.0, late_s=0.1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.03):
                await bar.driver.show(Point(BAR), CALL)
        bar.fake.faults = BarFaults(nack=1.0)
        with pytest.raises(Refused):
            await bar.driver.show(Point(BAR), CALL)


def test_rows_fill_the_bar_and_long_lines_scroll() -> None:
    options = OnbonOptions(path="/dev/null", width=64, height=48, first_area=2)
    short, long, empty = rows(("请A012号", "请A012号 Please come"), options)
    assert [area.id for area in (short, long, empty)] == [2, 3, 4]
    assert (short.disp, long.disp, empty.text) == (codec.STATIC, codec.SCROLL_LEFT, "")
    assert [area.y for area in (short, long, empty)] == [0, 16, 32]
    assert all(area.run_mode == codec.BLANK_ON_TIMEOUT for area in (short, long, empty))
    [first, *_] = rows(("\\C1红",), options)
    assert first.text == "/C1红"


@pytest.mark.parametrize("options", [{}, {"path": "/dev/x", "host": "h"}, {"path": "x", "width": 20}])
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"path|host|width"):
        read(OnbonOptions, options)
