"""A fake Modbus TCP module with contacts and registers, which may be silent, refuse, or send invalid answers.

It has its own frame parser and builder (Modbus Application Protocol V1.1b3, Messaging on TCP/IP V1.0b).
"""

from __future__ import annotations

import asyncio
import struct
from typing import Literal

READ_COILS, READ_INPUTS, READ_HOLDING, READ_INPUT_REGISTERS = 1, 2, 3, 4
WRITE_REGISTER, WRITE_REGISTERS = 6, 16
HEADER = 7

Mood = Literal["well", "silent", "garbage", "refuses"]


class FakeModule:
    """One simulated module, at one unit number. ``closed``: addresses of closed contacts. ``registers``: values by
    address, read by FC03 and FC04 alike.
    """

    def __init__(self, unit: int = 1) -> None:
        self.unit = unit
        self.closed: set[int] = set()
        self.registers: dict[int, int] = {}
        self.mood: Mood = "well"
        self.requests = 0
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0) -> str:
        """Listen on ``port`` (0: a free one); returns the module's URL."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        return f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Switch the module off: it closes its connections and listens no longer."""
        assert self._server is not None
        self._server.close()
        for line in list(self._lines):
            line.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines.add(writer)
        try:
            while True:
                header = await reader.readexactly(HEADER)
                pdu = await reader.readexactly(int.from_bytes(header[4:6], "big") - 1)
                self.requests += 1
                if self.mood == "silent" or header[6] != self.unit:
                    continue
                answer = b"\xff\x00\xff" if self.mood == "garbage" else self._answer(pdu)
                writer.write(header[:4] + struct.pack(">HB", len(answer) + 1, self.unit) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._lines.discard(writer)
            writer.close()

    def _answer(self, pdu: bytes) -> bytes:
        function, address, count = struct.unpack(">BHH", pdu[:5])
        if self.mood == "refuses":
            return bytes((function | 0x80, 2))
        if function in (READ_COILS, READ_INPUTS):
            bits = sum((address + place in self.closed) << place for place in range(count))
            packed = bits.to_bytes((count + 7) // 8, "little")
            return bytes((function, len(packed))) + packed
        if function in (READ_HOLDING, READ_INPUT_REGISTERS):
            words = [self.registers.get(address + place, 0) for place in range(count)]
            return bytes((function, 2 * count)) + struct.pack(f">{count}H", *words)
        if function == WRITE_REGISTER:
            self.registers[address] = count
            return pdu
        if function == WRITE_REGISTERS:
            for place, word in enumerate(struct.unpack(f">{count}H", pdu[6:])):
                self.registers[address + place] = word
            return pdu[:5]
        return bytes((function | 0x80, 1))
