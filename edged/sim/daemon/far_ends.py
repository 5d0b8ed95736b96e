"""The environment of a simulated daemon in one process: the drivers' fakes on connections in memory, and the
machine.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from devices.candle485.driver import Candle485
from devices.candle485.options import CandleOptions
from devices.modbus_relay.driver import ModbusRelay, RelayOptions
from devices.mqtt_json.fake import FakeFleet
from devices.onbon_bx.driver import OnbonBx, OnbonOptions
from edged.central.condemned import Condemned
from edged.central.envelope import load_keys
from edged.central.signatures import PublicKey
from edged.clock import Clock, monotonic_s
from edged.config import ConfigErrors, DeviceConfig, HallConfig, WebTable
from edged.config.verdicts import FileVerdict
from edged.daemon.files import Reading
from edged.daemon.platform import Platform
from edged.daemon.service_manager import ServiceManager
from edged.driver import DeviceContext, Driver, Reject
from edged.links.memory import MemoryLink
from edged.links.modbus.link import ModbusBus
from edged.links.mqtt.link import MqttLink, MqttSettings
from edged.observer import Observer
from edged.observers.web.server import WebServer
from edged.sim.daemon.broker import Broker, MemoryTalk
from edged.sim.daemon.disk import Disk
from edged.sim.daemon.loop import MemoryServer, VirtualLoop
from edged.sim.daemon.writer import on
from edged.sim.fakes import Fakes
from edged.store.journal import Journal
from edged.store.starts import Starts

WATCHDOG_S = 10.0  # as in systemd/edged.service


class MemoryFleet(FakeFleet):
    """The JSON devices of a hall, connected to a ``Broker``."""

    def __init__(self, hall: str, broker: Broker) -> None:
        super().__init__(hall)
        self._broker = broker
        self._last: dict[str, bytes] = {}
        broker.listen(f"hall/{hall}/dev/+/down/+", self._received)

    def announce_all(self) -> None:
        """Let every device publish its status and receive the retained levels. Call this after the broker came back."""
        self._last.clear()
        for device in self._devices.values():
            device.announce()
            self.catch_up(device.id)

    def catch_up(self, device: str) -> None:
        """Send a device that comes back the retained levels."""
        for topic, payload in self._broker.stood(f"hall/{self.hall}/dev/{device}/down/"):
            self._last.pop(topic, None)
            self._received(topic, payload, True)

    async def run(self) -> None:
        """No-op: a connection in memory is never lost."""

    def _received(self, topic: str, payload: bytes, _retain: bool) -> None:
        _, _, _, device, _, kind = topic.split("/")
        fake = self._devices.get(device)
        if fake is None or not fake.online or self._last.get(topic) == payload:
            return  # a repeated level is no change
        self._last[topic] = payload
        fake.hear(kind, json.loads(payload))

    def _put(self, outgoing: Any) -> None:
        self._broker.say(outgoing.topic, outgoing.payload, outgoing.retain)
        self.sent += 1
        held, self._held = self._held, None
        if held is not None:
            self._put(held)


class MemoryFakes(Fakes):
    """``Fakes`` on connections in memory. ``near``: by path of a serial line, the daemon's end of it."""

    def __init__(self, config: HallConfig, clock: Clock, seed: int, broker: Broker) -> None:
        self._broker = broker
        self.near: dict[str, MemoryLink] = {}
        super().__init__(config, clock, seed, lambda: None)

    def _join(self, config: HallConfig) -> FakeFleet:
        return MemoryFleet(config.hall, self._broker)

    def _plugged(self, path: str) -> Any:
        near, far = MemoryLink.pair(self._seed * 31 + len(self.near))
        self.near[path] = near
        return far

    async def run(self) -> None:
        """Let all simulated devices serve until cancelled."""
        for server, port in self._relay_servers:
            await server.start(port)
        async with asyncio.TaskGroup() as self._tasks:
            for life in self._lives:
                self._soon(life())

    def ports(self, loop: VirtualLoop) -> list[MemoryServer]:
        """The ports on which the relay modules listen."""
        return [loop.servers[port] for _server, port in self._relay_servers]


class Manager(ServiceManager):
    """A service manager in the same process. ``fed_s``: virtual time of the last watchdog message, None before
    READY.
    """

    def __init__(self) -> None:
        super().__init__({})
        self.watchdog_s = WATCHDOG_S
        self.ready_s: float | None = None
        self.fed_s: float | None = None

    def _send(self, *lines: str) -> None:
        if "READY=1" in lines:
            self.ready_s = self.fed_s = monotonic_s()
        elif "WATCHDOG=1" in lines:
            self.fed_s = monotonic_s()


class Machine(Platform):
    """The platform of one simulated process of the daemon; each process gets a new one."""

    def __init__(
        self,
        config: HallConfig,
        broker: Broker,
        disk: Disk,
        fakes: MemoryFakes,
        watch: Observer,
        *,
        spoilt: bool,
    ) -> None:
        self.config = config
        self._broker = broker
        self._disk = disk
        self._watch = watch
        self._fakes = fakes
        self._buses: dict[str, ModbusBus] = {}
        self.service = Manager()
        self.spoilt = spoilt  # whether hall.toml has a mistake when it is read next
        self.reload: Callable[[], None] = lambda: None

    def open_journal(self, config: HallConfig, alive: Callable[[], None]) -> Journal:
        """See ``Platform``."""
        disk = self._disk
        return Journal.open(
            Path(config.store.path), vfs=disk.name, keep_days=config.store.keep_days, writer=on(disk)
        )

    def starts(self, config: HallConfig) -> Starts:
        """See ``Platform``. Kills are frequent in a simulation and must not count as a crash loop."""
        return Starts(None)

    def condemned(self, config: HallConfig) -> Condemned:
        """See ``Platform``. Stored in memory only."""
        return Condemned()

    def broker(self, settings: MqttSettings, reject: Reject) -> MqttLink:
        """See ``Platform``."""
        return MqttLink(settings, reject, partial(MemoryTalk, self._broker))

    def observers(self) -> tuple[Observer, ...]:
        """See ``Platform``: returns the checker of the simulation."""
        return (self._watch,)

    def driver(self, device: DeviceConfig, context: DeviceContext) -> Driver:
        """See ``Platform``."""
        options = device.options
        if isinstance(options, CandleOptions):
            return Candle485(context, options, self._fakes.near[options.path])
        if isinstance(options, OnbonOptions) and options.path is not None:
            return OnbonBx(context, options, self._fakes.near[options.path])
        if isinstance(options, RelayOptions):
            address = urlsplit(options.url).netloc
            bus = self._buses.get(address) or self._buses.setdefault(address, ModbusBus(options.url))
            return ModbusRelay(context, options, bus)
        return super().driver(device, context)

    def policy_keys(self, config: HallConfig) -> tuple[dict[str, PublicKey], str]:
        """See ``Platform``. There are no key files beside the journal."""
        return {} if config.policy.keys is None else load_keys(config.policy.keys), ""

    def root_keys(self, config: HallConfig) -> dict[str, PublicKey] | None:
        """See ``Platform``. Never None here: the file can always be read."""
        return {} if config.policy.root is None else load_keys(config.policy.root)

    async def watch_files(self, config: HallConfig, report: Callable[[Mapping[str, str]], None]) -> None:
        """See ``Platform``. Files always stay readable here."""
        await asyncio.Event().wait()

    async def read_config(self, file: Path) -> Reading:
        """See ``Platform``: the same configuration, or one with a mistake."""
        if self.spoilt:
            raise ConfigErrors([f"{file}:1: somebody's hand slipped"])
        return Reading(self.config, {}, None)

    async def keep_config(self, config: HallConfig) -> None:
        """See ``Platform``."""

    async def write_verdict(self, config: HallConfig, verdict: FileVerdict) -> None:
        """See ``Platform``."""

    async def open_web(self, web: WebServer, table: WebTable) -> None:
        """See ``Platform``."""

    async def serve_web(self, web: WebServer) -> None:
        """See ``Platform``. There is no HTTP listener."""
        await asyncio.Event().wait()

    def manager(self) -> ServiceManager:
        """See ``Platform``."""
        return self.service

    def hook_signals(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        """See ``Platform``. The simulation calls stop and reload itself."""
        self.reload = reload

    def settle_memory(self) -> None:
        """See ``Platform``. No-op, because the process is the simulator's."""
