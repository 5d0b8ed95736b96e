"""A fake speech module with its own frame parser, which takes time to speak and has faults on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

Mood = Literal["well", "silent", "rejects", "babbles", "never-idle"]
SPOKEN_MAX = 1000  # texts remembered


class FakeVoice:
    """One simulated module. ``feed`` it with what the controller sends; it answers through ``send``. ``cut``: how many
    texts were interrupted by a newer one; ``broken``: how many frames had a wrong checksum.
    """

    def __init__(self, send: Callable[[bytes], None], checksum: bool = True, char_s: float = 0.002) -> None:
        self.spoken: list[str] = []
        self.mood: Mood = "well"
        self.cut = 0
        self.broken = 0
        self._send = send
        self._checksum = checksum
        self._char_s = char_s
        self._held = b""
        self._end: asyncio.TimerHandle | None = None

    def feed(self, data: bytes) -> None:
        """Handle bytes that the controller sent, split in any way."""
        self._held += data
        while len(self._held) >= 3:
            if self._held[0] != 0xFD:
                self._held = self._held[1:]
                continue
            size = 3 + int.from_bytes(self._held[1:3], "big")
            if len(self._held) < size:
                return
            frame, self._held = self._held[:size], self._held[size:]
            self._take(frame)

    def _take(self, frame: bytes) -> None:
        body = frame[3:]
        if self._checksum:
            sum_ = 0
            for byte in frame[:-1]:
                sum_ ^= byte
            self.broken += sum_ != frame[-1]
            body = body[:-1]
        if self.mood == "silent":
            return
        if self.mood == "babbles":
            self._send(b"\x00\x13\x37")
        elif body[0] == 0x21:
            self._send(b"\x41" + (b"\x4e" if self._end is not None else b"\x4f"))
        elif body[0] == 0x01 and self.mood == "rejects":
            self._send(b"\x45")
        elif body[0] == 0x01:
            self._speak(body[2:].decode("gbk"))

    def _speak(self, text: str) -> None:
        self.spoken = [*self.spoken, text][-SPOKEN_MAX:]
        if self._end is not None:
            self.cut += 1
            self._end.cancel()
        self._send(b"\x41")
        if self.mood != "never-idle":
            self._end = asyncio.get_running_loop().call_later(len(text) * self._char_s, self._ended)

    def _ended(self) -> None:
        self._end = None
        self._send(b"\x4f")
