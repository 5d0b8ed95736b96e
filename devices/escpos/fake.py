"""A fake ticket printer with its own ESC/POS parser, which runs out of paper and has faults on demand."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Literal

PrinterMood = Literal["well", "silent", "babbles", "late", "no-gs-r", "asleep-in-turn"]
TICKETS_MAX = 1000  # remembered
LATE_S = 0.5


class FakePrinter:
    """One simulated printer. ``feed`` it with what the controller sends; it answers through ``send``. ``lines_left``:
    lines of paper on the roll; ``tickets``: the texts of tickets that were cut off, oldest first.

    Without paper it stops as real printers do: what was sent meanwhile is printed once there is paper again.
    """

    def __init__(self, send: Callable[[bytes], None], seed: int = 0, line_s: float = 0.001) -> None:
        self.tickets: list[str] = []
        self.codes: list[str] = []
        self.lines_left = 10_000
        self.low_at = 50
        self.cover_open = False
        self.mood: PrinterMood = "well"
        self.unknown = 0  # bytes that are no command it has
        self._send = send
        self._dice = random.Random(seed)
        self._line_s = line_s
        self._held = b""
        self._text = ""
        self._code = b""
        self._stopped: asyncio.TimerHandle | None = None

    def feed(self, data: bytes) -> None:
        """Handle bytes that the controller sent, split in any way."""
        while (place := data.find(b"\x10\x04")) >= 0 and len(data) > place + 2:
            self._answer_at_once(data[place + 2])
            data = data[:place] + data[place + 3 :]
        self._held += data
        self._go_on()

    def put_paper(self, lines: int) -> None:
        """Put in a paper roll with ``lines`` lines, and print what was sent while the paper was out."""
        self.lines_left = lines
        self._go_on()

    @property
    def printing(self) -> str:
        """The text printed since the last cut."""
        return self._text

    def _answer(self, data: bytes) -> None:
        if self.mood == "silent":
            return
        if self.mood == "babbles":
            self._send(bytes(self._dice.choice((0x13, 0x80, 0xFF, 0x93)) for _ in range(3)))
        elif self.mood == "late":
            asyncio.get_running_loop().call_later(LATE_S, self._send, data)
        else:
            self._send(data)

    def _answer_at_once(self, query: int) -> None:
        out, low = self.lines_left <= 0, self.lines_left <= self.low_at
        stopped = out or self.cover_open
        bits = {
            1: 0x08 if stopped else 0,
            2: (0x04 if self.cover_open else 0) | (0x20 if out else 0),
            4: (0x60 if out else 0) | (0x0C if low else 0),
        }
        if query in bits:
            self._answer(bytes((0x12 | bits[query],)))

    def _go_on(self) -> None:
        while self._held and self.lines_left > 0 and not self.cover_open:
            size = self._size()
            if size == 0 or size > len(self._held):
                return
            one, self._held = self._held[:size], self._held[size:]
            self._obey(one)

    def _size(self) -> int:
        """Length in bytes of the first command or character in the buffer; 0 if more bytes are needed to tell."""
        head = self._held[:2]
        if head[:1] not in (b"\x1b", b"\x1c", b"\x1d"):
            return 2 if head[0] >= 0x81 else 1
        if len(head) < 2:
            return 0
        if head == b"\x1d(":
            return 5 + int.from_bytes(self._held[3:5], "little") if len(self._held) >= 5 else 0
        return {b"\x1b@": 2, b"\x1c&": 2}.get(head, 3)

    def _obey(self, one: bytes) -> None:
        if one == b"\n":
            self._text += "\n"
            self.lines_left -= 1
        elif one[:1] not in (b"\x1b", b"\x1c", b"\x1d"):
            self._text += one.decode("gbk", "replace")
        elif one[:2] == b"\x1bd":
            self.lines_left -= one[2]
        elif one[:2] == b"\x1dV":
            self.tickets = [*self.tickets, self._text][-TICKETS_MAX:]
            self._text = ""
        elif one[:2] == b"\x1dr" and self.mood not in ("no-gs-r", "asleep-in-turn"):
            self._answer(
                bytes((0x0C if self.lines_left <= 0 else 0x03 if self.lines_left <= self.low_at else 0,))
            )
        elif one[:3] == b"\x1d(k":
            self._take_code(one[5:])
        elif one[:2] not in (b"\x1b@", b"\x1c&", b"\x1ba", b"\x1d!", b"\x1da", b"\x1dr"):
            self.unknown += len(one)

    def _take_code(self, body: bytes) -> None:
        if body[:2] == b"1P":
            self._code = body[3:]
        elif body[:2] == b"1Q":
            self.codes.append(self._code.decode("ascii"))
            self.lines_left -= 8
