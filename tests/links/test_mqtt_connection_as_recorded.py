"""What one connection to the broker sends, takes and refuses, over a socket in the test's hand, as in ``recorded/``.

Packets at the broker's limits, what its CONNACK allows, reason codes, and how bad packets and full sockets end it.

Record anew, then read the diff: ``TRANSCRIPTS_UPDATE=1 pytest tests/links/test_mqtt_connection_as_recorded.py``.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiomqtt
import pytest

from edged.driver import DeviceError
from edged.links.mqtt import connection as mqtt_connection
from edged.links.mqtt import publisher
from edged.links.mqtt.connection import Connection
from edged.links.mqtt.packets import publish_packet
from edged.links.mqtt.settings import MqttSettings
from edged.links.mqtt.talk import Ack, Outbound
from edged.links.mqtt.wire import MqttWire
from tests.support.dialogues import Stage, played, shown

RECORDED = Path(__file__).parent / "recorded"


class Socket:
    """A socket that takes ``room`` bytes and gives what is in ``arrives``."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.room = 1 << 30
        self.number = -1
        self.arrives: list[bytes | OSError] = []
        self.fault: OSError | None = None

    def setsockopt(self, *_: object) -> None:
        """No-op."""

    def fileno(self) -> int:
        return self.number

    def setblocking(self, flag: bool) -> None:
        """No-op."""

    def send(self, data: bytes) -> int:
        if self.fault is not None:
            raise self.fault
        if not self.room:
            raise BlockingIOError
        sent = bytes(data[: self.room])
        self.room -= len(sent)
        self.stage.note(">", shown(sent))
        return len(sent)

    def recv(self, size: int) -> bytes:
        if not self.arrives:
            raise BlockingIOError
        first = self.arrives.pop(0)
        if isinstance(first, OSError):
            raise first
        return first

    def close(self) -> None:
        self.stage.note("-", "socket closed")


class Open:
    """An open connection in ``protocol``."""

    def __init__(self, stage: Stage, protocol: str = "5") -> None:
        self.stage = stage
        self.unwanted: set[str] = set()
        settings = MqttSettings("id", protocol=protocol)  # type: ignore[arg-type]
        self.connection = Connection(settings, self._message, self._refused, self.unwanted, self._reading)
        self.socket = Socket(stage)
        raw: Any = self.socket
        self.connection.wire = MqttWire(raw, 1000)
        self.acks: list[Ack] = []

    def connack(self, session: bool = False, **properties: int) -> None:
        paho: Any = self.connection._paho
        paho.is_connected = lambda: True
        client: Any = self.connection._client
        client._on_connect = lambda *_: self.stage.note("=", "CONNACK is passed on")
        flags = SimpleNamespace(session_present=session)
        self.connection._connected(None, None, flags, None, SimpleNamespace(**properties))
        known = self.connection
        self.stage.note(
            "-",
            f"{properties}: ready {known.ready} session {known.session_present} window {known._outgoing.window}",
        )

    def _message(self, message: Any, ack: Ack | None) -> None:
        self.stage.note("!", f"{message} {'to be acknowledged' if ack else ''}")
        if ack is not None:
            self.acks.append(ack)

    def _refused(self, topic: str, why: str) -> None:
        self.stage.note("?", f"{topic} {why!r}")

    def _reading(self, begins: bool) -> None:
        self.stage.note("-", f"reading {begins}")

    async def publish(self, payload: bytes = b"p", topic: str = "t", **more: Any) -> None:
        properties = more.pop("properties", b"")
        unheard = more.pop("unheard", None)
        self.stage.note("-", f"publish {topic[:20]} {len(payload)} {more}")
        try:
            self.connection.publish(Outbound(topic, payload, properties, unheard), **more)
        except DeviceError as error:
            self.stage.note("=", f"{type(error).__name__}: {error}")
        self.stage.note("-", "returned")
        await asyncio.sleep(0.001)

    async def arrives(self, *pieces: bytes | OSError) -> None:
        self.socket.arrives.extend(pieces)
        self.connection._readable()
        await asyncio.sleep(0.001)
        lost = self.connection.lost
        if lost.done():
            self.stage.note("=", f"lost: {lost.result()}")


async def publishing(stage: Stage) -> None:
    for protocol in ("5", "3.1.1"):
        o = Open(stage, protocol)
        await o.publish()
        o.connack(True)
        await o.publish()
        await o.publish(qos=0)
        await o.publish(retain=True, urgent=True, properties=b"\x02\0\0\0\x05")
        await o.publish(qos=0, retain=True, properties=b"\x02\0\0\0\x05")
        for topic in ("", "a/+", "x" * 70_000):
            await o.publish(topic=topic)
        o.connack(MaximumPacketSize=40, RetainAvailable=0, ReceiveMaximum=5)
        for size in (22, 23, 24):
            await o.publish(b"x" * size)
        await o.publish(b"x" * 19, properties=b"\x02\0\0\0\x05")
        await o.publish(b"x" * 18, properties=b"\x02\0\0\0\x05")
        await o.publish(retain=True)
        o.connack(MaximumPacketSize=1000, RetainAvailable=1, ReceiveMaximum=500)
        await o.publish(retain=True)
        o.socket.room = 0
        await o.publish(b"x" * 200)
        limit = mqtt_connection.WRITE_LIMIT_BYTES
        assert o.connection.wire is not None
        for backlog in (limit, limit + 1):
            o.connection.wire._out[:] = bytes(backlog)
            await o.publish()
        o.connection.wire._out.clear()
        o.socket.room = 1 << 30
        o.socket.fault = OSError(32, "Broken pipe")
        await o.publish(qos=0)
        stage.note("=", f"{o.connection.lost.result()}")
        await o.publish()
        o.connection.release()
        o.connection.close()


async def receiving(stage: Stage) -> None:
    o = Open(stage)
    o.connack()
    o.connection._unacked.clear()
    await o.arrives(publish_packet(b"a", b"1", 2, 7, b"") + publish_packet(b"b", b"2", 0, 0, b""))
    await o.arrives(publish_packet(b"a", b"3", 2, 8, b"") + publish_packet(b"a", b"4", 2, 9, b"")[:5])
    await o.arrives(publish_packet(b"a", b"4", 2, 9, b"")[5:])
    for ack in (o.acks[1], o.acks[0], o.acks[2]):
        ack()
        await asyncio.sleep(0.001)
    stage.note("-", f"{o.connection.unacked} unacknowledged")
    stage.note("-", "answers to what was published")
    for code in (b"", b"\x10", b"\x7f", b"\x80", b"\x87", b"\xff", b"\x97\0", b"\0"):
        await o.publish(unheard=lambda: stage.note("!", "nobody listens"))
        mid = max(o.connection._outgoing._sent)
        if code == b"\xff":
            o.unwanted.add("t")
        await o.arrives(bytes((0x40, 2 + len(code))) + mid.to_bytes(2, "big") + code)
    await o.arrives(b"\x40\x02\x12\x34")
    stage.note("-", "many packets in one read")
    await o.arrives(publish_packet(b"b", b"", 0, 0, b"") * (mqtt_connection.READ_PACKETS + 1))
    await asyncio.sleep(0.01)
    stage.note("-", "the most that may be in hand")
    o.connection._unacked.extend(Ack(o.connection, 1) for _ in range(mqtt_connection.UNACKED_MAX - 1))
    await o.arrives(publish_packet(b"a", b"5", 2, 10, b""))
    await o.arrives(publish_packet(b"a", b"6", 2, 11, b""))
    for odd in (
        b"\x36\x05\0\x01a\0\x01",
        b"\x30\x01\0",
        b"\x30\xff\xff\xff\xff\x01",
        b"\x30\xe9\x07",
        b"\x40\x01\0",
    ):
        o = Open(stage)
        o.connack()
        await o.arrives(odd)
        await o.arrives(publish_packet(b"b", b"2", 0, 0, b""))
    o = Open(stage)
    o.connack()
    await o.arrives(publish_packet(b"b", b"2", 0, 0, b""), OSError(104, "reset"))


async def reasons(stage: Stage) -> None:
    """Why a connection could not be made, in words for a technician."""
    o = Open(stage)
    connection = o.connection
    assert connection.wire is not None

    def because(cause: BaseException) -> Exception:
        try:
            try:
                raise cause
            except BaseException:  # noqa: BLE001 - any
                raise ValueError("outer")  # noqa: B904 - the context is what is looked at
        except ValueError as error:
            return error

    for code in (9, 10, 18, 20):
        fault = ssl.SSLCertVerificationError(1, "x")
        fault.verify_code, fault.verify_message = code, "self-signed certificate"
        stage.note("=", connection._why(because(fault)))
    for error in (OSError(111, "Connection refused"), OSError(), ValueError("")):
        stage.note("=", connection._why(error))
    alert = ssl.SSLError(1, "x")
    alert.reason = "TLSV1_ALERT_UNKNOWN_CA"
    connection.wire.fault = alert
    stage.note("=", connection._why(ValueError("y")))
    unknown = ssl.SSLError(1, "no reason")
    unknown.reason = ""
    connection.wire.fault = unknown
    stage.note("=", connection._why(ValueError("y")))
    connection.wire.fault = OSError(104, "reset")
    stage.note("=", connection._why(ValueError("y")))
    for server, value in ((True, 0x8E), (True, 0x8D), (False, 0x8E)):
        o = Open(stage)
        code_ = SimpleNamespace(value=value)
        flags = SimpleNamespace(is_disconnect_packet_from_server=server)
        o.connection._disconnected(None, None, flags, code_, None)
        lost = o.connection.lost.result()
        stage.note("=", f"{server} {value:#x}: {lost.kind} {lost.reason.partition('namespace')[0]}")
        o.connection._disconnected(None, None, flags, code_, None)
        stage.note("=", f"reached {o.connection.reached}")
    bare = Connection(MqttSettings("id"), o._message, o._refused, set(), o._reading)
    stage.note("=", f"reached {bare.reached} window {bare.receive_maximum}")
    old = Connection(MqttSettings("id", protocol="3.1.1"), o._message, o._refused, set(), o._reading)
    stage.note(
        "=", f"ready {old.ready} session {old.session_present} {old.unacked} window {old.receive_maximum}"
    )


async def full_socket(stage: Stage) -> None:
    """A socket that takes no more is waited for, until everything has left."""
    o = Open(stage)
    o.connack()
    loop: Any = asyncio.get_running_loop()
    waiting: list[Callable[[], None]] = []

    def add_writer(number: int, call: Callable[[], None]) -> None:
        stage.note("-", f"waits for {number}")
        waiting.append(call)

    loop.add_writer = add_writer
    loop.remove_writer = lambda number: stage.note("-", f"waits no more for {number}")
    loop.remove_reader = lambda number: stage.note("-", f"reads no more from {number}")
    o.socket.number, o.socket.room = 5, 3
    await o.publish()
    await o.publish()
    o.socket.room = 2
    waiting[-1]()
    await o.publish(urgent=True)
    o.socket.room = 1 << 30
    waiting[-1]()
    waiting[-1]()
    await o.publish()
    stage.note("-", f"{len(waiting)}")


async def subscribing(stage: Stage) -> None:
    """Which filters the broker refuses, by the codes of its SUBACK; no answer; a connection that ends meanwhile."""
    for protocol in ("5", "3.1.1"):
        o = Open(stage, protocol)
        o.connack()
        client: Any = o.connection._client
        asked = [(f"t{number}", number % 2) for number in range(6)]

        async def answered(topics: Any) -> list[Any]:
            shown = [(topic, getattr(how, "QoS", how)) for topic, how in topics]
            stage.note(">", f"SUBSCRIBE {shown}")
            return [SimpleNamespace(value=code) for code in (0, 1, 0x7F, 0x80, 0x87, 2)]

        async def silent(topics: Any) -> None:
            stage.note(">", f"{topics}"[:60])
            await asyncio.sleep(1000)

        client.subscribe = answered
        stage.note("=", f"{await o.connection.subscribe(asked)}")
        await o.connection.unsubscribe([])
        client.subscribe = client.unsubscribe = silent
        await stage.outcome("silent", o.connection.unsubscribe(["a", "b"]))
        call = asyncio.ensure_future(stage.outcome("ends", o.connection.unsubscribe(["a"])))
        await asyncio.sleep(0.1)
        o.connection.fail("closed", "the cable")
        await call


async def publishers(stage: Stage) -> None:
    """What the client of a process that only publishes is made with."""
    made: list[Any] = []

    class Client:
        def __init__(self, *places: Any, **more: Any) -> None:
            made.append((places, more))

        async def __aenter__(self) -> None:
            """No-op."""

        async def __aexit__(self, *_: object) -> None:
            """No-op."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aiomqtt, "Client", Client)
        for more in (
            {},
            {"protocol": "3.1.1", "username": "u", "password": "p", "host": "h", "port": 9, "keepalive_s": 7},
            {"will_topic": "w", "will_payload": b"gone"},
            {"will_topic": "w", "will_retain": False},
        ):
            async with publisher.publisher(MqttSettings("id", **more)):
                pass
            places, named = made.pop()
            stage.note("-", f"{more}: {places} {named}")


SCENES: dict[str, Callable[[Stage], Coroutine[Any, Any, None]]] = {
    "publishing": publishing,
    "taking": receiving,
    "reasons": reasons,
    "full-socket": full_socket,
    "subscribing": subscribing,
    "publishers": publishers,
}


@pytest.mark.parametrize("name", SCENES)
def test_an_mqtt_connection_behaves_as_recorded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_connection, "READ_PACKETS", 3)
    file = RECORDED / f"mqtt-{name}.txt"
    found = played(SCENES[name])
    if os.environ.get("TRANSCRIPTS_UPDATE"):
        file.write_text(found, "utf-8")
    assert found.splitlines() == file.read_text("utf-8").splitlines()
