"""Simulated devices on Modbus lines for tests: pseudo-terminals, a slave that the test scripts, and pymodbus's
servers.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from devices.modbus_relay.fake import FakeRelay
from edged.clock import monotonic_s
from edged.driver import Unreachable
from edged.links.modbus.link import ModbusBus
from edged.links.modbus.queue import Pace

DEADLINE_S = 8.0  # of every wait in a test


async def until(condition: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
    """Wait until ``condition`` is true; raises ``TimeoutError`` after ``deadline_s`` seconds."""
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def running(*things: object) -> AsyncIterator[None]:
    """Call ``run()`` of each of ``things`` in the background of the block; if one raises, the test fails."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(thing.run()) for thing in things]  # type: ignore[attr-defined]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def up(bus: ModbusBus) -> None:
    await until(lambda: bus.connected)


class RawLine:
    """A pseudo-terminal whose other end the test operates: ``on_bytes`` is called with every chunk received, ``send``
    sends.
    """

    def __init__(self, on_bytes: Callable[[bytes], None] = lambda data: None) -> None:
        self.on_bytes = on_bytes
        self.received: list[bytes] = []
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def send(self, data: bytes) -> None:
        with suppress(OSError):  # a late answer may find the line gone
            os.write(self._master, data)

    def send_later(self, delay_s: float, data: bytes) -> None:
        asyncio.get_running_loop().call_later(delay_s, self.send, data)

    def close(self) -> None:
        """Close both ends, as if the adapter were unplugged."""
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)
        self._master = -1

    def _read(self) -> None:
        data = os.read(self._master, 1024)
        self.received.append(data)
        self.on_bytes(data)


def sim_device(unit: int, first: int = 0, coils: int = 32) -> SimDevice:
    """A simulated Modbus device with ``coils`` coils from address ``first``, all off, and holding registers 0 to 9,
    each holding ten times its address.
    """
    blocks = (
        [SimData(first, values=[False] * coils, datatype=DataType.BITS)],
        [SimData(0, values=[False] * 16, datatype=DataType.BITS)],
        [SimData(0, values=[10 * n for n in range(10)], datatype=DataType.REGISTERS)],
        [SimData(0, values=[0], datatype=DataType.REGISTERS)],
    )
    return SimDevice(id=unit, simdata=blocks)


@asynccontextmanager
async def pymodbus_tcp(*devices: SimDevice) -> AsyncIterator[str]:
    """Run pymodbus's TCP server with these devices; yields its URL."""
    server = ModbusTcpServer(list(devices), address=("127.0.0.1", 0), ignore_missing_devices=True)
    await server.serve_forever(background=True)
    try:
        port = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        yield f"tcp://127.0.0.1:{port}"
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]


@asynccontextmanager
async def pymodbus_serial(folder: Path, *devices: SimDevice) -> AsyncIterator[str]:
    """Run pymodbus's serial server at one end of a pair of pseudo-terminals (socat); yields the URL of the other
    end.
    """
    near, far = folder / "near", folder / "far"
    socat = shutil.which("socat")
    assert socat, "socat is required"
    pair = await asyncio.create_subprocess_exec(
        socat, f"pty,raw,echo=0,link={near}", f"pty,raw,echo=0,link={far}"
    )
    try:
        await until(lambda: near.exists() and far.exists())
        server = ModbusSerialServer(
            list(devices), framer=FramerType.RTU, port=str(far), baudrate=9600, ignore_missing_devices=True
        )
        await server.serve_forever(background=True)
        try:
            yield f"rtu://{near}?baudrate=9600"
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]
    finally:
        with suppress(ProcessLookupError):
            pair.terminate()
        await pair.wait()


QUICK = Pace(rest_max_s=0.05, owed_s=0.2)


def relay(unit: int = 1, **options: object) -> FakeRelay:
    return FakeRelay(monotonic_s, unit=unit, **options)  # type: ignore[arg-type]


def registers(pdu: bytes) -> bytes:
    """The PDU of the answer to a read of one holding register, which holds ten times its address. ``pdu``: the
    request.
    """
    return bytes((3, 2)) + (10 * int.from_bytes(pdu[1:3], "big")).to_bytes(2, "big")


async def link_rested(link: ModbusBus, unit: int) -> None:
    await until(lambda: link.rest_s(unit) == 0)


async def expect_unreachable(request) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Unreachable):
        await request
