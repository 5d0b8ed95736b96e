"""A hall of the simulated city: a real daemon and a mosquitto of its own, whose bridge to the city's broker can be
cut.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from importlib.resources import files
from pathlib import Path
from typing import Self

import apsw

from devices.mqtt_json.fake import FakeDispenser, FakeFleet, FakeOutput, FakePanel
from edged.central import cloud_events
from edged.sim.broker import free_port
from edged.sim.city.line import CityLine
from edged.sim.city.mosquittos import CityMosquitto, bridge_lines
from edged.sim.city.processes import CityProcesses, accepts
from edged.store.uplink import noted_steps

PAGE_STEPS = 500
START_S = 60.0  # for a daemon to start, beside twenty other programs


class BridgedHall:
    """A simulated hall with a real daemon: inside ``async with`` it runs configs/hall-small.toml with simulated
    devices.
    """

    def __init__(
        self, programs: CityProcesses, name: str, group: str, keys: Path, ports: Sequence[int]
    ) -> None:
        """``group``: the city's group of halls to which it belongs; ``keys``: file of the public keys that may sign
        policies for this hall; ``ports``: ports of the city's brokers, to which the hall's bridge connects.
        """
        self.name = name
        self.lines = [CityLine(port) for port in ports]
        self.web_port = free_port()
        self._programs = programs
        self._group = group
        self._keys = keys
        self._folder = programs.folder / name

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        for line in self.lines:
            await self._stack.enter_async_context(line)
        bridge = bridge_lines(self.name, self._group, [line.port for line in self.lines])
        broker = CityMosquitto(self._programs, f"{self.name}-broker", "edged.conf", bridge)
        await broker.start()
        self._fleet = FakeFleet(self.name, port=broker.port)
        self._dispenser = FakeDispenser(self._fleet, "dispenser-1")
        self._panels = [FakePanel(self._fleet, f"panel-{window}") for window in ("w1", "w11")]
        for output in ("lamp-w11", "pager-liu", "screen-tax", "voice-hall"):
            FakeOutput(self._fleet, output)
        self._write(broker.port)
        daemon = await self._programs.start(
            *(sys.executable, "-m", "edged", "run", "--config", self.config), log=f"{self.name}.log"
        )
        await accepts(daemon, self.web_port, f"the daemon of {self.name}", START_S)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    @property
    def config(self) -> Path:
        """Path of the hall's hall.toml."""
        return self._folder / "hall.toml"

    def cut(self) -> None:
        """Cut the hall's connections to the city."""
        for line in self.lines:
            line.cut()

    def mend(self) -> None:
        """Let the hall connect to the city again."""
        for line in self.lines:
            line.mend()

    async def live(self, every_s: float, chance: random.Random) -> None:
        """Let a visitor take a number about every ``every_s`` seconds, and let the first window serve visitors; until
        cancelled.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._fleet.run())
            await self._fleet.connected.wait()
            panel, taken = self._panels[0], 0
            panel.press("login")
            while True:
                taken += 1
                self._dispenser.ticket(f"A{taken % 1000:03d}", "tax-general")
                panel.press("finish" if panel.number is not None else "next")
                await asyncio.sleep(every_s * chance.uniform(0.5, 1.5))

    def counted(self) -> int:
        """Count the events in the hall's journal that are meant for the city."""
        connection = apsw.Connection(str(self._folder / "small.db"), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            found = after = 0
            while page := noted_steps(connection, after, PAGE_STEPS):
                after = page[-1].seq
                found += sum(1 for step in page for _ in cloud_events.stored(step, 0, 0))
            return found
        finally:
            connection.close()

    def _write(self, broker_port: int) -> None:
        text = files("configs").joinpath("hall-small.toml").read_text(encoding="utf-8")
        for before, after in (
            ("#:schema ./hall.schema.json\n", ""),
            ('id = "small"', f'id = "{self.name}"'),
            ('name = "小厅"', f'name = "{self.name}"'),
            ("port = 1883", f"port = {broker_port}"),
            ("port = 9464", f"port = {self.web_port}"),
        ):
            assert before in text, before
            text = text.replace(before, after, 1)
        self._folder.mkdir()
        policy = f'\n[policy]\nkeys = "{self._keys}"\ngroup = "{self._group}"\n'
        self.config.write_text(text + policy, encoding="utf-8")
