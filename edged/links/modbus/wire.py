"""The URL of a Modbus bus: parsed when the configuration is read, opened later.

``tcp://host:port`` Modbus TCP · ``rtu+tcp://host:port`` RTU frames through a serial server · ``rtu:///dev/path`` a
serial port, with ``?baudrate=9600&parity=N&stopbits=1``. Name ports by ``/dev/serial/by-path``, because ttyUSB numbers
change.
"""

from __future__ import annotations

import asyncio
import termios
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

TCP_PORT = 502  # registered for Modbus
BAUDRATE = 9600  # factory setting of the relay modules that we know
BAUDRATES = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
CONNECT_S = 3.0  # a TCP handshake in a LAN takes milliseconds; without an answer by then, nothing is there
FAST_BAUDRATE = 19200  # above it the gap is fixed (Modbus over Serial Line V1.02, 2.5.1.1)
FAST_GAP_S = 0.00175


@dataclass(frozen=True, slots=True)
class ModbusWire:
    """A parsed URL. ``address`` is ``host:port`` or the device path; two URLs with the same address are the same
    bus.
    """

    kind: str
    address: str
    baudrate: int = BAUDRATE
    parity: str = "N"
    stopbits: int = 1

    @property
    def settings(self) -> str:
        """The settings on which all devices of the bus must agree, as text for people."""
        line = f" {self.baudrate} 8{self.parity}{self.stopbits}" if self.kind == "rtu" else ""
        return self.kind + line

    @property
    def rtu(self) -> bool:
        """Whether frames are RTU frames, which have no transaction ids."""
        return self.kind != "tcp"

    @property
    def char_s(self) -> float:
        """Seconds per character on a serial line; 0 for TCP, where a serial server does the timing."""
        if self.kind != "rtu":
            return 0.0
        return (9 + self.stopbits + (self.parity != "N")) / self.baudrate

    @property
    def gap_s(self) -> float:
        """Seconds of silence required between two RTU frames: 3.5 characters, or a fixed time above 19200 baud; 0 for
        TCP.
        """
        if self.kind != "rtu":
            return 0.0
        return 3.5 * self.char_s if self.baudrate <= FAST_BAUDRATE else FAST_GAP_S


def parse_url(url: str) -> ModbusWire:
    """Parse ``url``. Raises ``ValueError``, whose text says what is wrong and what is allowed, if it is no such URL."""
    parts = urlsplit(url)
    if parts.scheme in ("tcp", "rtu+tcp"):
        if not parts.hostname or parts.query or parts.path not in ("", "/"):
            raise ValueError(f"{url!r}: want {parts.scheme}://host:port")
        return ModbusWire(parts.scheme, f"{parts.hostname}:{parts.port or TCP_PORT}")
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
    return ModbusWire("rtu", parts.path, int(baudrate), parity, int(stopbits))


def _choice(url: str, name: str, value: str, allowed: Iterable[str]) -> str:
    choices = list(allowed)
    if value not in choices:
        raise ValueError(f"{url!r}: {name} must be one of {', '.join(choices)}, not {value!r}")
    return value


class ModbusEnds(asyncio.Protocol):
    """The asyncio protocol of one connection. ``on_bytes`` gets received bytes; ``on_end`` gets the error that ended it
    (None: closed in order); then ``closed`` is set.
    """

    def __init__(self, on_bytes: Callable[[bytes], None], on_end: Callable[[Exception | None], None]) -> None:
        self._on_bytes = on_bytes
        self._on_end = on_end
        self.closed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._on_bytes(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_end(exc)
        self.closed.set()


async def open_wire(wire: ModbusWire, ends: ModbusEnds) -> asyncio.Transport:
    """Open a connection, for TCP with TCP_NODELAY (asyncio's default), for a serial port with a lock on it.

    Raises ``OSError`` if that fails (``TimeoutError`` after ``CONNECT_S``), ``ValueError`` for settings that the port
    does not support.
    """
    async with asyncio.timeout(CONNECT_S):
        if wire.kind == "rtu":
            return await _open_port(wire, ends)
        host, _, port = wire.address.rpartition(":")
        connecting = asyncio.get_running_loop().create_connection(lambda: ends, host, int(port))
        return (await connecting)[0]


async def _open_port(wire: ModbusWire, ends: ModbusEnds) -> asyncio.Transport:
    import serialx  # a hall without serial lines does without it

    try:
        transport, _ = await serialx.create_serial_connection(
            asyncio.get_running_loop(),
            lambda: ends,
            wire.address,
            baudrate=wire.baudrate,
            parity=serialx.Parity(wire.parity),
            stopbits=serialx.StopBits(wire.stopbits),
            exclusive=True,
        )
    except (serialx.SerialException, termios.error) as error:
        raise OSError(str(error)) from None
    return transport
