"""Drivers that crash, change and leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from devices import REGISTRY
from edged.clock import Clock
from edged.config import DeviceConfig
from edged.core.model.commands import Desired, Lamp
from edged.core.model.events import Event
from edged.core.model.point import Point
from edged.daemon import devices as fleet_module
from edged.daemon.devices import FAILURES_MAX, Devices, build
from edged.daemon.outputs import OutputContext, Outputs
from edged.driver import DeviceContext, Driver
from tests.support.brokers import until
from tests.support.slates import Slate, SlateOptions, SlowClosing


@pytest.fixture(autouse=True)
def drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Slate", "Crashing", "SlowClosing", "Unbuildable"):
        monkeypatch.setitem(REGISTRY, name.lower(), f"tests.support.slates:{name}")
    monkeypatch.setattr(fleet_module, "RESTART_S", (0.001, 0.002))
    monkeypatch.setattr(Slate, "made", [])


def device(name: str, tone: str = "plain", driver: str = "slate") -> DeviceConfig:
    return DeviceConfig(name, driver, SlateOptions(tone=tone))


def slate(name: str) -> Slate:
    """The newest driver of a device."""
    return next(one for one in reversed(Slate.made) if one.context is not None and one.context.device == name)


@asynccontextmanager
async def running(*devices: DeviceConfig) -> AsyncIterator[tuple[Devices, Outputs]]:
    clock = Clock()

    def emit(event: Event, ack: Callable[[], None] | None = None) -> bool:
        return True

    def driver(config: DeviceConfig) -> Driver:
        nobody: Any = None
        return build(
            config, DeviceContext(config.id, "east", emit, lambda *_: None, clock.sleep, clock.now_s, nobody)
        )

    outputs = Outputs(OutputContext(emit, clock, lambda *_: None, lambda *_: None))
    async with asyncio.TaskGroup() as tasks:
        fleet = Devices(outputs, driver, tasks)
        fleet.apply(devices)
        yield fleet, outputs
        fleet.stop()


async def test_a_driver_that_crashes_starts_again_and_its_outputs_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleet_module, "FAILURES_WITHIN_S", 0.0)  # every failure is long ago
    async with running(device("bad", driver="crashing"), device("good")) as (_fleet, outputs):
        await until(lambda: slate("bad").runs > 2 * FAILURES_MAX)
        outputs.want(Desired(Point("bad"), Lamp("on")))
        outputs.want(Desired(Point("good"), Lamp("on")))
        await until(lambda: slate("bad").shown != [] and slate("good").shown != [])
        assert slate("good").runs == 1


async def test_six_crashes_in_a_minute_end_the_process() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(5), running(device("bad", driver="crashing"), device("good")):
            await asyncio.Event().wait()
    (inner,) = caught.value.exceptions
    assert isinstance(inner, ExceptionGroup)
    assert str(inner.exceptions[0]) == "bad: driver failed 6 times in 60 s"
    assert slate("bad").runs == FAILURES_MAX + 1
    assert slate("good").ended


async def test_a_reload_starts_and_stops_only_what_changed() -> None:
    async with running(device("same"), device("changed"), device("gone")) as (fleet, outputs):
        before = {name: slate(name) for name in ("same", "changed", "gone")}
        await until(lambda: all(one.runs == 1 for one in before.values()))
        started = fleet.apply((device("same"), device("changed", "loud"), device("new")))
        assert started == ["changed", "new"]
        await until(lambda: before["changed"].ended and before["gone"].ended)
        await until(lambda: slate("changed").runs == 1 and slate("new").runs == 1)
        assert slate("same") is before["same"]
        assert (slate("same").runs, slate("same").ended) == (1, False)
        assert slate("changed").options == SlateOptions(tone="loud")
        outputs.want(Desired(Point("changed"), Lamp("on")))
        outputs.want(Desired(Point("gone"), Lamp("on")))
        await until(lambda: slate("changed").shown != [])
        assert before["gone"].tried == before["changed"].tried == []
        assert fleet.apply((device("same"), device("changed", "loud"), device("new"))) == []


async def test_a_changed_device_starts_only_when_its_old_self_has_let_go() -> None:
    SlowClosing.closing, SlowClosing.most = asyncio.Event(), 0
    async with running(device("port", driver="slowclosing")) as (fleet, _outputs):
        await until(lambda: SlowClosing.running == 1)
        old = slate("port")
        fleet.apply((device("port", "loud", "slowclosing"),))
        for _ in range(20):
            await asyncio.sleep(0)
        assert SlowClosing.running == 1
        SlowClosing.closing.set()
        await until(lambda: old.ended and SlowClosing.running == 1)
    assert (SlowClosing.running, SlowClosing.most) == (0, 1), "two drivers on one port"


async def test_a_device_that_cannot_be_built_changes_nothing() -> None:
    async with running(device("same"), device("other")) as (fleet, _outputs):
        await until(lambda: slate("same").runs == 1)
        with pytest.raises(ValueError, match="already used"):
            fleet.apply((device("same", "loud"), device("bad", driver="unbuildable")))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not any(one.ended for one in Slate.made)
        assert fleet.apply((device("same"), device("other"))) == []
