"""The peers: programs measured for comparison with the daemon, which only answer the same key with the same output.
Rules:

* A peer parses the JSON of every message of the hall, and answers the measured panel's keys with a lamp: no state, no
  journal, no validation, no metrics. Its time is the least that the line and a Python process need.
* ``python -m edged.bench.peers`` reads one job as JSON from stdin, prints "ready" on stdout, and answers until killed.

``blocking``: raw sockets, no event loop (the lower limit). ``asyncio``: one Protocol. ``aiomqtt``: with TCP_NODELAY.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import tty
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from edged.bench import packets
from edged.bench.plug import QUICKACK, Address, Plug, tls_context
from edged.links.modbus.frames import rtu_frame, tcp_frame

REPLY_BYTES = 512
OTHER_LAMP = "lamp-x1"
COIL_ON, COIL_OFF = 0xFF00, 0x0000
CANDLE_FRAME_BYTES = 4
# Key of a candle panel -> LED that the daemon shows after it: calling, serving, open.
CANDLE_LEDS = {0x31: 0x36, 0x32: 0x31, 0x34: 0x32}


@dataclass(frozen=True, slots=True)
class PeerJob:
    """What a peer process has to do. ``kind``: "blocking", "asyncio", "aiomqtt", or "program" for one given by the
    user. ``panel``: the panel whose keys it answers; ``lamp``: the MQTT lamp to switch. ``out``: where the answer goes:
    "mqtt", "tcp:PORT" or "rtu:PATH"; with "line:PATH" the keys come from that Candle bus, too.

    ``every``: the aiomqtt peer also switches ``OTHER_LAMP`` at every ``every``-th other message; 0: never.
    """

    kind: str
    hall: str
    panel: str
    lamp: str
    out: str
    broker: dict[str, Any]
    every: int = 0

    def to_json(self) -> str:
        """The JSON that the peer process reads from its standard input."""
        return json.dumps(asdict(self))


def command_of(payload: bytes) -> str | None:
    """Return the state of the lamp that a key must cause ("on" or "off"), from the message of the key; None if it
    causes none.
    """
    key = json.loads(payload).get("key")
    return {"pause": "off", "unpause": "on"}.get(key)


def coil(state: str) -> bytes:
    """Make a Modbus request (FC05) that switches coil 0 ``state`` ("on" or "off"), without the frame around it."""
    return b"\x05\x00\x00" + (COIL_ON if state == "on" else COIL_OFF).to_bytes(2, "big")


class Out:
    """A peer's output outside MQTT: coil 0 of a Modbus module. ``out``: "tcp:PORT" or "rtu:PATH"."""

    def __init__(self, out: str) -> None:
        kind, _, place = out.partition(":")
        self._rtu = kind == "rtu"
        if self._rtu:
            self._fd = os.open(place, os.O_RDWR | os.O_NOCTTY)
            tty.setraw(self._fd)
        else:
            self._socket = socket.create_connection(("127.0.0.1", int(place)))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._fd = self._socket.fileno()
        self._count = 0

    def show(self, state: str) -> None:
        """Switch the coil ``state`` ("on" or "off") and read the module's answer."""
        self._count += 1
        pdu = coil(state)
        os.write(self._fd, rtu_frame(1, pdu) if self._rtu else tcp_frame(self._count & 0xFFFF, 1, pdu))
        os.read(self._fd, REPLY_BYTES)


def blocking(job: PeerJob) -> None:
    """Run the fastest possible peer, without event loop, until killed: receive (blocking), answer, acknowledge."""
    plug = Plug(Address.from_json(job.broker), f"{job.hall}-blocking")
    plug.subscribe(f"hall/{job.hall}/dev/+/up/+")
    out = None if job.out == "mqtt" else Out(job.out)
    lamp, press = f"hall/{job.hall}/dev/{job.lamp}/down/lamp", f"hall/{job.hall}/dev/{job.panel}/up/key"
    _ready()
    while True:
        messages = plug.receive()
        for message in messages:
            state = command_of(message.payload)
            if state is None or message.topic != press:
                continue
            if out is None:
                plug.publish(lamp, json.dumps({"state": state}).encode(), retain=True)
            else:
                out.show(state)
        plug.acknowledge(messages)


class AsyncioEcho(asyncio.Protocol):
    """An MQTT peer as one asyncio Protocol, without a library: connects, subscribes, and answers keys."""

    def __init__(self, job: PeerJob, broker: Address) -> None:
        self._out = None if job.out == "mqtt" else Out(job.out)
        self._hall = job.hall
        self._lamp = f"hall/{job.hall}/dev/{job.lamp}/down/lamp"
        self._press = f"hall/{job.hall}/dev/{job.panel}/up/key"
        self._broker = broker
        self._reader = packets.Reader()
        self._mid = 1
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._socket = transport.get_extra_info("socket")
        name, password = self._broker.username, self._broker.password
        transport.write(packets.connect(f"{self._hall}-asyncio", name, password))

    def data_received(self, data: bytes) -> None:
        if QUICKACK is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
        answers = b"".join(self._answer(packet) for packet in self._reader.feed(data))
        if answers:
            self._transport.write(answers)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)

    def _answer(self, packet: packets.Packet) -> bytes:
        if packet.kind == packets.CONNACK:
            return packets.subscribe(self._mid, f"hall/{self._hall}/dev/+/up/+")
        if packet.kind == packets.SUBACK:
            _ready()
        if packet.kind != packets.PUBLISH:
            return b""
        message = packets.published(packet)
        state = command_of(message.payload)
        lamp = self._show(state) if state is not None and message.topic == self._press else b""
        return lamp + (packets.puback(message.mid) if message.mid else b"")

    def _show(self, state: str) -> bytes:
        if self._out is not None:
            self._out.show(state)
            return b""
        self._mid = self._mid % packets.MESSAGE_IDS + 1
        return packets.publish(self._lamp, json.dumps({"state": state}).encode(), self._mid, retain=True)


async def bare_asyncio(job: PeerJob) -> None:
    """Run ``AsyncioEcho`` on one connection until killed."""
    broker = Address.from_json(job.broker)
    loop, context = asyncio.get_running_loop(), tls_context(broker)
    name = broker.host if context is not None else None
    _, echo = await loop.create_connection(
        lambda: AsyncioEcho(job, broker), broker.host, broker.port, ssl=context, server_hostname=name
    )
    await echo.ended


async def with_aiomqtt(job: PeerJob) -> None:
    """Run the peer on aiomqtt until killed: what a careful programmer achieves with the usual library."""
    import aiomqtt

    broker = Address.from_json(job.broker)
    out = None if job.out == "mqtt" else Out(job.out)
    lamp, press = f"hall/{job.hall}/dev/{job.lamp}/down/lamp", f"hall/{job.hall}/dev/{job.panel}/up/key"
    other = f"hall/{job.hall}/dev/{OTHER_LAMP}/down/lamp"
    tls = None
    if broker.tls_ca is not None:
        tls = aiomqtt.TLSParameters(broker.tls_ca, broker.tls_cert, broker.tls_key)
    async with aiomqtt.Client(
        broker.host,
        broker.port,
        username=broker.username,
        password=broker.password,
        identifier=f"{job.hall}-aiomqtt",
        tls_params=tls,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    ) as client:
        await client.subscribe(f"hall/{job.hall}/dev/+/up/+", qos=1)
        _ready()
        others = 0
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            state = command_of(message.payload)
            if state is None or message.topic.value != press:
                others += 1
                if job.every and others % job.every == 0:
                    await client.publish(other, json.dumps({"state": "on"}), qos=1, retain=True)
                continue
            if out is None:
                await client.publish(lamp, json.dumps({"state": state}), qos=1, retain=True)
            else:
                out.show(state)


class SerialEcho:
    """A peer on a Candle bus: a key's frame in, the frame for the panel's LED out."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.fd)
        self._held = b""

    def answer(self) -> None:
        """Read the bytes that arrived and answer each complete frame."""
        self._held += os.read(self.fd, REPLY_BYTES)
        while len(self._held) >= CANDLE_FRAME_BYTES:
            frame, self._held = self._held[:CANDLE_FRAME_BYTES], self._held[CANDLE_FRAME_BYTES:]
            led = CANDLE_LEDS.get(frame[2])
            if led is not None:
                os.write(self.fd, bytes((frame[0], frame[1], led, frame[3])))


def blocking_line(job: PeerJob) -> None:
    """Run the fastest possible peer on a Candle bus until killed: read (blocking), answer."""
    line = SerialEcho(job.out.partition(":")[2])
    _ready()
    while True:
        line.answer()


async def asyncio_line(job: PeerJob) -> None:
    """Run the peer on a Candle bus on an event loop, until killed."""
    line = SerialEcho(job.out.partition(":")[2])
    asyncio.get_running_loop().add_reader(line.fd, line.answer)
    _ready()
    await asyncio.Event().wait()


def _ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def main() -> None:
    """Read the job from stdin and run the peer that it names."""
    job = PeerJob(**json.loads(sys.stdin.readline()))
    over_line = job.out.startswith("line:")
    blockers: dict[str, Callable[[PeerJob], None]] = {"blocking": blocking_line if over_line else blocking}
    if job.kind in blockers:
        blockers[job.kind](job)
    elif job.kind == "aiomqtt":
        asyncio.run(with_aiomqtt(job))
    else:
        asyncio.run(asyncio_line(job) if over_line else bare_asyncio(job))


if __name__ == "__main__":
    main()
