"""Fake relay modules with coils, on TCP or a pty, with seeded faults.

They have the one-shot pulses of Waveshare modules (which end in hall time), their command to toggle a coil, and the
blinking of signal towers. ``lit`` and ``seen`` say what a person in front of the lamps would see.
"""

from __future__ import annotations

import asyncio
import os
import random
import tty
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from devices.modbus_relay.codec import (
    ALL_COILS,
    PULSE_UNIT_S,
    TOGGLE,
    Bits,
    Message,
    Read,
    Refusal,
    Write,
    WriteMany,
    decode_request,
)
from devices.modbus_relay.profiles import Profile, profile_of
from edged.driver import Garbled
from edged.links.modbus.frames import (
    MBAP,
    READ_COILS,
    WRITE_COIL,
    WRITE_REGISTER,
    RequestReader,
    open_tcp_header,
    rtu_frame,
    tcp_frame,
)

BLINK_SEEN_S = 3.0  # hall seconds in which a person notices that a lamp blinks (two changes)
CHANGES_MAX = 32  # remembered changes per coil
SERIAL_READ_MAX = 1024
TRANSACTIONS = 1 << 16  # the MBAP header has two bytes for one
REQUESTS_MAX = 64  # received and not answered; a master on a serial line waits for each answer

Seen = Literal["off", "on", "blink"]


@dataclass(frozen=True, slots=True)
class RelayFaults:
    """Probability (0 to 1) of each fault, per request. ``mute``: no answer. ``late``: the answer comes ``late_s`` real
    seconds late. ``garbage``: random bytes instead of the answer; ``prefix``: random bytes before it. ``exception``: a
    Modbus exception with ``code``. ``lie``: coils are read as the opposite of what they are.

    ``backwards``: the bytes of an answer with more than eight coils are in reverse order, as from some boards. Only on
    TCP: ``hang_up`` closes the connection after an answer, ``foreign`` answers with another transaction id.
    """

    mute: float = 0.0
    late: float = 0.0
    late_s: float = 0.3
    garbage: float = 0.0
    prefix: float = 0.0
    exception: float = 0.0
    code: int = 6
    lie: float = 0.0
    backwards: bool = False
    hang_up: float = 0.0
    foreign: float = 0.0


@dataclass(slots=True)
class Coil:
    """One simulated relay: whether it is on, the hall second at which a pulse ends (None: no pulse), and the times of
    its last changes.
    """

    level: bool = False
    until_s: float | None = None
    blink_hz: float = 0.0
    changes: deque[float] = field(default_factory=lambda: deque(maxlen=CHANGES_MAX))

    def set(self, level: bool, at_s: float) -> None:
        """Switch the relay; if that changes its state, record the time ``at_s``."""
        if level != self.level:
            self.level = level
            self.changes.append(at_s)


class FakeRelay:
    """One simulated module. ``faults`` may be replaced at any time; ``frames`` counts the requests received by function
    code.
    """

    def __init__(
        self,
        now_s: Callable[[], float],
        channels: int = 8,
        unit: int = 1,
        profile: Profile | None = None,
        seed: int = 0,
    ) -> None:
        self.unit = unit
        self.profile = profile if profile is not None else profile_of("waveshare")
        self.coils = [Coil() for _ in range(channels)]
        self.faults = RelayFaults()
        self.frames: dict[int, int] = {}
        self.writes: list[Write] = []
        self._now_s = now_s
        self._dice = random.Random(seed)

    def lit(self, channel: int) -> bool:
        """Whether the lamp is lit or blinks now, for a lamp that is lit while its coil is on (make contact)."""
        return self.seen(channel) != "off"

    def seen(self, channel: int) -> Seen:
        """What a person in front of the lamp sees. Two changes within the last ``BLINK_SEEN_S`` seconds count as
        blinking.
        """
        coil = self._settled(channel)
        recent = [at_s for at_s in coil.changes if at_s > self._now_s() - BLINK_SEEN_S]
        if coil.blink_hz or len(recent) >= 2:
            return "blink"
        return "on" if coil.level else "off"

    def level(self, channel: int) -> bool:
        """The present state of the coil."""
        return self._settled(channel).level

    def power_cycle(self) -> None:
        """Switch all relays off, as after a power cut."""
        for coil in self.coils:
            coil.until_s, coil.blink_hz = None, 0.0
            coil.set(False, self._now_s())

    async def answer(self, pdu: bytes) -> bytes | None:
        """Carry out a request PDU and return the answer PDU; None for no answer. Faults may make it late, missing or
        invalid.
        """
        self.frames[pdu[0]] = self.frames.get(pdu[0], 0) + 1
        faults = self.faults
        if self._dice.random() < faults.mute:
            return None
        answer = self._carry_out(pdu)
        if self._dice.random() < faults.late:
            await asyncio.sleep(faults.late_s)
        if self._dice.random() < faults.garbage:
            return self._dice.randbytes(self._dice.randint(1, 12))
        if self._dice.random() < faults.exception:
            return Refusal(pdu[0], faults.code).to_bytes()
        if answer is not None and isinstance(answer, Bits) and self._dice.random() < faults.lie:
            answer = Bits(answer.function, bytes(byte ^ 0xFF for byte in answer.packed))
        if answer is not None and isinstance(answer, Bits) and faults.backwards:
            answer = Bits(answer.function, answer.packed[::-1])
        return None if answer is None else answer.to_bytes()

    def noise(self) -> bytes:
        """Random bytes that a bad line adds before an answer; usually none."""
        wanted = self._dice.random() < self.faults.prefix
        return self._dice.randbytes(self._dice.randint(1, 4)) if wanted else b""

    def transaction(self, number: int) -> int:
        """The transaction id in the answer to request ``number``: the same, or another one if a fault says so."""
        if not self.faults.foreign or self._dice.random() >= self.faults.foreign:
            return number
        return (number + self._dice.randrange(1, TRANSACTIONS)) % TRANSACTIONS

    def hangs_up(self) -> bool:
        """Whether a fault closes the connection after this answer."""
        return self.faults.hang_up > 0 and self._dice.random() < self.faults.hang_up

    def _carry_out(self, pdu: bytes) -> Message | None:
        try:
            request = decode_request(pdu)
        except Garbled:
            return Refusal(pdu[0] & 0x7F, 1)
        if isinstance(request, Read) and request.function == READ_COILS:
            return self._read(request)
        wanted = WRITE_COIL if self.profile.write == "coil" else WRITE_REGISTER
        if isinstance(request, Write) and request.function == wanted:
            self.writes.append(request)
            return self._write(request)
        if isinstance(request, WriteMany):
            return self._write_many(request)
        return Refusal(pdu[0], 1)

    def _read(self, request: Read) -> Message:
        first = request.address - self.profile.base
        if first < 0 or not 0 < request.count <= len(self.coils) - first:
            return Refusal(request.function, 2)
        bits = sum(self.level(first + index) << index for index in range(request.count))
        return Bits(request.function, bits.to_bytes((request.count + 7) // 8, "little"))

    def _write(self, request: Write) -> Message:
        place = self._place(request.address)
        if place is None:
            return Refusal(request.function, 2)
        channels, after = place
        blinks = {value: rate for rate, value in self.profile.blinks}
        levels = (self.profile.on, self.profile.off)
        if after is None and request.value not in (*levels, TOGGLE, *blinks):
            return Refusal(request.function, 3)
        for channel in channels:
            coil, now_s = self._settled(channel), self._now_s()
            coil.until_s, coil.blink_hz = None, blinks.get(request.value, 0.0)
            if after is not None:
                coil.set(not after, now_s)
                coil.until_s = now_s + request.value * PULSE_UNIT_S
            else:
                coil.set(not coil.level if request.value == TOGGLE else request.value != levels[1], now_s)
        return request

    def _place(self, address: int) -> tuple[Sequence[int], bool | None] | None:
        """Return the channels that a write to ``address`` affects, and the state to which they return after a one-shot
        pulse (None: ``address`` starts no pulse). Returns None if nothing has that address.
        """
        profile, count = self.profile, len(self.coils)
        places = ((profile.base, None), (profile.pulse_on, False), (profile.pulse_off, True))
        for base, after in places:
            if base is not None and base <= address < base + count:
                return (address - base,), after
        if profile.pulse_on is not None and address == ALL_COILS:
            return range(count), None
        return None

    def _write_many(self, request: WriteMany) -> Message:
        first = request.address - self.profile.base
        if first < 0 or not 0 < request.count <= len(self.coils) - first:
            return Refusal(15, 2)
        for index in range(request.count):
            coil = self._settled(first + index)
            coil.until_s, coil.blink_hz = None, 0.0
            coil.set(bool(request.packed[index // 8] >> index % 8 & 1), self._now_s())
        return WriteMany(request.address, request.count)

    def _settled(self, channel: int) -> Coil:
        coil = self.coils[channel]
        if coil.until_s is not None and self._now_s() >= coil.until_s:
            coil.set(not coil.level, coil.until_s)
            coil.until_s = None
        return coil


class FakeTcp:
    """A Modbus TCP server on 127.0.0.1 for modules with different unit numbers. An unknown unit gets no answer, as
    behind a simple gateway.

    ``hangs_up``: closes the connection after each answer, as some modules do.
    """

    def __init__(self, modules: Sequence[FakeRelay]) -> None:
        self._modules = {module.unit: module for module in modules}
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.hangs_up = False
        self.port = 0

    async def start(self, port: int = 0) -> str:
        """Listen on ``port`` (0: a free one); returns the URL."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]
        return f"tcp://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            async with asyncio.TaskGroup() as answers:
                while True:
                    number, unit, size = open_tcp_header(await reader.readexactly(MBAP))
                    pdu = await reader.readexactly(size)
                    module = self._modules.get(unit)
                    if module is not None and pdu:
                        answers.create_task(self._answer(writer, module, number, pdu))
        except* (OSError, EOFError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, module: FakeRelay, number: int, pdu: bytes) -> None:
        answer = await module.answer(pdu)
        if answer is not None and not writer.is_closing():
            writer.write(module.noise() + tcp_frame(module.transaction(number), module.unit, answer))
            if self.hangs_up or module.hangs_up():
                writer.close()


class FakeLine:
    """Modules on one RS-485 line: a pty, whose other end at ``path`` is the controller's serial port.

    ``char_s``: seconds per character, to be as slow as a real line (0: no delay).
    """

    def __init__(self, modules: Sequence[FakeRelay], char_s: float = 0.0) -> None:
        self._modules = {module.unit: module for module in modules}
        self._char_s = char_s
        self._reader = RequestReader()
        self._master, slave = os.openpty()
        self.path = os.ttyname(slave)
        tty.setraw(slave)
        self._slave = slave  # held open, so that the line outlives a port that is closed and opened again
        self._requests: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(REQUESTS_MAX)

    async def run(self) -> None:
        """Answer until cancelled; then the port disappears."""
        loop = asyncio.get_running_loop()
        os.set_blocking(self._master, False)
        loop.add_reader(self._master, self._read)
        try:
            async with asyncio.TaskGroup() as answers:
                while True:
                    unit, pdu = await self._requests.get()
                    await asyncio.sleep((len(pdu) + 3) * self._char_s)
                    if unit in self._modules:
                        answers.create_task(self._answer(self._modules[unit], pdu))
        finally:
            loop.remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)

    def send(self, data: bytes) -> None:
        """Send raw bytes to the controller."""
        os.write(self._master, data)

    def _read(self) -> None:
        for request in self._reader.feed(os.read(self._master, SERIAL_READ_MAX)):
            self._requests.put_nowait(request)

    async def _answer(self, module: FakeRelay, pdu: bytes) -> None:
        answer = await module.answer(pdu)
        if answer is None:
            return
        frame = module.noise() + rtu_frame(module.unit, answer)
        await asyncio.sleep(len(frame) * self._char_s)
        self.send(frame)
