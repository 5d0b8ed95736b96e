"""Simulates all devices of a hall.toml: the drivers' own fakes, on real lines.

JSON devices and people counters share one MQTT connection. Serial devices are on pseudo-terminals at the paths in
hall.toml. Relay modules listen on Modbus TCP. Times are in hall seconds.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from devices.candle485.fake import FakeCandleBus
from devices.candle485.options import CandleOptions
from devices.milesight_mqtt.driver import MilesightMqttOptions
from devices.milesight_mqtt.fake import FakeMilesight
from devices.modbus_relay.driver import RelayOptions
from devices.modbus_relay.fake import FakeRelay, FakeTcp, Seen
from devices.modbus_relay.profiles import profile_of
from devices.mqtt_json.driver import MqttJsonOptions
from devices.mqtt_json.fake import FakeCounter, FakeDevice, FakeDispenser, FakeFleet, FakeOutput, FakePanel
from devices.onbon_bx.driver import OnbonOptions
from devices.onbon_bx.fake import FakeOnbon
from edged.clock import Clock
from edged.config import DeviceConfig, HallConfig
from edged.core.model.point import Point, point_of
from edged.driver import Unreachable
from edged.links.pty import Pty
from edged.sim.given_broker import BrokerPlace

SIGNAL_BYTES = 4  # bytes of a key's frame on a Candle bus
COUNT_EVERY_S = 60.0  # hall seconds between reports of a people counter
JSON_FAKES: dict[str, type[FakeDevice]] = {
    "dispenser": FakeDispenser,
    "panel": FakePanel,
    "pager": FakePanel,
    "evaluator": FakePanel,
    "counter": FakeCounter,
}


class Fakes:
    """The simulated devices of one hall. Construct it, ``run`` it in a task, then use devices by their id."""

    def __init__(
        self,
        config: HallConfig,
        clock: Clock,
        seed: int,
        changed: Callable[[], None],
        place: BrokerPlace | None = None,
    ) -> None:
        """``changed`` is called whenever a device shows something new. ``place``: the broker and its login; None: the
        broker of ``config``, without password.
        """
        self._place = place or BrokerPlace(config.mqtt.host, config.mqtt.port)
        self._clock = clock
        self._seed = seed
        self._changed = changed
        self.fleet = self._join(config)
        self.json: dict[str, FakeDevice] = {}
        self.relays: dict[str, FakeRelay] = {}
        self.bars: dict[str, FakeOnbon] = {}
        self.buses: dict[str, FakeCandleBus] = {}
        self.cameras: dict[str, tuple[str, FakeMilesight]] = {}
        self.counted: dict[str, int] = {}
        self.came = 0  # people since the last report of the counters
        self.buttons: dict[str, dict[str, int]] = {}  # bus -> service -> kiosk button
        self.in_flight: Counter[str] = (
            Counter()
        )  # by bus: frames that the daemon had read but not stored when it was killed
        self._observed: list[tuple[dict[str, list[Seen]], dict[str, tuple[str, ...]]]] = []
        self._ptys: list[Pty] = []
        self._bus_ptys: dict[str, Pty] = {}
        self._lives: list[Callable[[], object]] = []
        self._relay_servers: list[tuple[FakeTcp, int]] = []
        for device in config.devices:
            self._make(device)

    def _join(self, config: HallConfig) -> FakeFleet:
        place = self._place
        return FakeFleet(config.hall, place.host, place.port, *place.login("fakes"), place.tls)

    def _make(self, device: DeviceConfig) -> None:
        options = device.options
        if isinstance(options, MqttJsonOptions):
            fake = JSON_FAKES.get(options.kind or "", FakeOutput)(
                self.fleet, device.id, lambda _kind, _fields: self._changed()
            )
            self.json[device.id] = fake
        elif isinstance(options, RelayOptions):
            profile = profile_of(options.profile)
            relay = FakeRelay(self._clock.now_s, unit=options.unit or 1, profile=profile, seed=self._seed)
            self.relays[device.id] = relay
            port = urlsplit(options.url).port
            assert port is not None, "the demo's relay modules listen on Modbus TCP"
            self._relay_servers.append((FakeTcp([relay]), port))
        elif isinstance(options, OnbonOptions):
            self._make_bar(device.id, options)
        elif isinstance(options, CandleOptions):
            self._make_bus(device.id, options)
        elif isinstance(options, MilesightMqttOptions):
            self.cameras[device.id] = (options.topic.replace("#", "report"), FakeMilesight())

    def _make_bar(self, device: str, options: OnbonOptions) -> None:
        assert options.path is not None, "the demo's LED bars are serial"
        pty = self._plugged(options.path)
        bar = FakeOnbon(
            lambda data: self._soon(_answer(pty, data)),
            self._clock.now_s,
            units_of_8=options.model == "5k",
            seed=self._seed,
        )
        self.bars[device] = bar
        self._lives.append(lambda: pty.run(bar.feed, lambda _up, _reason: None))

    def _make_bus(self, device: str, options: CandleOptions) -> None:
        pty = self._plugged(options.path)
        bus = FakeCandleBus(
            pty,
            {name: panel.address for name, panel in options.panels.items()},
            {name: board.address for name, board in options.boards.items()},
            self._seed,
        )
        self.buses[device] = bus
        self._bus_ptys[device] = pty
        self.buttons[device] = {service: button for button, service in options.buttons.items()}
        self._lives.append(bus.run)

    def _plugged(self, path: str) -> Pty:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        pty = Pty(path)
        pty.plug()
        self._ptys.append(pty)
        return pty

    def _soon(self, coroutine: object) -> None:
        assert isinstance(coroutine, Coroutine)
        try:
            self._tasks.create_task(coroutine)
        except RuntimeError:  # everything ends, and a device sends one more message
            coroutine.close()

    async def run(self) -> None:
        """Let all simulated devices serve until cancelled."""
        try:
            for server, port in self._relay_servers:
                await server.start(port)
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self.fleet.run())
                self._tasks.create_task(self._watch_serial())
                for life in self._lives:
                    self._soon(life())
        finally:
            for server, _port in self._relay_servers:
                await server.stop()
            for pty in self._ptys:
                pty.close()

    def observe(self, anew: bool = False) -> None:
        """Record what lamps and LED bars show now, because they go dark by themselves once the daemon has stopped.
        ``anew``: forget earlier records first.
        """
        if anew:
            self._observed.clear()
        lamps = {
            name: [relay.seen(n) for n in range(len(relay.coils))] for name, relay in self.relays.items()
        }
        self._observed.append((lamps, {name: bar.shown for name, bar in self.bars.items()}))

    def lamp_seen(self, device: str, channel: int) -> set[Seen]:
        """The states of a lamp recorded by ``observe``; several if it blinks or changed. Without records, its present
        state.
        """
        seen = {lamps[device][channel] for lamps, _ in self._observed}
        return seen or {self.relays[device].seen(channel)}

    def bar_seen(self, device: str) -> set[tuple[str, ...]]:
        """The texts of a LED bar recorded by ``observe``; without records, its present text."""
        return {bars[device] for _, bars in self._observed} or {self.bars[device].shown}

    def daemon_died(self, kept: Mapping[Point, int]) -> None:
        """Record in ``in_flight`` how many inputs of each serial bus were lost when the daemon was killed; they cannot
        be sent again, because serial lines have no acknowledgement. ``kept``: inputs in the journal, by point.
        """
        for name, bus in self.buses.items():
            missing = sum(
                sent - kept.get(point_of(name, source), 0) for source, sent in bus.frames_sent.items()
            )
            waiting = self._bus_ptys[name].unread // SIGNAL_BYTES
            self.in_flight[name] = max(self.in_flight[name], missing - waiting)

    async def count_people(self) -> None:
        """Let each people counter report once a hall minute how many people came and went; until cancelled."""
        dice = random.Random(f"{self._seed}/door")
        while True:
            await self._clock.sleep(COUNT_EVERY_S)
            for device, (topic, camera) in self.cameras.items():
                came, self.came = self.came, 0  # some visitors bring somebody with them
                camera.passed(came + dice.randint(0, came // 2 + 1), dice.randint(0, came + 1))
                self.fleet.publish(topic, camera.periodic())
                self.counted[device] = self.counted.get(device, 0) + 1

    async def _watch_serial(self) -> None:
        """Look at the panels on serial buses once a hall second and report a change, because their fakes do not report
        it themselves; until cancelled.
        """
        before: object = None
        while True:
            await self._clock.sleep(1.0)
            now = [(u.led, u.text) for bus in self.buses.values() for u in bus.units.values()]
            if now != before:
                before = now
                self._changed()

    def frames(self) -> dict[str, int]:
        """Count the messages (``mqtt``) and frames (``serial``, ``modbus``) that went over the simulated connections so
        far, in both directions.
        """
        received = sum(len(device.history) + len(device.actions) for device in self.json.values())
        serial = sum(bar.frames_received + bar.frames_sent for bar in self.bars.values())
        serial += sum(bus.frames_received.total() + bus.frames_sent.total() for bus in self.buses.values())
        modbus = sum(sum(relay.frames.values()) for relay in self.relays.values())
        return {"mqtt": self.fleet.sent + received, "serial": serial, "modbus": modbus}


async def _answer(pty: Pty, data: bytes) -> None:
    with suppress(Unreachable):  # unplugged at this moment: the bytes are lost
        await pty.write(data)
