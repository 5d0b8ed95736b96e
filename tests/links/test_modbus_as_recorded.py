"""What a Modbus bus and its modules say to each other in scripted days, well and ill, as recorded in ``recorded/``.

Each request and answer stands there with its second: deadlines, pauses of silent units, late answers, gaps, tries,
how often a port is opened again, and with which words callers learn it.

Record anew, then read the diff: ``TRANSCRIPTS_UPDATE=1 pytest tests/links/test_modbus_as_recorded.py``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edged.core.model.losses import Loss
from edged.driver import DeviceError
from edged.links.modbus import frames, pdus
from edged.links.modbus import link as modbus_link
from edged.links.modbus import queue as modbus_queue
from edged.links.modbus import wire as modbus_wire
from edged.links.modbus.frames import rtu_frame, tcp_frame
from edged.links.modbus.link import ModbusBus
from tests.support.dialogues import Stage, played

RECORDED = Path(__file__).parent / "recorded"
PORT = 20_000
Answer = Callable[[int, bytes], bytes | None]  # unit and PDU -> the answer's PDU


def healthy_answer(unit: int, pdu: bytes) -> bytes | None:
    """Answer as a module whose coil n is closed if n is odd, and whose register n holds n."""
    address, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
    if pdu[0] in (1, 2):
        bits = sum(((address + n) & 1) << n for n in range(count))
        data = bits.to_bytes((count + 7) // 8, "little")
        return bytes((pdu[0], len(data))) + data
    if pdu[0] in (3, 4):
        return bytes((pdu[0], 2 * count)) + b"".join((address + n).to_bytes(2, "big") for n in range(count))
    return pdu[:5]


class Module(asyncio.Protocol):
    """The far end of every connection to the bus; ``answer`` decides, ``raw`` replaces the whole frame."""

    def __init__(self, stage: Stage, rtu: bool) -> None:
        self.stage, self.rtu = stage, rtu
        self.answer: Answer = healthy_answer
        self.delay_s = 0.01
        self.raw: Callable[[bytes], bytes] | None = None
        self.transport: Any = None
        self.closes = False  # after each answer

    def connection_made(self, transport: Any) -> None:
        self.stage.note("-", "connected")
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.stage.note("-", "disconnected")

    def data_received(self, data: bytes) -> None:
        self.stage.note(">", data.hex())
        if self.raw is not None:
            self._later(self.raw(data))
            return
        unit, pdu = (data[0], data[1:-2]) if self.rtu else (data[6], data[7:])
        answer = self.answer(unit, pdu)
        if answer is None:
            return
        number = int.from_bytes(data[:2], "big")
        self._later(rtu_frame(unit, answer) if self.rtu else tcp_frame(number, unit, answer))

    def _later(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(self.delay_s, self._say, self.transport, data)

    def _say(self, transport: Any, data: bytes) -> None:
        if data and not transport.is_closing():
            self.stage.note("<", data.hex())
            transport.write(data)
        if self.closes:
            asyncio.get_running_loop().call_later(0.001, transport.close)


class Bus:
    """A bus, its far end, and callers."""

    def __init__(self, stage: Stage, kind: str = "tcp") -> None:
        self.stage = stage
        rtu = kind != "tcp"
        self.far = Module(stage, rtu)
        url = "rtu:///dev/x?baudrate=9600" if kind == "rtu" else f"{kind}://h:{PORT}"
        self.bus = ModbusBus(url)
        self.bus.on_state(self._changed)
        self._calls: list[asyncio.Task[None]] = []
        self.server: Any = None

    def _changed(self, up: bool, why: Loss) -> None:
        self.stage.note("!", "up" if up else f"down {why.word}: {why.detail}")

    async def __aenter__(self) -> Bus:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: self.far, "h", PORT)
        self._running = asyncio.ensure_future(self.bus.run())
        await asyncio.sleep(0.1)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running
        await asyncio.gather(*self._calls)
        self.stage.note("-", " ".join(f"{name} {count}" for name, count in asdict(self.bus.counts).items()))

    def ask(self, name: str, call: Callable[[], Awaitable[object]]) -> None:
        """Begin a call whose outcome is recorded when it comes."""

        async def outcome() -> None:
            try:
                found = await call()
            except DeviceError as error:
                self.stage.note("=", f"{name}: {type(error).__name__} {error.word}: {error}")
            else:
                shown = found.hex() if isinstance(found, bytes) else str(found)
                self.stage.note("=", f"{name}: {shown}")

        self.stage.note("-", name)
        self._calls.append(asyncio.ensure_future(outcome()))

    async def asked(self, name: str, call: Callable[[], Awaitable[object]]) -> None:
        """Begin a call, record its outcome, and wait for it."""
        self.ask(name, call)
        await self._calls[-1]

    def in_two_pieces(self, asked: bytes) -> bytes:
        whole = both_at_once(asked)
        asyncio.get_running_loop().call_later(0.05, self.far.transport.write, whole[-4:])
        return whole[:-4]

    def coils(self, unit: int = 1, count: int = 8) -> None:
        self.ask(f"coils of {unit}", lambda: self.bus.read_coils(unit, 0, count))

    def lamp(self, unit: int, coil: int, value: int = 0xFF00) -> None:
        self.ask(f"lamp {coil} of {unit} {value:#x}", lambda: self.bus.write_coil(unit, coil, value))


async def each_request(stage: Stage) -> None:
    for kind in ("tcp", "rtu+tcp"):
        async with Bus(stage, kind) as b:
            bus = b.bus
            await b.asked("coils", lambda: bus.read_coils(1, 0, 10))
            await b.asked("inputs", lambda: bus.read_inputs(2, 3, 4))
            await b.asked("registers", lambda: bus.read_registers(3, 258, 2))
            await b.asked("input registers", lambda: bus.read_input_registers(3, 5, 1))
            await b.asked("coil", lambda: bus.write_coil(1, 7, 0x5500))
            await b.asked("register", lambda: bus.write_register(1, 7, 513))
            await b.asked("coils", lambda: bus.write_block(1, pdus.set_coils(4, [True, False, True])))
            await b.asked("block", lambda: bus.write_block(1, pdus.set_registers(4, [1, 2])))
            for code in range(12):
                b.far.answer = lambda unit, pdu, code=code: bytes((pdu[0] | 0x80, code))  # type: ignore[misc]
                if code == frames.BUSY:
                    continue
                await b.asked(f"exception {code} to a read", lambda: bus.read_coils(1, 0, 8))
                await b.asked(f"exception {code} to a write", lambda: bus.write_coil(1, 7, 0xFF00))
                await asyncio.sleep(1)


async def busy(stage: Stage) -> None:
    async with Bus(stage) as b:
        left = [3]

        def far(unit: int, pdu: bytes) -> bytes | None:
            left[0] -= 1
            return bytes((pdu[0] | 0x80, frames.BUSY)) if left[0] >= 0 else healthy_answer(unit, pdu)

        b.far.answer = far
        await b.asked("busy three times", lambda: b.bus.read_coils(1, 0, 8))
        left[0] = 1000
        b.far.delay_s = 0.15
        await b.asked("busy for ever", lambda: b.bus.read_coils(1, 0, 8))


async def silent(stage: Stage) -> None:
    """A unit that is silent, beside one that answers; both, until the connection is opened anew."""
    for kind in ("tcp", "rtu"):
        async with Bus(stage, kind) as b:
            b.far.answer = lambda unit, pdu: None if unit == 9 else healthy_answer(unit, pdu)
            for _ in range(3):
                b.coils(9)
                b.lamp(9, 0)
                b.coils(1)
                await asyncio.sleep(0.9)
                stage.note("-", f"rests {b.bus.rest_s(9):.3f} {b.bus.rest_s(1):.3f} {b.bus.rest_s(7):.3f}")
            b.far.answer = lambda unit, pdu: None
            for unit in (1, 2, 3, 4):
                b.coils(unit)
                await asyncio.sleep(0.5)
            b.far.answer = healthy_answer
            await asyncio.sleep(4)
            b.coils(9)
            await asyncio.sleep(0.3)


async def cut_short(stage: Stage) -> None:
    """While a silent unit is waited for, another is to be asked: at once, and after the fair time."""
    async with Bus(stage, "rtu+tcp") as b:
        b.far.answer = lambda unit, pdu: None if unit == 9 else healthy_answer(unit, pdu)
        b.coils(9)
        await asyncio.sleep(0.25)
        b.coils(1)
        await asyncio.sleep(0.02)
        b.lamp(1, 2)
        await asyncio.sleep(3)
        b.coils(9)
        await asyncio.sleep(0.1)
        b.coils(1)
        await asyncio.sleep(3)
        stage.note("-", "never left in peace")
        b.coils(9)
        for number in range(20):
            await asyncio.sleep(0.05)
            b.lamp(1, number % 4)
        await asyncio.sleep(4)
        for times in (0, 2):
            stage.note("-", f"after {times}")
            b.bus.counts.broken_off = 0
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(modbus_link, "BREAK_OFF_MAX", times)
                b.coils(9)
                for _ in range(8):
                    await asyncio.sleep(0.05)
                    b.lamp(1, 3)
                await asyncio.sleep(12)


def both_at_once(asked: bytes) -> bytes:
    """The answer that an earlier question for register 5 still owes, and behind it the right one."""
    owed = b"\x03\x02\0\x05"
    if asked[2:4] == b"\0\0":
        number = int.from_bytes(asked[:2], "big")
        return tcp_frame(number - 1, 1, owed) + tcp_frame(number, 1, healthy_answer(1, asked[7:]) or b"")
    return rtu_frame(1, owed) + rtu_frame(1, healthy_answer(1, asked[1:-2]) or b"")


async def late(stage: Stage) -> None:
    """Late answers: taken for nobody else's, known as late, and waited for before a question that is like it."""
    for kind in ("tcp", "rtu+tcp"):
        async with Bus(stage, kind) as b:
            b.far.delay_s = 0.25
            b.ask("register 5", lambda: b.bus.read_registers(1, 5, 1))
            await asyncio.sleep(1.5)
            b.far.delay_s = 1.9
            b.ask("register 5", lambda: b.bus.read_registers(1, 5, 1))
            await asyncio.sleep(1.45)
            b.far.delay_s = 0.01
            b.ask("register 5", lambda: b.bus.read_registers(1, 5, 1))
            b.ask("register 6", lambda: b.bus.read_registers(1, 6, 1))
            b.ask("registers 5 and 6", lambda: b.bus.read_registers(1, 5, 2))
            await asyncio.sleep(4)
            stage.note("-", "a late answer and the right one in one piece")
            b.far.answer = lambda unit, pdu: None
            b.ask("register 5", lambda: b.bus.read_registers(1, 5, 1))
            await asyncio.sleep(2.5)
            b.far.raw = both_at_once
            b.ask("2 registers", lambda: b.bus.read_registers(1, 5, 2))
            await asyncio.sleep(3)
            stage.note("-", "the same in two pieces, the second of which is the rest of the right one")
            b.far.raw = None
            b.ask("register 5", lambda: b.bus.read_registers(1, 5, 1))
            await asyncio.sleep(2.5)
            b.far.raw = b.in_two_pieces
            b.ask("2 registers", lambda: b.bus.read_registers(1, 5, 2))
            await asyncio.sleep(3)
            b.far.raw, b.far.answer = None, healthy_answer
            await asyncio.sleep(5)
            b.far.delay_s = 0.25
            b.lamp(1, 3)
            await asyncio.sleep(0.3)
            b.far.delay_s = 0.01
            b.lamp(1, 3, 0)
            b.lamp(1, 4)
            await asyncio.sleep(4)
            b.far.delay_s = 0.6
            b.coils(1)
            await asyncio.sleep(0.3)
            b.far.answer = lambda unit, pdu: None
            await asyncio.sleep(8)


async def misfits(stage: Stage) -> None:
    """Answers that are not the one asked for, by kind."""

    def others(kind: str) -> dict[str, Callable[[bytes], bytes]]:
        def pdu_of(data: bytes) -> tuple[int, bytes]:
            return (data[6], data[7:]) if kind == "tcp" else (data[0], data[1:-2])

        def framed(data: bytes, unit: int, pdu: bytes, number: int = 0) -> bytes:
            if kind == "tcp":
                return tcp_frame((int.from_bytes(data[:2], "big") + number) & 0xFFFF, unit, pdu)
            return rtu_frame(unit, pdu)

        def answer(data: bytes) -> bytes:
            return healthy_answer(*pdu_of(data)) or b""

        return {
            "itself": lambda data: data,
            "another unit": lambda data: framed(data, 8, answer(data)),
            "another transaction": lambda data: framed(data, 1, answer(data), 300),
            "an older transaction": lambda data: framed(data, 1, answer(data), -1),
            "another function": lambda data: framed(data, 1, b"\x02" + answer(data)[1:]),
            "too short": lambda data: framed(data, 1, answer(data)[:-1]),
            "too long": lambda data: framed(data, 1, answer(data) + b"\0"),
            "half": lambda data: framed(data, 1, answer(data))[:-3],
            "damaged": lambda data: framed(data, 1, answer(data))[:-1] + b"\x77",
            "noise before it": lambda data: b"\0\xff\x03" + framed(data, 1, answer(data)),
            "noise behind it": lambda data: framed(data, 1, answer(data)) + b"\0\xff",
            "noise": lambda data: b"?" * 7,
            "very much noise": lambda data: b"?" * 700,
        }

    for kind in ("tcp", "rtu+tcp"):
        async with Bus(stage, kind) as b:
            for name, raw in others(kind).items():
                b.far.raw = raw
                await b.asked(name, lambda: b.bus.read_coils(1, 0, 8))
                await b.asked(f"{name}, once more", lambda: b.bus.write_coil(1, 7, 0xFF00))
                b.far.raw = None
                await asyncio.sleep(5)
                await b.asked("well", lambda: b.bus.read_coils(1, 0, 8))


async def gaps(stage: Stage) -> None:
    """A serial line: silence between frames, answers of some length, and a line that is never silent."""
    async with Bus(stage, "rtu") as b:
        for count in (8, 64):
            await b.asked(f"{count} coils", lambda count=count: b.bus.read_coils(1, 0, count))  # type: ignore[misc]
        b.coils(1)
        b.lamp(1, 1)
        await asyncio.sleep(0.2)
        b.far.answer = lambda unit, pdu: None
        b.ask("64 coils of a silent unit", lambda: b.bus.read_coils(2, 0, 64, deadline_s=0.1))
        await asyncio.sleep(1)
        b.far.answer = healthy_answer
        stage.note("-", "babble")

        async def babble() -> None:
            for _ in range(60):
                b.far.transport.write(b"?")
                await asyncio.sleep(0.003)

        noise = asyncio.ensure_future(babble())
        await asyncio.sleep(0.01)
        b.coils(1)
        b.lamp(1, 2)
        await noise
        await asyncio.sleep(1)


async def connections(stage: Stage) -> None:
    """Refused, closed while idle, under a request, after every answer, and opened again."""
    async with Bus(stage) as b:
        b.coils(1)
        await asyncio.sleep(0.1)
        stage.note("-", "the module closes while idle")
        b.far.transport.close()
        await asyncio.sleep(1)
        b.coils(1)
        await asyncio.sleep(0.1)
        stage.note("-", "it closes under a request, once")
        b.far.answer = lambda unit, pdu: b.far.transport.close()
        b.coils(1)
        await asyncio.sleep(0)
        b.far.answer = healthy_answer
        await asyncio.sleep(3)
        stage.note("-", "after each answer")
        b.far.closes = True
        for _ in range(4):
            b.coils(1)
            b.coils(2)
            await asyncio.sleep(0.5)
        stage.note("-", "without an answer")
        b.far.closes = False
        b.far.answer = lambda unit, pdu: b.far.transport.close()
        await asyncio.sleep(2)
        b.coils(1)
        await asyncio.sleep(3)
        b.far.answer = healthy_answer
        stage.note("-", "refused for a while")
        b.server.refuses = True
        b.far.transport.close()
        await asyncio.sleep(0.01)
        b.coils(1)
        b.lamp(1, 1)
        await asyncio.sleep(20)
        with suppress(DeviceError):
            b.coils(1)
        b.server.refuses = False
        await asyncio.sleep(12)
        b.coils(1)
        await asyncio.sleep(0.1)


async def serial_lost(stage: Stage) -> None:
    """A serial port that is gone is a loss also while nothing is asked."""
    async with Bus(stage, "rtu") as b:
        b.coils(1)
        await asyncio.sleep(0.1)
        b.far.transport.close()
        await asyncio.sleep(2)
        b.coils(1)
        await asyncio.sleep(0.1)


async def order(stage: Stage) -> None:
    """Writes before reads, the newest of a coil, one read after sixteen writes, and a full queue."""
    async with Bus(stage) as b:
        b.coils(5)
        b.coils(1)
        for coil in (1, 2, 1, 3, 1):
            b.lamp(1, coil, coil << 8 if coil < 3 else 0xFF00)
        b.lamp(1, 1, 0)
        await asyncio.sleep(0.3)
        stage.note("-", "coils, registers and blocks of like addresses replace each other in nothing")
        b.coils(1)
        for address in (0, 1, 0xFF, 0xFFFF):
            b.lamp(1, address)
            for name, value in (("older", 1), ("newer", 2)):
                block = pdus.set_registers(address, [value])
                b.ask(f"{name} register {address}", partial(b.bus.write_register, 1, address, value))
                b.ask(f"{name} block {address}", partial(b.bus.write_block, 1, block))
        await asyncio.sleep(1)
        b.coils(2)
        b.coils(3)
        for coil in range(20):
            b.lamp(1, coil)
        await asyncio.sleep(1)
        b.far.answer = lambda unit, pdu: None
        refused = 0
        for number in range(modbus_queue.PENDING_MAX + 3):
            call = b.bus.read_registers(1 + number % 200, number, 1)
            task = asyncio.ensure_future(call)
            await asyncio.sleep(0)
            if task.done():
                refused += 1
                stage.note("=", f"{number}: {task.exception()}")
            else:
                task.add_done_callback(lambda done: done.cancelled() or done.exception())
        stage.note("-", f"{refused} refused")


SCENES: dict[str, Callable[[Stage], Coroutine[Any, Any, None]]] = {
    "each-request": each_request,
    "busy": busy,
    "silent": silent,
    "cut-short": cut_short,
    "late": late,
    "misfits": misfits,
    "gaps": gaps,
    "connections": connections,
    "serial-lost": serial_lost,
    "order": order,
}


@contextmanager
def serial_in_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    async def opened(_wire: Any, ends: asyncio.Protocol) -> asyncio.Transport:
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: ends, "h", PORT)
        assert isinstance(transport, asyncio.Transport)
        return transport

    monkeypatch.setattr(modbus_wire, "_open_port", opened)
    yield


@pytest.mark.parametrize("name", SCENES)
def test_a_modbus_scene_is_as_recorded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = RECORDED / f"modbus-{name}.txt"
    with serial_in_memory(monkeypatch):
        found = played(SCENES[name])
    if os.environ.get("TRANSCRIPTS_UPDATE"):
        file.write_text(found, "utf-8")
    assert found.splitlines() == file.read_text("utf-8").splitlines()
