"""The relay driver against modules with real coils: what a person sees, what the core is told, what survives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest

from devices.modbus_relay import driver as relay_driver
from devices.modbus_relay.driver import ModbusRelay, RelayOptions
from devices.modbus_relay.fake import FakeLine, FakeRelay, FakeTcp, RelayFaults
from devices.modbus_relay.profiles import profile_of
from edged.clock import Clock, Warp
from edged.core.model.commands import Action, Display, Lamp, Say
from edged.core.model.events import DeviceBack, DeviceLost, Event, HealthRead
from edged.core.model.point import Point
from edged.driver import DeviceContext, DeviceError, Refused, Unreachable
from edged.links.modbus.frames import READ_COILS
from edged.links.modbus.link import ModbusBus
from edged.links.modbus.queue import Pace
from edged.shapes import read
from tests.support.modbus_peers import RawLine, pymodbus_tcp, running, sim_device, until, up

QUICK = Pace(rest_min_s=0.02, rest_max_s=0.1, owed_s=0.2)
ON, OFF, BLINK = Lamp("on"), Lamp("off"), Lamp("blink")


@dataclass
class Hall:
    """Hall time, ``speed`` times faster than real time, and everything that the driver tells the core.

    ``well``: points of which the first word was that they are well; they stand in no list of events.
    """

    speed: float = 10.0
    events: list[Event] = field(default_factory=list)
    well: list[Point] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    full: bool = False

    def __post_init__(self) -> None:
        self.clock = Clock(warp=Warp(self.speed, 0, 0))

    def emit(self, event: Event, ack: Callable[[], None] | None = None) -> bool:
        first = not any(
            isinstance(one, HealthRead) and one.point == getattr(event, "point", "") for one in self.events
        )
        if not self.full and first and isinstance(event, HealthRead) and event.fault is None:
            self.well.append(event.point)
        elif not self.full:
            self.events.append(event)
        return not self.full

    def reject(self, reason: str, detail: str = "") -> None:
        self.rejected.append(reason)

    def context(self, device: str = "relay-1") -> DeviceContext:
        return DeviceContext(device, "h", self.emit, self.reject, self.clock.sleep, self.clock.now_s, None)

    def module(self, profile: str = "waveshare", channels: int = 8, unit: int = 1) -> FakeRelay:
        return FakeRelay(self.clock.now_s, channels, unit, profile_of(profile))


@asynccontextmanager
async def lamps_on(
    hall: Hall, module: FakeRelay, hangs_up: bool = False, **options: Any
) -> AsyncIterator[ModbusRelay]:
    """Run a driver on ``module`` over TCP from its first contact; ``hangs_up``: it closes after each answer."""
    far = FakeTcp([module])
    far.hangs_up = hangs_up
    url = await far.start()
    relay = ModbusRelay(hall.context(), RelayOptions(url=url, **options), ModbusBus(url, QUICK))
    async with running(relay):
        await until(lambda: relay._bus.connected)
        if module.profile.reads:
            await until(lambda: hall.events)
        yield relay
    await far.stop()


async def test_the_first_contact_is_reported_once_and_lamps_follow() -> None:
    hall = Hall()
    module = hall.module(channels=32)
    async with lamps_on(hall, module, profile="waveshare", channels=32) as relay:
        await relay.show(Point("relay-1/0"), ON)
        await relay.show(Point("relay-1/31"), ON)
        assert [c for c in range(32) if module.lit(c)] == [0, 31]
        await relay.show(Point("relay-1/0"), OFF)
        assert not module.level(0)
        await until(lambda: module.seen(0) == "off")
        polls = module.frames[READ_COILS]
        await until(lambda: module.frames.get(READ_COILS, 0) >= polls + 2)
    assert hall.events == [DeviceBack(Point("relay-1"))]


async def test_a_lamp_stays_lit_beyond_its_timeout_only_while_the_controller_renews_it() -> None:
    """15 s loans, re-armed each 5 s of hall time; when the driver dies, the lamp goes dark by itself."""
    hall = Hall(speed=25)
    module = hall.module()
    async with lamps_on(hall, module, profile="waveshare") as relay:
        await relay.show(Point("relay-1/2"), ON)
        start_s = hall.clock.now_s()
        while hall.clock.now_s() < start_s + 35:
            assert module.lit(2)
            await asyncio.sleep(0.01)
        assert {write.value for write in module.writes} == {150}
        assert 5 <= len(module.writes) <= 12
    dead_s = hall.clock.now_s()
    await until(lambda: not module.level(2))
    assert hall.clock.now_s() - dead_s < 16


@pytest.mark.parametrize("profile", ["waveshare", "plain"])
async def test_a_blinking_lamp_is_read_back_as_blinking_and_ends_at_once(profile: str) -> None:
    hall = Hall()
    module = hall.module(profile)
    async with lamps_on(hall, module, profile=profile, blink_hz=1.0) as relay:
        await relay.show(Point("relay-1/1"), BLINK)
        await until(lambda: len(module.coils[1].changes) >= 9)
        assert module.seen(1) == "blink"
        changes = list(module.coils[1].changes)
        halves = [late - early for early, late in pairwise(changes[1:])]
        assert all(0.2 < half < 0.9 for half in halves), halves
        await relay.show(Point("relay-1/1"), BLINK)  # a re-assertion does not break the rhythm
        await relay.show(Point("relay-1/1"), OFF)
        assert not module.level(1)
        count = len(module.coils[1].changes)
        await hall.clock.sleep(3)
        assert module.seen(1) == "off"
        assert len(module.coils[1].changes) == count
    assert hall.events == [DeviceBack(Point("relay-1"))]


async def test_a_tower_lamp_blinks_by_itself() -> None:
    hall = Hall()
    module = hall.module("tower", channels=4)
    async with lamps_on(hall, module, profile="tower", blink_hz=2.0) as relay:
        assert not hall.events  # it cannot be asked without being changed
        await relay.show(Point("relay-1/0"), BLINK)
        await relay.show(Point("relay-1/2"), ON)
        await until(lambda: hall.events)
        assert (module.seen(0), module.seen(1), module.seen(2)) == ("blink", "off", "on")
        await until(
            lambda: sum(write.value == 0xF000 for write in module.writes) > 2
        )  # kept alive by its levels
        assert {write.value for write in module.writes} == {0xF000, 0xFF00}
    assert hall.events == [DeviceBack(Point("relay-1"))]


async def test_an_inverted_lamp_is_lit_while_its_coil_is_off() -> None:
    hall = Hall()
    module = hall.module("plain")
    async with lamps_on(hall, module, invert=True) as relay:
        await relay.show(Point("relay-1/0"), OFF)
        await relay.show(Point("relay-1/1"), ON)
        await until(lambda: module.frames.get(READ_COILS, 0) > 2)
        assert (module.level(0), module.level(1)) == (True, False)
    assert hall.events == [DeviceBack(Point("relay-1"))]


async def test_module_with_a_base_address_over_pymodbus_server() -> None:
    """ADAM modules: coils from 0x10; the other end is not ours."""
    hall = Hall()
    async with pymodbus_tcp(sim_device(1, first=16, coils=16)) as url:
        link = ModbusBus(url, QUICK)
        relay = ModbusRelay(hall.context(), RelayOptions(url=url, profile="adam6060"), link)
        async with running(relay):
            await up(link)
            await relay.show(Point("relay-1/5"), ON)
            assert (await link.read_coils(1, 16, 6)) == (False,) * 5 + (True,)
            await until(lambda: hall.events == [DeviceBack(Point("relay-1"))])


async def test_a_lost_module_has_its_lamps_set_before_it_is_reported_back() -> None:
    hall = Hall()
    module = hall.module("plain")
    seen_at_back: list[bool] = []
    async with lamps_on(hall, module, deadline_ms=30) as relay:
        await relay.show(Point("relay-1/3"), ON)
        module.faults = RelayFaults(mute=1.0)
        await until(lambda: len(hall.events) == 2)
        with pytest.raises(Unreachable):
            await relay.show(Point("relay-1/4"), ON)
        module.power_cycle()
        await hall.clock.sleep(10)
        assert len(hall.events) == 2
        original = hall.emit

        def emit(event: Event, ack: Callable[[], None] | None = None) -> bool:
            seen_at_back.extend((module.level(3), module.level(4)))
            return original(event)

        object.__setattr__(relay._context, "emit", emit)
        module.faults = RelayFaults()
        await until(lambda: len(hall.events) == 3)
    assert hall.events[0] == DeviceBack(Point("relay-1"))
    assert isinstance(hall.events[1], DeviceLost)
    assert hall.events[2] == DeviceBack(Point("relay-1"))
    assert seen_at_back == [True, True]


async def test_a_lamp_lost_by_a_power_cycle_is_lit_again_after_the_read_back() -> None:
    hall = Hall()
    module = hall.module("plain")
    async with lamps_on(hall, module) as relay:
        await relay.show(Point("relay-1/3"), ON)
        module.power_cycle()
        await until(lambda: module.level(3))
    assert hall.events == [DeviceBack(Point("relay-1"))]


async def test_a_lamp_that_does_not_follow_is_reported_and_the_others_go_on() -> None:
    hall = Hall()
    module = hall.module("plain")
    async with lamps_on(hall, module) as relay:
        module.faults = RelayFaults(lie=1.0)
        await relay.show(Point("relay-1/3"), ON)
        await until(lambda: len(hall.events) == 2)
        fault = hall.events[1]
        assert isinstance(fault, HealthRead)
        assert (fault.point, fault.fault) == ("relay-1/3", "lamp does not follow: wanted on")
        await relay.show(Point("relay-1/4"), ON)
        assert module.level(4)
        module.faults = RelayFaults()
        await until(lambda: HealthRead(Point("relay-1/3")) in hall.events)
    assert not any(isinstance(event, DeviceLost) for event in hall.events)


async def test_a_fault_from_before_a_restart_is_cleared_by_the_first_read_back() -> None:
    """An earlier life told that lamp 3 lies, and that the module refuses; both were mended while we were down."""
    hall = Hall()
    module = hall.module("plain")
    async with lamps_on(hall, module) as relay:
        await relay.show(Point("relay-1/3"), ON)
        await until(lambda: set(hall.well) == {Point("relay-1"), Point("relay-1/3")})
        requests = sum(module.frames.values())
        await until(lambda: sum(module.frames.values()) > requests + 6)
    assert len(hall.well) == 2, "once"


async def test_a_loss_that_met_a_full_inbox_is_reported_later() -> None:
    hall = Hall()
    module = hall.module("plain")
    async with lamps_on(hall, module, deadline_ms=30):
        hall.full = True
        module.faults = RelayFaults(mute=1.0)
        await hall.clock.sleep(15)
        hall.full = False
        await until(lambda: len(hall.events) == 2)
    assert isinstance(hall.events[1], DeviceLost)


async def test_garbled_answers_are_counted_and_the_module_is_lost() -> None:
    hall = Hall()
    module = hall.module("plain")
    async with lamps_on(hall, module, deadline_ms=30):
        module.faults = RelayFaults(garbage=1.0)
        await until(lambda: any(isinstance(event, DeviceLost) for event in hall.events))
        assert "garbled" in hall.rejected
        module.faults = RelayFaults()
        await until(lambda: hall.events[-1] == DeviceBack(Point("relay-1")))


async def test_an_echo_of_our_own_frame_is_not_taken_for_a_module() -> None:
    """The echo of a write looks like its answer; only the read-back shows that nobody is there."""
    hall = Hall()
    line = RawLine(lambda data: line.send(data))
    url = f"rtu://{line.path}?baudrate=115200"
    relay = ModbusRelay(hall.context(), RelayOptions(url=url, deadline_ms=30), ModbusBus(url, QUICK))
    async with running(relay):
        await until(lambda: hall.events)
        assert isinstance(hall.events[0], DeviceLost)
    line.close()
    assert len(hall.events) >= 1


@pytest.mark.parametrize("point", ["relay-1", "relay-1/8", "relay-1/-1", "relay-1/x", "relay-1/²"])
async def test_unknown_points_and_unsuitable_values_are_refused(point: str) -> None:
    hall = Hall()
    async with lamps_on(hall, hall.module("plain")) as relay:
        with pytest.raises(Refused, match="channels are 0 to 7"):
            await relay.show(Point(point), ON)
        with pytest.raises(Refused, match="not a display"):
            await relay.show(Point("relay-1/0"), Display(("A012",)))
        with pytest.raises(Refused, match="cannot say"):
            await relay.act(Action("a-1", Point("relay-1"), Say("请", "Please", "A012")))


async def test_wire_that_cannot_be_opened_is_a_lost_device() -> None:
    hall = Hall()
    url = "rtu:///dev/serial/by-path/nothing-here"
    relay = ModbusRelay(hall.context(), RelayOptions(url=url), ModbusBus(url, QUICK))
    async with running(relay):
        await until(lambda: hall.events)
        with pytest.raises(Unreachable, match="cannot open"):
            await relay.show(Point("relay-1/0"), ON)
    [lost] = hall.events
    assert isinstance(lost, DeviceLost)


async def test_a_lamp_wanted_before_the_first_contact_is_lit_then_and_is_no_loss() -> None:
    hall = Hall()
    module = hall.module("plain")
    far = FakeTcp([module])
    url = await far.start()
    relay = ModbusRelay(hall.context(), RelayOptions(url=url), ModbusBus(url, QUICK))
    with pytest.raises(Unreachable, match="not connected yet"):
        await relay.show(Point("relay-1/0"), ON)
    async with running(relay):
        await until(lambda: hall.events)
        assert module.level(0)
    await far.stop()
    assert hall.events == [DeviceBack(Point("relay-1"))]


async def test_a_dead_module_on_a_shared_line_does_not_affect_the_others() -> None:
    hall = Hall()
    modules = [hall.module("plain", unit=unit) for unit in (1, 2, 3)]
    modules[1].faults = RelayFaults(mute=1.0)
    line = FakeLine(modules)
    link = ModbusBus(f"rtu://{line.path}?baudrate=115200", QUICK)
    relays = [
        ModbusRelay(
            hall.context(f"relay-{unit}"), RelayOptions(url=link.url, unit=unit, deadline_ms=40), link
        )
        for unit in (1, 2, 3)
    ]
    async with running(line, *relays):
        await until(lambda: len(hall.events) == 3)
        for _ in range(5):
            for relay in (relays[0], relays[2]):
                await relay.show(Point(f"{relay._context.device}/0"), ON)
                await relay.show(Point(f"{relay._context.device}/0"), OFF)
        await relays[0].show(Point("relay-1/7"), ON)
        assert modules[0].level(7)
    backs = {event.point for event in hall.events if isinstance(event, DeviceBack)}
    assert backs == {"relay-1", "relay-3"}
    assert [event.point for event in hall.events if isinstance(event, DeviceLost)] == ["relay-2"]


@pytest.mark.parametrize("seed", range(4))
async def test_lamps_are_as_wanted_once_line_faults_stop(seed: int) -> None:
    """Safety while the line is bad: only device errors leave. Liveness after it: every lamp as it was last wanted."""
    hall = Hall()
    module = FakeRelay(hall.clock.now_s, 16, 1, profile_of("plain"), seed=seed)
    odd = seed % 2 == 1
    module.faults = RelayFaults(backwards=odd)
    wanted: dict[int, bool] = {}
    async with lamps_on(hall, module, hangs_up=odd, deadline_ms=30, channels=16) as relay:
        code = (1, 6, 4, 5)[seed]
        faults = RelayFaults(mute=0.1, late=0.1, late_s=0.05, garbage=0.1, exception=0.1, code=code, lie=0.2)
        module.faults = replace(faults, backwards=odd)
        for turn in range(40):
            channel, lit = (turn * 7 + seed) % 16, turn % 3 > 0
            wanted[channel] = lit
            try:
                await relay.show(Point(f"relay-1/{channel}"), ON if lit else OFF)
            except DeviceError:
                await asyncio.sleep(0.01)
        module.faults = RelayFaults(backwards=odd)
        await until(lambda: all(module.level(channel) == lit for channel, lit in wanted.items()))
        await until(
            lambda: (
                [e for e in hall.events if not isinstance(e, HealthRead)][-1] == DeviceBack(Point("relay-1"))
            )
        )


def test_a_lamp_timeout_tolerates_two_lost_renewals_and_a_restart() -> None:
    assert relay_driver.REARMS >= 3
    with pytest.raises(ValueError, match="dead_man_s: at_least 15"):
        read(RelayOptions, {"url": "tcp://127.0.0.1:1502", "dead_man_s": 14})
