"""Fake dispensers, panels, displays, lamps, voices, counters and pagers on one MQTT connection.

Rules: the devices implement the documented JSON messages and share no code with the controller. Every message about
what happened at a device has that device's next ``seq``. Output values are stored; actions are answered with
``up/done``. On demand messages have the faults of a radio link (``Misbehaviour``): sent twice, late, or in another
order.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

QUEUE_MAX = 10_000  # messages waiting for the broker; a fake that far behind is a broken test
RETRY_S = 0.5  # between connections
KEEPALIVE_S = 5  # a broker that took the connection and does not answer is left after as long
NODELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
IN_ORDER = 8


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """Faults of the messages that fake devices send, as probabilities from 0 to 1 per message, drawn with ``seed``:
    sent twice, sent after the next one, sent late. ``late_s``: the longest delay in real seconds.

    A device's first ``IN_ORDER`` messages keep their order, because a first message that came after the second would
    look like a restart of the device (decision 0020).
    """

    seed: int = 0
    duplicate: float = 0.0
    reorder: float = 0.0
    late: float = 0.0
    late_s: float = 0.5


@dataclass(frozen=True, slots=True)
class _DevicePublish:
    topic: str
    payload: bytes
    retain: bool


class FakeFleet:
    """Many fake devices of one hall on one MQTT connection. Devices are added first; ``run`` then serves them until
    cancelled.

    paho's own thread holds the connection and reconnects. aiomqtt 2.5.1 is not used: when a broker restarts, it runs
    some callbacks so late that they affect another connection, which has the same file descriptor by then.
    """

    def __init__(
        self,
        hall: str,
        host: str = "127.0.0.1",
        port: int = 1883,
        username: str = "fakes",
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``password``: None for the same text as ``username``. ``tls``: how to verify the broker's certificate; None:
        no TLS.
        """
        self.hall = hall
        self._password = username if password is None else password
        self._tls = tls
        self._address = (host, port)
        self._username = username
        self.client_id = f"fakes-{hall}"
        self._devices: dict[str, FakeDevice] = {}
        self._client: mqtt.Client | None = None
        self._waiting: deque[_DevicePublish] = deque()  # until the broker is there: then in their order
        self._unanswered = 0
        self._drained = asyncio.Event()
        self._held: _DevicePublish | None = None
        self._misbehaviour = Misbehaviour()
        self._random = random.Random(0)
        self.connected = asyncio.Event()
        self.sent = 0

    def misbehave(self, how: Misbehaviour) -> None:
        """Have the faults of ``how`` from now on; the same seed gives the same faults."""
        self._misbehaviour = how
        self._random = random.Random(how.seed)

    def add(self, device: FakeDevice) -> None:
        """Add a device; devices call this in their constructor."""
        self._devices[device.id] = device

    def send(self, device: str, kind: str, fields: dict[str, Any], retain: bool = False) -> None:
        """Publish ``up/{kind}`` for a device. Retained messages and answers to actions (``done``) never have faults."""
        payload = json.dumps(fields, ensure_ascii=False).encode()
        outgoing = _DevicePublish(f"hall/{self.hall}/dev/{device}/up/{kind}", payload, retain)
        if retain or kind == "done":
            self._put(outgoing)
            return
        how, dice = self._misbehaviour, self._random
        begins = 0 <= fields.get("seq", -1) <= IN_ORDER
        if dice.random() < how.late and not begins:
            asyncio.get_running_loop().call_later(dice.random() * how.late_s, self._put, outgoing)
        elif dice.random() < how.reorder and self._held is None and not begins:
            self._held = outgoing  # goes out after the next one
        else:
            self._put(outgoing)
        if dice.random() < how.duplicate:
            self._put(outgoing)

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish to any topic, for a device with topics of its own."""
        self._put(_DevicePublish(topic, payload, False))

    def flush(self) -> None:
        """Send the message, if any, that was held back to be sent after the next one."""
        held, self._held = self._held, None
        if held is not None:
            self._put(held)

    async def run(self) -> None:
        """Stay connected until cancelled."""
        client = self._client = self._made(asyncio.get_running_loop())
        client.connect_async(*self._address, keepalive=KEEPALIVE_S)
        client.loop_start()
        try:
            await asyncio.Event().wait()
        finally:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)

    async def drained(self) -> None:
        """Wait until the broker has acknowledged every message sent so far."""
        if self._unanswered:
            self._drained.clear()
            await self._drained.wait()

    def _made(self, loop: asyncio.AbstractEventLoop) -> mqtt.Client:
        """Make a client whose callbacks run in ``loop``."""
        client = mqtt.Client(CallbackAPIVersion.VERSION2, self.client_id)
        client.username_pw_set(self._username, self._password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.reconnect_delay_set(RETRY_S, RETRY_S)  # type: ignore[arg-type]  # it sleeps for it: a float will do

        def then(step: Callable[[], None]) -> Callable[..., None]:
            def hand_over(*_: object) -> None:
                loop.call_soon_threadsafe(step)

            return hand_over

        def opened(_client: mqtt.Client, _data: object, wire: Any) -> None:
            wire.setsockopt(*NODELAY)

        def subscribe(*_: object) -> None:
            client.subscribe(f"hall/{self.hall}/dev/+/down/+", qos=1)

        def on_message(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
            loop.call_soon_threadsafe(self._deliver, message)

        client.on_socket_open = opened
        client.on_connect = subscribe
        client.on_subscribe = then(self._joined)
        client.on_disconnect = then(self.connected.clear)
        client.on_publish = then(self._acknowledged)
        client.on_message = on_message
        return client

    def _joined(self) -> None:
        for device in self._devices.values():
            device.announce()
        self.connected.set()
        while self._waiting:
            self._publish(self._waiting.popleft())

    def _acknowledged(self) -> None:
        self.sent += 1
        self._unanswered -= 1
        if not self._unanswered:
            self._drained.set()

    def _deliver(self, message: mqtt.MQTTMessage) -> None:
        _, _, _, device, _, kind = message.topic.split("/")
        fake = self._devices.get(device)
        if fake is not None and message.payload:
            fake.receive(kind, json.loads(message.payload))

    def _put(self, outgoing: _DevicePublish) -> None:
        self._unanswered += 1
        if self.connected.is_set():
            self._publish(outgoing)
        else:
            assert len(self._waiting) < QUEUE_MAX, "the broker does not come"
            self._waiting.append(outgoing)
        held, self._held = self._held, None
        if held is not None:
            self._put(held)

    def _publish(self, outgoing: _DevicePublish) -> None:
        """Publish at QoS 1; if the connection has just ended, paho sends it after the reconnect."""
        assert self._client is not None
        self._client.publish(outgoing.topic, outgoing.payload, qos=1, retain=outgoing.retain)


class FakeDevice:
    """Base of all fake devices: publishes status and health, and answers actions.

    ``on_action`` decides about an action: it returns None to accept it, or a text with which it is refused. ``mute``:
    the device does not answer actions at all. Both may be changed at any time. ``on_shown(kind, fields)`` is called for
    each output value received.
    """

    def __init__(
        self,
        fleet: FakeFleet,
        device: str,
        on_shown: Callable[[str, dict[str, Any]], None] = lambda _kind, _fields: None,
    ) -> None:
        self.fleet = fleet
        self.id = device
        self.seq = 0
        self.online = True
        self.shown: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[str, dict[str, Any]]] = []
        self.actions: list[tuple[str, dict[str, Any]]] = []
        self.mute = False  # does not answer actions
        self.on_action: Callable[[str, dict[str, Any]], str | None] = lambda _kind, _fields: None
        self._on_shown = on_shown
        fleet.add(self)

    def announce(self) -> None:
        """Publish the device's retained status."""
        state = "online" if self.online else "offline"
        self.fleet.send(self.id, "status", {"state": state, "fw": "fake-1"}, retain=True)

    def go(self, online: bool) -> None:
        """Go online or offline, and publish that. An offline device ignores what it receives."""
        self.online = online
        self.announce()

    def health(self, paper: str = "ok", fault: str | None = None) -> None:
        """Report paper and fault on ``up/health``."""
        self.fleet.send(self.id, "health", {"paper": paper} | ({} if fault is None else {"fault": fault}))

    def receive(self, kind: str, fields: dict[str, Any]) -> None:
        """Handle one ``down/{kind}`` message: answer an action, or store an output value in ``shown``."""
        if not self.online:
            return
        if "id" not in fields:
            self.shown[kind] = fields
            self.history.append((kind, fields))
            self._on_shown(kind, fields)
            return
        self.actions.append((kind, fields))
        if not self.mute:
            error = self.on_action(kind, fields)
            answer: dict[str, Any] = {"id": fields["id"], "ok": error is None}
            self.fleet.send(self.id, "done", answer if error is None else answer | {"error": error})

    def report(self, kind: str, fields: dict[str, Any]) -> int:
        """Publish ``up/{kind}`` with these fields and the device's next ``seq``; returns that ``seq``. Fields that are
        None are left out.
        """
        self.seq += 1
        given = {key: value for key, value in fields.items() if value is not None}
        self.fleet.send(self.id, kind, {"seq": self.seq} | given)
        return self.seq


class FakeDispenser(FakeDevice):
    """A dispenser (取号机). If ``boot`` is set, it ignores answers to requests with another ``boot``, because those are
    for another device.
    """

    boot: str | None = None

    def ticket(self, number: str, service: str, priority: str | None = None) -> int:
        """Report a number that the dispenser allocated itself; returns the report's ``seq``."""
        return self.report("ticket", {"number": number, "service": service, "priority": priority})

    def request(
        self,
        service: str,
        priority: str | None = None,
        appointment: str | None = None,
        returning: str | None = None,
    ) -> int:
        """Request a number, or report a visitor who comes back with one (``returning``); the controller answers with a
        ``print`` action. Returns the request's ``seq``.
        """
        asked = {"priority": priority, "appointment": appointment, "returning": returning, "boot": self.boot}
        return self.report("request", {"service": service} | asked)

    def receive(self, kind: str, fields: dict[str, Any]) -> None:
        """Handle one ``down/{kind}`` message. A number that answers the request of another dispenser with this device
        id is ignored: its ``boot`` is another one.
        """
        answers = fields.get("answers")
        if self.boot is None or answers is None or answers.get("boot") == self.boot:
            super().receive(kind, fields)

    @property
    def printed(self) -> list[dict[str, Any]]:
        """Tickets printed for the controller, oldest first; an action that came twice was printed once."""
        return [fields for fields in self._papers() if "about" not in fields]

    @property
    def slips(self) -> list[dict[str, Any]]:
        """All other slips printed for the controller: 一次性告知单, 容缺承诺单, the next stage of a visit."""
        return [fields for fields in self._papers() if "about" in fields]

    def _papers(self) -> list[dict[str, Any]]:
        return list({fields["id"]: fields for kind, fields in self.actions if kind == "print"}.values())


class FakePanel(FakeDevice):
    """A call panel (呼叫器), or a pager that has keys."""

    def press(self, key: str, arg: str | None = None) -> int:
        """Press ``key``; returns the report's ``seq``."""
        return self.report("key", {"key": key, "arg": arg})

    def rate(self, level: int) -> int:
        """Send a rating from the evaluator beside the panel."""
        return self.report("rating", {"level": level})

    @property
    def number(self) -> str | None:
        """The ticket number that the panel shows; None if it shows none."""
        number: str | None = self.shown.get("panel", {}).get("number")
        return number

    @property
    def waiting(self) -> int | None:
        """The number of waiting people that the panel shows; None before it received one."""
        waiting: int | None = self.shown.get("panel", {}).get("waiting")
        return waiting


class FakeCounter(FakeDevice):
    """A people counter (客流计数器) with cumulative totals."""

    entered = 0
    left = 0

    def passed(self, entered: int = 0, left: int = 0) -> int:
        """Let people pass, and report the new totals; returns the report's ``seq``."""
        self.entered += entered
        self.left += left
        return self.report("count", {"in_total": self.entered, "out_total": self.left})


class FakeOutput(FakeDevice):
    """A lamp, an LED display, a loudspeaker, or a pager without keys."""

    @property
    def lamp(self) -> str | None:
        """The state that the lamp shows; None if it received none."""
        state: str | None = self.shown.get("lamp", {}).get("state")
        return state

    @property
    def lines(self) -> list[str]:
        """The lines the display shows."""
        lines: list[str] = self.shown.get("display", {}).get("lines", [])
        return lines

    @property
    def spoken(self) -> list[str]:
        """The texts that the loudspeaker spoke."""
        return [fields["text"] for kind, fields in self.actions if kind == "say"]
