"""A fake LED card that receives real datagrams, assembles programs, shows their rows, and has seeded faults.

It answers through ``write``; the owner of the socket calls ``feed`` with each datagram.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from devices.ledsender2010 import codec
from edged.driver import Garbled

IN_FLASH: tuple[str, ...] = ("欢迎光临",)  # what the card shows without a program in memory


@dataclass(frozen=True, slots=True)
class StripFaults:
    """Probability (0 to 1) of each fault, per datagram. ``lose``: the card does not receive it. ``mute``: the card does
    not answer. ``garble``, ``twice`` and ``late``: the answer comes cut short, twice, or ``late_s`` real seconds late.
    ``forget``: the card forgets which part of a program it expects.
    """

    lose: float = 0.0
    mute: float = 0.0
    garble: float = 0.0
    forget: float = 0.0
    twice: float = 0.0
    late: float = 0.0
    late_s: float = 0.5  # real seconds


class FakeLedSender:
    """One simulated card. Set ``alive`` to False to cut its power: the screen is dark. With power again it shows the
    program in its flash.
    """

    def __init__(
        self, write: Callable[[bytes], None], now_s: Callable[[], float], address: int = 0, seed: int = 0
    ) -> None:
        self._write = write
        self._now_s = now_s
        self._address = address
        self._dice = random.Random(seed)
        self._parts = bytearray()
        self._wanted = 0  # number of the next part; 0 without a beginning
        self._program: codec.TextProgram | None = None
        self._since_s = 0.0
        self._alive = True
        self.faults = StripFaults()
        self.powered = True
        self.brightness = 7
        self.packets_received = 0
        self.programs = 0

    @property
    def alive(self) -> bool:
        """Whether the card has power."""
        return self._alive

    @alive.setter
    def alive(self, alive: bool) -> None:
        self._alive = alive
        self._program, self._wanted = None, 0

    @property
    def shown(self) -> tuple[str, ...]:
        """The text of each row as a person sees it, top row first; () while the screen is dark."""
        if not self._alive or not self.powered:
            return ()
        if self._program is None or self._now_s() - self._since_s > self._program.lives_s:
            return IN_FLASH
        return tuple(row.text for row in self._program.rows)

    def feed(self, datagram: bytes) -> None:
        """Handle a datagram that the controller sent."""
        if not self._alive or self._dice.random() < self.faults.lose:
            return
        try:
            packet = codec.parse(datagram)
        except Garbled:
            return
        if packet.target not in (0, self._address):
            return
        self.packets_received += 1
        if self._dice.random() < self.faults.forget:
            self._wanted = min(self._wanted, 1)
        reply = self._carry_out(packet)
        if reply is not None and self._dice.random() >= self.faults.mute:
            self._send(reply)

    def _send(self, reply: codec.StripPacket) -> None:
        data = reply.to_bytes()
        if self._dice.random() < self.faults.garble:
            data = data[: self._dice.randrange(len(data))]
        for _ in range(2 if self._dice.random() < self.faults.twice else 1):
            if self._dice.random() < self.faults.late:
                asyncio.get_running_loop().call_later(self.faults.late_s, self._write, data)
            else:
                self._write(data)

    def _carry_out(self, packet: codec.StripPacket) -> codec.StripPacket | None:
        match packet.command:
            case codec.BEGIN:
                self._parts.clear()
                self._wanted = 1
            case codec.DATA:
                return self._take_part(packet)
            case codec.END if not self._finish(packet.serial):
                return None
            case codec.END:
                pass
            case codec.SET_POWER:
                self.powered = packet.serial == 1
            case codec.SET_BRIGHTNESS:
                self.brightness = packet.serial
            case codec.GET_POWER:
                return codec.answer(packet.command, int(self.powered))
            case codec.GET_BRIGHTNESS:
                return codec.answer(packet.command, self.brightness)
            case _:
                return None
        return codec.answer(packet.command, packet.serial)

    def _take_part(self, packet: codec.StripPacket) -> codec.StripPacket:
        if packet.serial == self._wanted:
            del self._parts[(packet.serial - 1) * codec.PART_BYTES :]
            self._parts += packet.data
            self._wanted += 1
        elif packet.serial + 1 != self._wanted:  # not the last one once more
            return codec.answer(codec.DATA, self._wanted, 0)
        return codec.answer(codec.DATA, packet.serial)

    def _finish(self, number: int) -> bool:
        if number != self._wanted:
            return False
        try:
            self._program = codec.decode_program(bytes(self._parts))
        except Garbled:
            return False
        self._since_s = self._now_s()
        self.programs += 1
        return True
