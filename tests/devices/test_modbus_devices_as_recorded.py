"""What the drivers of Modbus modules ask, write and tell, in scripted days, as recorded in ``dialogues/``.

Record anew, then read the diff: ``TRANSCRIPTS_UPDATE=1 pytest tests/devices/test_modbus_devices_as_recorded.py``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from devices.modbus_map.driver import ModbusMap, ModbusMapOptions
from devices.modbus_map.fake import FakeModule
from devices.modbus_relay.driver import ModbusRelay, RelayOptions
from devices.modbus_relay.fake import FakeRelay, FakeTcp, RelayFaults
from devices.modbus_relay.profiles import profile_of
from edged.core.model.commands import Display, Lamp, Panel, Say
from edged.links.modbus.link import ModbusBus
from edged.shapes import read
from tests.support.dialogues import Stage, living, played

RECORDED = Path(__file__).parent / "dialogues"
Scene = Callable[[Stage], Coroutine[Any, Any, None]]


class RecordedRelay(FakeRelay):
    """A module whose requests and answers are recorded."""

    stage: Stage

    async def answer(self, pdu: bytes) -> bytes | None:
        self.stage.note(">", f"{self.unit}: {pdu.hex()}")
        answer = await super().answer(pdu)
        if answer is not None:
            self.stage.note("<", f"{self.unit}: {answer.hex()}")
        return answer


def relay(profile: str, **more: Any) -> Scene:
    async def scene(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        options = {"profile": profile, "channels": 4, "blink_hz": 0.5, **more}
        module = RecordedRelay(loop.time, 8, profile_of(profile).unit, profile_of(profile), 1)
        module.stage = stage
        far = FakeTcp([module])
        url = await far.start(20_000)
        made = read(RelayOptions, {"url": url, **options})
        driver = ModbusRelay(stage.context("r"), made, ModbusBus(url))
        stage.note("-", f"{driver.deadline_s} {driver.reassert_s}")
        await stage.show(driver, "r/0", Lamp("on"))
        async with living(driver):
            await asyncio.sleep(0.5)
            for point, state in (("r/0", "on"), ("r/1", "blink"), ("r/1", "blink"), ("r/2", "off")):
                await stage.show(driver, point, Lamp(state))  # type: ignore[arg-type]
            for point in ("r/4", "r/-1", "r", "r/x"):
                await stage.show(driver, point, Lamp("on"))
            await stage.show(driver, "r/0", Display(()))
            await stage.act(driver, "r", Say("请", "", ""))
            await asyncio.sleep(7)
            stage.note("-", "switched off by hand")
            for coil in module.coils:
                coil.set(not coil.level, loop.time())
            await asyncio.sleep(6)
            for name, faults in {
                "lies": RelayFaults(lie=1.0),
                "refuses": RelayFaults(exception=1.0, code=2),
                "busy": RelayFaults(exception=1.0, code=6),
                "garbage": RelayFaults(garbage=1.0),
                "silent": RelayFaults(mute=1.0),
            }.items():
                stage.note("-", name)
                module.faults = faults
                await stage.show(driver, "r/0", Lamp("on"))
                await asyncio.sleep(6)
                module.faults = RelayFaults()
                stage.note("-", "well")
                await asyncio.sleep(6)
            await far.stop()
            await stage.show(driver, "r/0", Lamp("off"))
            await asyncio.sleep(1)
        stage.note("-", str({channel: module.lit(channel) for channel in range(4)}))

    return scene


MODEL: dict[str, Any] = {
    "title": "Box",
    "title_zh": "盒子",
    "source": "test",
    "verified": "document",
    "contacts": {"count": 10},
    "counters": {"in": {"address": 0}, "out": {"address": 2, "words": 2, "read": "input-register"}},
    "display": {"address": 9},
    "examples": [{"answer": "020100", "inputs_on": []}],
}


async def module(stage: Stage) -> None:
    class RecordedModule(FakeModule):
        def _answer(self, pdu: bytes) -> bytes:
            stage.note(">", pdu.hex())
            answer = super()._answer(pdu)
            stage.note("<", answer.hex())
            return answer

    far = RecordedModule(3)
    url = await far.start(20_000)
    options = {
        "url": url,
        "model": MODEL,
        "unit": 3,
        "poll_ms": 1000,
        "panels": {"p": {"next": 0, "recall": 9}},
        "beams": {"entered": 1, "left": 2},
    }
    driver = ModbusMap(stage.context("m"), read(ModbusMapOptions, options), ModbusBus(url))
    stage.note("-", f"{driver.deadline_s} {driver.reassert_s}")
    await stage.show(driver, "m/display", Display((), ("A012", "3")))
    far.closed = {0, 1}
    async with living(driver):
        await asyncio.sleep(2.5)
        for closed in (set(), {0, 1, 2, 3, 9}, {1, 2}, {0}, set[int](), {0}):
            far.closed = closed
            await asyncio.sleep(1)
        far.registers |= {0: 5, 2: 0, 3: 7, 9: 0}
        await asyncio.sleep(2)
        stage.note("-", "a full inbox")
        stage.full = True
        far.closed, far.registers[0] = {1, 2}, 6
        await asyncio.sleep(2)
        far.closed = set()
        await asyncio.sleep(1)
        far.closed = {1}
        await asyncio.sleep(1)
        stage.full = False
        await asyncio.sleep(1.5)
        for point, value in (
            ("m/display", Display((), ("A013", "3"))),
            ("m/p", Panel("w", "OPEN", 1)),
            ("m/p", Lamp("on")),
            ("m/display", Lamp("on")),
            ("m", Display(())),
        ):
            await stage.show(driver, point, value)
        await stage.act(driver, "m", Say("请", "", ""))
        for mood in ("refuses", "silent"):
            stage.note("-", mood)
            far.mood = mood
            await asyncio.sleep(3)
            await stage.show(driver, "m/display", Display((), ("A014", "3")))
            far.closed = {0}
            far.mood = "well"
            await asyncio.sleep(3)
            far.closed = set()
            await asyncio.sleep(2)
        server: Any = far._server
        server.refuses = True
        server.hang_up()
        await asyncio.sleep(1)


async def bare_display(stage: Stage) -> None:
    """A module that only has a display is asked for one register, to see that it is there."""

    class RecordedModule(FakeModule):
        def _answer(self, pdu: bytes) -> bytes:
            stage.note(">", pdu.hex())
            return super()._answer(pdu)

    far = RecordedModule(1)
    url = await far.start(20_000)
    shown = {key: value for key, value in MODEL.items() if key not in ("contacts", "counters", "examples")}
    shown["examples"] = [{"call": ["7", "1"], "sends": "0600090007"}]
    options = read(ModbusMapOptions, {"url": url, "model": shown, "poll_ms": 1000})
    driver = ModbusMap(stage.context("m"), options, ModbusBus(url))
    async with living(driver):
        await asyncio.sleep(1.5)
        await stage.show(driver, "m/display", Display((), ("A012", "3")))


SCENES: dict[str, Scene] = {
    "modbus_relay-waveshare": relay("waveshare"),
    "modbus_relay-plain": relay("plain", invert=True),
    "modbus_relay-tower": relay("tower", unit=1),
    "modbus_relay-registers": relay("register-0100-0200"),
    "modbus_map": module,
    "modbus_map-display": bare_display,
}


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_of_a_modbus_device_is_as_recorded(name: str) -> None:
    file = RECORDED / f"{name}.txt"
    found = played(SCENES[name])
    if os.environ.get("TRANSCRIPTS_UPDATE"):
        file.write_text(found, "utf-8")
    assert found.splitlines() == file.read_text("utf-8").splitlines()
