"""The simulated other end of every device of ``configs/every-device/hall.toml``, on pseudo-terminals, named pipes, TCP,
MQTT and HTTP. They are the drivers' own fakes. They do not misbehave here; other tests cover that.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from devices.candle485.fake import FakeCandleBus
from devices.candle485.options import CandleOptions
from devices.escpos.driver import EscposOptions
from devices.escpos.fake import FakePrinter
from devices.evdev.driver import EvdevOptions
from devices.evdev.fake import FakeInput
from devices.ff68.fake import FakeCallers
from devices.ff68.options import Ff68Options
from devices.http_counter.fake import FakeHttpCounter, FakePolledCounter, post
from devices.ledsender2010.driver import LedSenderOptions
from devices.ledsender2010.fake import FakeLedSender
from devices.milesight_mqtt.fake import FakeMilesight
from devices.modbus_map.driver import ModbusMapOptions
from devices.modbus_map.fake import FakeModule
from devices.modbus_relay.driver import RelayOptions
from devices.modbus_relay.fake import FakeRelay, FakeTcp
from devices.modbus_relay.profiles import profile_of
from devices.mqtt_json.driver import MqttJsonOptions
from devices.mqtt_json.fake import FakeDevice, FakeDispenser, FakeFleet, FakeOutput, FakePanel
from devices.mqtt_map.fake import FakeTasmota
from devices.onbon_bx.driver import OnbonOptions
from devices.onbon_bx.fake import FakeOnbon
from devices.voice_chip.driver import VoiceChipOptions
from devices.voice_chip.fake import FakeVoice
from devices.webhook.fake import FakeVendor
from edged.clock import Clock
from edged.config import HallConfig
from edged.links.pty import Pty

SECRET = "eleven-o-clock"  # noqa: S105 (of the simulated counters)
POST_AGAIN_S = 0.2  # a camera repeats a post that was not accepted
POST_TRIES = 100
PULSE_S = 15.0  # Tasmota's PulseTime: a lamp goes dark by itself
JSON_FAKES: dict[str, type[FakeDevice]] = {
    "dispenser": FakeDispenser,
    "panel": FakePanel,
    "pager": FakePanel,
    "evaluator": FakePanel,
}


class TheirQueue:
    """The web service of another queue system, whose calls the hall follows: a list of tickets and one of calls.
    ``edged bridge`` reads them as ``bridge.toml`` says.
    """

    def __init__(self) -> None:
        self.tickets: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve inside the ``with`` block; yields the service's URL."""
        lists = {"/tickets": self.tickets, "/calls": self.calls}

        class ListHandler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                rows = lists.get(self.path)
                self.send_response(404 if rows is None else 200)
                self.end_headers()
                self.wfile.write(json.dumps(rows or []).encode())

            def log_message(self, *_args: Any) -> None:
                """Log nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), ListHandler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            server.server_close()


class LedStrip(asyncio.DatagramProtocol):
    """A simulated LEDSender2010 card on a UDP port. It sends its answers to the sender of the last datagram."""

    def __init__(self, now_s: Callable[[], float], port: int) -> None:
        self.card = FakeLedSender(self._answer, now_s)
        self._port = port
        self._asker: tuple[str | Any, int] | None = None
        self._socket: asyncio.DatagramTransport | None = None

    async def run(self) -> None:
        """Receive datagrams and answer them as the card does, until cancelled."""
        loop = asyncio.get_running_loop()
        place = ("127.0.0.1", self._port)
        self._socket, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=place)
        try:
            await asyncio.Event().wait()
        finally:
            self._socket.close()

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Pass a datagram of the daemon to the simulated card."""
        self._asker = addr
        self.card.feed(data)

    def _answer(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.sendto(data, self._asker)


class FarEnds:
    """The simulated other ends of all devices. Enter ``serving`` first, because hall.toml needs its addresses. Then
    call ``build`` and ``run``.
    """

    def __init__(self) -> None:
        self.robot = FakeVendor("wecom")
        self.hikvision = FakeHttpCounter("hikvision", "total")
        self.dahua = FakeHttpCounter("dahua", "total")
        self.asked = FakePolledCounter(self.dahua, "admin", SECRET)
        self.milesight = FakeMilesight()
        self.theirs = TheirQueue()
        self.json: dict[str, FakeDevice] = {}
        self.relays: dict[str, FakeRelay] = {}
        self.modules: dict[str, FakeModule] = {}
        self.inputs: dict[str, FakeInput] = {}
        self.counters_port = 0  # of `edged counters`, once it runs
        self._ptys: dict[str, Pty] = {}
        self._ends: list[Callable[[], object]] = []
        self._lives: list[Callable[[], Coroutine[Any, Any, None]]] = []

    @contextmanager
    def serving(self) -> Iterator[tuple[str, str, str]]:
        """Serve HTTP inside the ``with`` block; yields the URLs of the chat robot, of the people counter that the hall
        polls, and of the other queue system.
        """
        with ExitStack() as stack:
            self.robot.start()
            stack.callback(self.robot.stop)
            asked = stack.enter_context(self.asked.serving())
            yield self.robot.url, asked, stack.enter_context(self.theirs.serving())

    def build(self, hall: HallConfig, followed: HallConfig, clock: Clock) -> None:
        """Make the simulated other end of every device of ``hall``, and of the panel in ``followed``, the hall that
        follows another queue system.
        """
        address = (hall.mqtt.host, hall.mqtt.port)
        self.fleet = FakeFleet(hall.hall, *address)
        self.followed = FakeFleet(followed.hall, *address)
        self.tasmota = FakeTasmota("tasmota-lamps", *address, pulse_s=PULSE_S, username="tasmota")
        self._lives += [self.fleet.run, self.followed.run, self.tasmota.run]
        self.followed_panel = FakePanel(self.followed, "panel-w1")
        for device in hall.devices:
            self._make(device.id, device.options, clock)

    def _make(self, device: str, options: object, clock: Clock) -> None:
        match options:
            case MqttJsonOptions():
                self.json[device] = JSON_FAKES.get(options.kind or "", FakeOutput)(self.fleet, device)
            case EvdevOptions():
                self._plug_input(device, Path(options.path))
            case RelayOptions():
                profile = profile_of(options.profile)
                unit = options.unit or profile.unit
                relay = FakeRelay(clock.now_s, options.channels or profile.channels, unit, profile)
                tcp, port = FakeTcp([relay]), _port(options.url)
                self.relays[device] = relay
                self._listen(lambda: tcp.start(port), tcp.stop)
            case ModbusMapOptions():
                module = self.modules[device] = FakeModule(options.unit or options.described.unit)
                port = _port(options.url)
                self._listen(lambda: module.start(port), module.stop)
            case CandleOptions():
                pty = self._plugged(options.path)
                panels = {name: panel.address for name, panel in options.panels.items()}
                self.bus = FakeCandleBus(
                    pty, panels, {name: one.address for name, one in options.boards.items()}
                )
                self._lives.append(self.bus.run)
            case Ff68Options():
                self.callers = FakeCallers(self._sender(options.path), options.callers)
                self._feed(options.path, self.callers.feed)
            case OnbonOptions():
                assert options.path is not None, "this hall's bar is serial"
                self.bar = FakeOnbon(self._sender(options.path), clock.now_s, options.model == "5k")
                self._feed(options.path, self.bar.feed)
            case LedSenderOptions():
                self.strip = LedStrip(clock.now_s, options.port)
                self._lives.append(self.strip.run)
            case VoiceChipOptions():
                self.voice = FakeVoice(self._sender(options.path), options.chip == "syn6288")
                self._feed(options.path, self.voice.feed)
            case EscposOptions():
                assert options.path is not None, "this hall's printer is serial"
                self.printer = FakePrinter(self._sender(options.path))
                self._feed(options.path, self.printer.feed)

    async def run(self) -> None:
        """Let all simulated devices serve until cancelled; then unplug them."""
        try:
            async with asyncio.TaskGroup() as lives:
                for life in self._lives:
                    lives.create_task(life())
        finally:
            for end in self._ends:
                end()

    async def posted(self) -> None:
        """Let the camera post its totals to `edged counters`, again and again until it accepts them. Raises
        ``RuntimeError`` after ``POST_TRIES`` tries.
        """
        body = self.hikvision.report()
        for _ in range(POST_TRIES):
            taken = await asyncio.to_thread(
                post, self.counters_port, "/door-hikvision", body, "door-hikvision", SECRET
            )
            if taken == HTTPStatus.OK:
                return
            await asyncio.sleep(POST_AGAIN_S)
        raise RuntimeError("`edged counters` took no report of the camera")

    # -- wires --

    def _plug_input(self, device: str, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        keypad = self.inputs[device] = FakeInput(place)
        keypad.plug()
        self._ends.append(keypad.unplug)

    def _listen(
        self, start: Callable[[], Coroutine[Any, Any, object]], stop: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        async def live() -> None:
            await start()
            try:
                await asyncio.Event().wait()
            finally:
                await stop()

        self._lives.append(live)

    def _plugged(self, path: str) -> Pty:
        pty = self._ptys.get(path)
        if pty is None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            pty = self._ptys[path] = Pty(path)
            pty.plug()
            self._ends.append(pty.close)
        return pty

    def _sender(self, path: str) -> Callable[[bytes], None]:
        """Return the function with which a device on the serial line ``path`` sends bytes."""
        return self._plugged(path).send

    def _feed(self, path: str, feed: Callable[[bytes], None]) -> None:
        pty = self._plugged(path)
        self._lives.append(lambda: pty.run(feed, lambda _up, _reason: None))


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None, "the modules of this hall listen on Modbus TCP"
    return port
