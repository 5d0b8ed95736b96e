"""Connects a Candle driver (RS-485 call panels) and simulated panels by a pty, and collects what the driver tells the
core.
"""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devices.candle485.driver import Candle485
from devices.candle485.fake import FakeCandleBus
from devices.candle485.options import CandleOptions
from edged.clock import Clock, Warp
from edged.core.model.events import DeviceBack, Event, KeyPressed, TicketRequested
from edged.core.model.point import Point
from edged.driver import DeviceContext
from edged.links import memory
from edged.links.pty import Pty
from edged.shapes import read
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
BACK = DeviceBack(Point("candle-1"))


@dataclass
class Hall:
    """The core's side of the driver: a clock ``speed`` times faster than real time, and the lists of events and
    rejections that the driver reports. ``full``: no event is accepted.
    """

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

    def context(self) -> DeviceContext:
        return DeviceContext(
            "candle-1", "h", self.emit, self.reject, self.clock.sleep, self.clock.now_s, None
        )


def options(**more: Any) -> CandleOptions:
    return read(CandleOptions, {"path": "none", **tomllib.loads(HALL), **more})


@dataclass
class Bench:
    """A driver, the simulated bus of panels and boards (``far``) and the pty between both."""

    hall: Hall
    port: Pty
    driver: Candle485
    far: FakeCandleBus

    async def show(self, channel: str, value: Any) -> None:
        await self.driver.show(Point(f"candle-1/{channel}"), value)

    def pressed(self) -> list[Event]:
        return [e for e in self.hall.events if isinstance(e, KeyPressed | TicketRequested)]


def key(panel: str, name: Any) -> KeyPressed:
    return KeyPressed(Point(f"candle-1/{panel}"), name)


@asynccontextmanager
async def bench(
    tmp_path: Path, hall: Hall | None = None, line: memory.WireFaults | None = None, **more: Any
) -> AsyncIterator[Bench]:
    """Run a driver and a simulated bus on one pty; the block begins after their first contact. ``line``: faults of the
    line that change the bytes from the devices; ``more``: options of the driver.
    """
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
            await until(lambda: driver._ear.open)
            yield Bench(hall, port, driver, far)
    finally:
        port.close()
