"""Described Modbus modules: presses, people, numbers; a module that goes and comes; pymodbus and node as other ends."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.simulator import DataType, SimData, SimDevice

from devices.modbus_map.codec import Contacts, MapCounter, MapModel, Unwrapped, counted, number_pdu
from devices.modbus_map.driver import ModbusMap, ModbusMapOptions
from devices.modbus_map.fake import FakeModule
from edged.clock import Clock, Warp
from edged.core.model.commands import Action, Display, Lamp, Panel, Say
from edged.core.model.events import CountRead, DeviceBack, DeviceLost, Event, HealthRead, KeyPressed
from edged.core.model.point import Point
from edged.descriptions import described
from edged.driver import DeviceContext, Refused
from edged.links.modbus import pdus
from edged.links.modbus.frames import rtu_frame
from edged.links.modbus.link import ModbusBus
from edged.links.modbus.queue import Pace
from edged.shapes import Misshapen, read
from tests.support.brokers import Rejections
from tests.support.modbus_peers import pymodbus_tcp, running, until, up
from tests.support.needs import lacking

QUICK = Pace(rest_min_s=0.02, rest_max_s=0.1, owed_s=0.2)
PANELS = {"w1": {"next-or-recall": 0, "pause": 1}, "w2": {"next": 8}}
BOTH = {"entered": 6, "left": 7}


@dataclass
class Bench:
    """What a driver emitted; ``full``: the inbox takes nothing."""

    full: bool = False
    wells: int = 0
    events: list[Event] = field(default_factory=list)
    rejections: Rejections = field(default_factory=Rejections)

    def emit(self, event: Event, ack: Callable[[], None] | None = None) -> bool:
        if event == HealthRead(Point("m")) and not self.wells:
            self.wells = 1  # of the first look
        elif not self.full:
            self.events.append(event)
        return not self.full

    @asynccontextmanager
    async def at(self, url: str, **options: Any) -> AsyncIterator[ModbusMap]:
        clock = Clock(warp=Warp(5.0, 0, 0))
        context = DeviceContext("m", "t", self.emit, self.rejections, clock.sleep, clock.now_s, None)
        driver = ModbusMap(context, read(ModbusMapOptions, {"url": url} | options), ModbusBus(url, QUICK))
        async with running(driver):
            await until(lambda: DeviceBack(Point("m")) in self.events)
            yield driver


@asynccontextmanager
async def module(unit: int = 1) -> AsyncIterator[tuple[FakeModule, str]]:
    fake = FakeModule(unit)
    url = await fake.start()
    try:
        yield fake, url
    finally:
        await fake.stop()


async def test_contacts_of_a_module_give_key_presses_and_people_counts() -> None:
    async with module() as (fake, url):
        bench = Bench()
        fake.closed = {1}  # held since before: no press
        async with bench.at(url, model="contacts-16", panels=PANELS, beams=BOTH) as driver:
            fake.closed = {0, 1, 8}
            await until(lambda: len(bench.events) == 3)
            assert bench.events[1:] == [
                KeyPressed(Point("m/w1"), "next-or-recall"),
                KeyPressed(Point("m/w2"), "next"),
            ]
            bench.full = True
            fake.closed = {6}
            await until(lambda: driver._people["entered"] == 1)
            fake.closed = {7}
            await until(lambda: driver._people["left"] == 1)
            bench.full = False
            await until(lambda: bench.events[-1] == CountRead(Point("m"), "window", 1, 1))
            await driver.show(Point("m/w1"), Panel("w1", "open", 0))
            for point, value in ((Point("m/w1"), Lamp("on")), (Point("m/display"), Display(()))):
                with pytest.raises(Refused):
                    await driver.show(point, value)
            with pytest.raises(Refused):
                await driver.act(Action("1", Point("m"), Say("", "", "")))
            fake.closed = {5}
            await until(lambda: bench.rejections.reasons == ["unknown_contact"])


async def test_module_counters_go_on_after_an_overflow_and_a_reset() -> None:
    async with module() as (fake, url):
        bench = Bench()
        fake.registers = {0: 0xFFFE, 1: 0xFFFF, 2: 7}
        async with bench.at(url, model="adam6050-counter"):
            first = CountRead(Point("m"), "total", 0xFFFFFFFE, 7)
            await until(lambda: bench.events[-1] == first)
            fake.registers |= {0: 3, 1: 0}
            await until(lambda: bench.events[-1] == CountRead(Point("m"), "total", (1 << 32) + 3, 7))
    counter = Unwrapped(MapCounter(address=0))
    assert [counter.total(value) for value in (65_000, 65_535, 2, 900, 5, 6)] == [
        65_000,
        65_535,
        65_538,
        66_436,
        5,
        6,
    ]


async def test_a_display_shows_its_number_again_after_a_power_cut() -> None:
    async with module() as (fake, url):
        bench = Bench()
        async with bench.at(url, model="armfly-led485") as driver:
            await driver.show(Point("m/display"), Display((), ("A057", "3")))
            assert fake.registers == {0: 57}
            port = int(url.rpartition(":")[2])
            await fake.stop()
            await until(lambda: isinstance(bench.events[-1], DeviceLost))
            fake.registers = {}
            await fake.start(port)
            async with asyncio.timeout(3):
                await until(lambda: bench.events[-1] == DeviceBack(Point("m")))
            assert fake.registers == {0: 57}
            await driver.show(Point("m/display"), Display(()))
            assert fake.registers == {0: 0}


@pytest.mark.parametrize("mood", ["silent", "garbage"])
async def test_one_dead_module_is_lost_alone_and_back_within_three_seconds(mood: Any) -> None:
    async with module() as (fake, url), module() as (other, second):
        bench, healthy = Bench(), Bench()
        options: dict[str, Any] = {"model": "contacts-8", "panels": {"w1": {"next": 0}}, "deadline_ms": 50}
        async with bench.at(url, **options), healthy.at(second, **options):
            fake.mood = mood
            await until(lambda: isinstance(bench.events[-1], DeviceLost))
            fake.closed = other.closed = {0}
            await until(lambda: healthy.events[-1] == KeyPressed(Point("m/w1"), "next"))
            fake.mood = "well"
            async with asyncio.timeout(3):
                await until(lambda: bench.events[-1] == DeviceBack(Point("m")))
            fake.closed = set()
            await asyncio.sleep(0.1)
            fake.closed = {0}
            await until(lambda: bench.events[-1] == KeyPressed(Point("m/w1"), "next"))
        assert not any(isinstance(event, DeviceLost) for event in healthy.events)


async def test_a_module_that_refuses_is_faulty_and_not_lost() -> None:
    async with module() as (fake, url):
        bench = Bench()
        async with bench.at(url, model="contacts-8"):
            fake.mood = "refuses"
            await until(lambda: isinstance(bench.events[-1], HealthRead))
            health = bench.events[-1]
            assert isinstance(health, HealthRead)
            assert health.fault
            assert "illegal address" in health.fault
            fake.mood = "well"
            await until(lambda: bench.events[-1] == HealthRead(Point("m")))
    assert not any(isinstance(event, DeviceLost) for event in bench.events)


async def test_a_fault_mended_during_our_absence_is_cleared_after_the_start() -> None:
    """The journal knows it from an earlier life of this process."""
    async with module() as (_, url):
        bench = Bench()
        async with bench.at(url, model="contacts-8"):
            await until(lambda: bench.wells == 1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"panels": {"w1": {"next": 8}}}, "contacts 0 to 7, not 8"),
        ({"panels": {"w1": {"next": 1}, "w2": {"next": 1}}}, "given two meanings"),
        ({"model": "armfly-led485", "beams": {"left": 0}}, "has no contacts"),
        ({"model": "x"}, "there is no description"),
        ({"url": "http://x"}, "want tcp"),
    ],
)
def test_modbus_map_options_that_cannot_work_are_refused_with_the_reason(
    options: dict[str, Any], says: str
) -> None:
    with pytest.raises(Misshapen, match=says):
        read(ModbusMapOptions, {"url": "tcp://x", "model": "contacts-8"} | options)


def test_the_points_and_roles_of_a_modbus_map_follow_its_description() -> None:
    options = read(ModbusMapOptions, {"url": "tcp://x", "model": "contacts-8", "panels": {"w1": {"next": 1}}})
    assert (options.point_channels(), options.point_roles("w1")) == (frozenset({"w1"}), frozenset({"panel"}))
    led = read(ModbusMapOptions, {"url": "tcp://x", "model": "armfly-led485"})
    assert (led.point_channels(), led.point_roles("display")) == (
        frozenset({"display"}),
        frozenset({"display"}),
    )
    assert read(ModbusMapOptions, {"url": "tcp://x", "model": "adam6050-counter"}).reports() == {"counter"}


@given(readings=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), max_size=30), gap_s=st.floats(0, 1))
def test_a_contact_gives_a_press_only_after_opening_and_closing_again(
    readings: list[list[bool]], gap_s: float
) -> None:
    contacts = Contacts(0.3)
    presses: dict[int, list[float]] = {}
    for number, levels in enumerate(readings):
        for place in contacts.pressed(levels, 0, number * gap_s):
            assert levels[place]
            assert number
            assert not readings[number - 1][place]
            presses.setdefault(place, []).append(number * gap_s)
    for times in presses.values():
        assert all(late - early >= 0.3 for early, late in pairwise(times))


@given(high=st.integers(0, 0xFFFF), low=st.integers(0, 0xFFFF), scale=st.integers(1, 1000))
def test_a_two_word_counter_is_read_in_its_word_order_and_scale(high: int, low: int, scale: int) -> None:
    value = (high << 16 | low) * scale
    assert counted(MapCounter(address=0, words=2, scale=scale), (high, low)) == value
    assert counted(MapCounter(address=0, words=2, order="low-first", scale=scale), (low, high)) == value


async def test_every_modbus_function_works_against_a_pymodbus_server() -> None:
    """FC02, FC04, FC06, FC0F and FC10 against a server that is not ours."""
    blocks = (
        [SimData(0, values=[False] * 16, datatype=DataType.BITS)],
        [SimData(0, values=[True, False] * 8, datatype=DataType.BITS)],
        [SimData(0, values=[0] * 8, datatype=DataType.REGISTERS)],
        [SimData(0, values=[11, 22, 33], datatype=DataType.REGISTERS)],
    )
    async with pymodbus_tcp(SimDevice(id=1, simdata=blocks)) as url:
        link = ModbusBus(url)
        async with running(link):
            await up(link)
            assert await link.read_inputs(1, 0, 4) == (True, False, True, False)
            assert await link.read_input_registers(1, 1, 2) == (22, 33)
            await link.write_register(1, 2, 0xABCD)
            await link.write_block(1, pdus.set_registers(4, [1, 2]))
            assert await link.read_registers(1, 2, 4) == (0xABCD, 0, 1, 2)
            await link.write_block(1, pdus.set_coils(3, [True, False, True]))
            assert await link.read_coils(1, 2, 5) == (False, True, False, True, False)


async def test_modbus_serial_of_node_shows_a_number() -> None:
    packages, node = os.environ.get("EDGED_NODE_PEERS"), shutil.which("node")
    if not packages or not node:
        lacking("EDGED_NODE_PEERS names no folder with modbus-serial")
    script = Path(__file__).parent.parent / "support" / "modbus_server.js"
    env = {"NODE_PATH": packages, "PATH": os.environ["PATH"]}
    peer = await asyncio.create_subprocess_exec(node, str(script), env=env, stdout=asyncio.subprocess.PIPE)
    assert peer.stdout
    try:
        async with asyncio.timeout(20):
            port = json.loads(await peer.stdout.readline())["port"]
        bench = Bench()
        async with bench.at(f"tcp://127.0.0.1:{port}", model="armfly-led485") as driver:
            await driver.show(Point("m/display"), Display((), ("A012", "3")))
            assert await driver._bus.read_registers(1, 0, 1) == (12,)
    finally:
        peer.terminate()
        await peer.wait()


@pytest.mark.parametrize(
    ("last", "value", "total"),
    [
        (65_535, 3, 65_536 + 3),  # over its end
        (49_153, 16_383, 65_536 + 16_383),  # the last quarter to the first
        (49_152, 3, 3),  # a reset: nobody has gone from there to the end
        (65_535, 16_384, 16_384),
    ],
)
def test_a_counter_overflow_is_a_step_from_the_last_quarter_to_the_first(
    last: int, value: int, total: int
) -> None:
    counter = Unwrapped(MapCounter(address=0))
    assert counter.total(last) == last
    assert counter.total(value) == total


def test_a_text_display_is_written_with_the_published_frame() -> None:
    """Encoded by pymodbus 3.16.1 from the register map of github.com/sman-dk/LED-485_setuptool."""
    model = described("modbus_map", "armfly-led485-text", MapModel)
    assert model.display is not None
    pdu = number_pdu(model.display, Display((), ("A012", "3")))
    assert rtu_frame(1, pdu).hex() == "011000700002044130313274fd"
