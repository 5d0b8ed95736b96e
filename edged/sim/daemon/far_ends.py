"""The environment of a simulated daemon, in the same process: the drivers' simulated devices on connections in memory,
and the machine with its service manager.
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
    """All devices of a hall that speak JSON over MQTT (driver mqtt_json), connected to a simulated broker in memory."""

    def __init__(self, hall: str, broker: Broker) -> None:
        super().__init__(hall)
        self._broker = broker
        self._last: dict[str, bytes] = {}
        broker.listen(f"hall/{hall}/dev/+/down/+", self._received)

    def announce_all(self) -> None:
        """Let every device publish its status and receive its retained outputs again. Call this when the broker is up
        again.
        """
        self._last.clear()
        for device in self._devices.values():
            device.announce()
            self.catch_up(device.id)

    def catch_up(self, device: str) -> None:
        """Send a device that is switched on again the outputs (lamp, text) that the broker retains for it."""
        for topic, payload in self._broker.retained_under(f"hall/{self.hall}/dev/{device}/down/"):
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
        fake.receive(kind, json.loads(payload))

    def _put(self, outgoing: Any) -> None:
        self._broker.publish(outgoing.topic, outgoing.payload, outgoing.retain)
        self.sent += 1
        held, self._held = self._held, None
        if held is not None:
            self._put(held)


class MemoryFakes(Fakes):
    """The simulated devices of a hall on connections in memory. ``near``: the daemon's end of each serial line, by its
    path.
    """

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
        """The listening ports of the simulated relay modules (Modbus TCP) in ``loop``."""
        return [loop.servers[port] for _server, port in self._relay_servers]


class Manager(ServiceManager):
    """The simulated service manager, in the daemon's process. ``ready_s``: virtual time at which the daemon reported
    READY; ``fed_s``: of its last watchdog message (READY counts as one). Both are None before READY.
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
    """The platform services (journal, drivers, broker, files) of one simulated process of the daemon. Each process gets
    a new one. ``spoilt``: hall.toml has a mistake when it is read next.
    """

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
        """Open the journal on the simulated disk."""
        disk = self._disk
        return Journal.open(
            Path(config.store.path), vfs=disk.name, keep_days=config.store.keep_days, writer=on(disk)
        )

    def starts(self, config: HallConfig) -> Starts:
        """A crash counter that counts nothing: kills are frequent in a simulation and must not look like a crash
        loop.
        """
        return Starts(None)

    def condemned(self, config: HallConfig) -> Condemned:
        """A list in memory of the signed documents that crashed the hall; empty in each new process."""
        return Condemned()

    def broker(self, settings: MqttSettings, reject: Reject) -> MqttLink:
        """The link to the simulated broker."""
        return MqttLink(settings, reject, partial(MemoryTalk, self._broker))

    def observers(self) -> tuple[Observer, ...]:
        """The simulation's checker, which observes each step in addition to the application's own observers."""
        return (self._watch,)

    def driver(self, device: DeviceConfig, context: DeviceContext) -> Driver:
        """Make the real driver of one device, with a serial line in memory if it needs one."""
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
        """The keys that may sign policies, from the file that hall.toml names; none if it names no file. The second
        value, the reason of a failure, is always "".
        """
        return {} if config.policy.keys is None else load_keys(config.policy.keys), ""

    def root_keys(self, config: HallConfig) -> dict[str, PublicKey] | None:
        """The keys that may sign key lists; none if hall.toml names no file. Never None here, because the file can
        always be read.
        """
        return {} if config.policy.root is None else load_keys(config.policy.root)

    async def watch_files(self, config: HallConfig, report: Callable[[Mapping[str, str]], None]) -> None:
        """Wait until cancelled without ever calling ``report``: the named files always stay readable here."""
        await asyncio.Event().wait()

    async def read_config(self, file: Path) -> Reading:
        """Return the same configuration as at the start. Raises ``ConfigErrors`` while ``spoilt``."""
        if self.spoilt:
            raise ConfigErrors([f"{file}:1: somebody's hand slipped"])
        return Reading(self.config, {}, None)

    async def keep_config(self, config: HallConfig) -> None:
        """No-op: no simulated start needs a copy of the accepted configuration."""

    async def write_verdict(self, config: HallConfig, verdict: FileVerdict) -> None:
        """No-op: nobody waits for the outcome of a reload."""

    async def open_web(self, web: WebServer, table: WebTable) -> None:
        """No-op: a simulated daemon has no web listener."""

    async def serve_web(self, web: WebServer) -> None:
        """Wait until cancelled: a simulated daemon has no web listener."""
        await asyncio.Event().wait()

    def manager(self) -> ServiceManager:
        """The simulated service manager that started this process."""
        return self.service

    def hook_signals(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        """Remember ``reload``, because the simulation calls it instead of sending a signal. ``stop`` is not needed: the
        simulation sets ``Application.stop``.
        """
        self.reload = reload

    def settle_memory(self) -> None:
        """No-op: garbage collection of this process is the simulator's own business."""
