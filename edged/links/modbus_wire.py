"""Where a Modbus bus is: the URL forms, parsed at the border, and what each of them means for pymodbus.

``tcp://host:port`` Modbus TCP · ``rtu+tcp://host:port`` RTU frames through a serial server · ``rtu:///dev/path`` a
serial port, with ``?baudrate=9600&parity=N&stopbits=1``. Name ports by ``/dev/serial/by-path``: ttyUSB numbers move.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.pdu.bit_message import WriteSingleCoilRequest

TCP_PORT = 502  # registered for Modbus
BAUDRATE = 9600  # factory setting of the relay modules that we know
BAUDRATES = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
CONNECT_S = 3.0  # a LAN handshake needs milliseconds; longer means that nobody is there
FAST_BAUDRATE = 19200  # above it the gap is fixed (Modbus over Serial Line V1.02, 2.5.1.1)
FAST_GAP_S = 0.00175

TracePacket = Callable[[bool, bytes], bytes]
TraceConnect = Callable[[bool], None]
Client = AsyncModbusSerialClient | AsyncModbusTcpClient


@dataclass(frozen=True, slots=True)
class Wire:
    """A parsed URL. ``address`` is ``host:port`` or the device path: two wires with one address are one wire."""

    kind: str
    address: str
    baudrate: int = BAUDRATE
    parity: str = "N"
    stopbits: int = 1

    @property
    def rtu(self) -> bool:
        """RTU framing: no transaction ids."""
        return self.kind != "tcp"

    @property
    def char_s(self) -> float:
        """Seconds per character on a serial line, 0 elsewhere (the serial server keeps its own time)."""
        if self.kind != "rtu":
            return 0.0
        return (9 + self.stopbits + (self.parity != "N")) / self.baudrate

    @property
    def gap_s(self) -> float:
        """Silence between two frames: 3.5 characters, fixed above 19200 baud."""
        if self.kind != "rtu":
            return 0.0
        return 3.5 * self.char_s if self.baudrate <= FAST_BAUDRATE else FAST_GAP_S


class RawCoilWrite(WriteSingleCoilRequest):
    """FC05 with any 16-bit value: relay modules keep "flash" times and blink rates there, pymodbus only on and off."""

    def __init__(self, unit: int, address: int, value: int) -> None:
        super().__init__(dev_id=unit, address=address)
        self.value = value

    def encode(self) -> bytes:
        """Address and the raw value, which pymodbus would turn into on or off."""
        return struct.pack(">HH", self.address, self.value)


def parse_url(url: str) -> Wire:
    """``url`` as a ``Wire``. Raises ``ValueError`` with what is wrong and what is allowed."""
    parts = urlsplit(url)
    if parts.scheme in ("tcp", "rtu+tcp"):
        if not parts.hostname or parts.query or parts.path not in ("", "/"):
            raise ValueError(f"{url!r}: want {parts.scheme}://host:port")
        return Wire(parts.scheme, f"{parts.hostname}:{parts.port or TCP_PORT}")
    if parts.scheme != "rtu" or parts.netloc or len(parts.path) < 2:
        raise ValueError(f"{url!r}: want tcp://host:port, rtu+tcp://host:port or rtu:///dev/…?baudrate=9600")
    settings = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = set(settings) - {"baudrate", "parity", "stopbits"}
    if unknown:
        raise ValueError(
            f"{url!r}: unknown {', '.join(sorted(unknown))}; allowed: baudrate, parity, stopbits"
        )
    baudrate = _choice(url, "baudrate", settings.get("baudrate", str(BAUDRATE)), map(str, BAUDRATES))
    parity = _choice(url, "parity", settings.get("parity", "N"), "NEO")
    stopbits = _choice(url, "stopbits", settings.get("stopbits", "1"), "12")
    return Wire("rtu", parts.path, int(baudrate), parity, int(stopbits))


def _choice(url: str, name: str, value: str, allowed: Iterable[str]) -> str:
    choices = list(allowed)
    if value not in choices:
        raise ValueError(f"{url!r}: {name} must be one of {', '.join(choices)}, not {value!r}")
    return value


def open_client(wire: Wire, trace_packet: TracePacket, trace_connect: TraceConnect) -> Client:
    """A fresh pymodbus client for one connection of ``wire``.

    The bus reconnects by itself with backoff; pymodbus's own reconnect delay is set far above it, and never 0, which
    some versions turn into a busy loop. Retries are the bus's too: 0 here.
    """
    if wire.kind == "rtu":
        return AsyncModbusSerialClient(
            wire.address,
            baudrate=wire.baudrate,
            parity=wire.parity,
            stopbits=wire.stopbits,
            timeout=CONNECT_S,
            retries=0,
            reconnect_delay=3600,
            trace_packet=trace_packet,
            trace_connect=trace_connect,
        )
    host, _, port = wire.address.rpartition(":")
    return AsyncModbusTcpClient(
        host,
        port=int(port),
        framer=FramerType.RTU if wire.rtu else FramerType.SOCKET,
        timeout=CONNECT_S,
        retries=0,
        reconnect_delay=3600,
        trace_packet=trace_packet,
        trace_connect=trace_connect,
    )
