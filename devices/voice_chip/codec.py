"""Frames of the speech modules SYN6288 and XFS5152CE; no I/O.

SYN6288 (datasheet of 2016-03-09, in the repository libdriver/syn6288): ``FD lenHi lenLo command parameter text xor``.
The length counts all bytes after it; the xor is over all bytes before it, FD included; at most 200 bytes of text.
XFS5152CE: the same without xor, 4 KiB of text. Parameter 1: text in GBK. Answers are single bytes.
"""

from __future__ import annotations

from functools import reduce
from operator import xor
from typing import Literal

from edged.texts import cleaned

HEAD = 0xFD
SPEAK, STOP, STATUS = 0x01, 0x02, 0x21
GBK = 0x01
ACCEPTED, REJECTED, SPEAKING, IDLE, STARTED = 0x41, 0x45, 0x4E, 0x4F, 0x4A
ANSWERS = frozenset({ACCEPTED, REJECTED, SPEAKING, IDLE, STARTED})
Chip = Literal["syn6288", "xfs5152"]
TEXT_BYTES_MAX: dict[Chip, int] = {"syn6288": 200, "xfs5152": 4000}
# Speed tags hold until the next reset, so every text begins with one. Those of the XFS5152: not confirmed.
SPEED: dict[Chip, tuple[str, str]] = {"syn6288": ("[t4]", "[t2]"), "xfs5152": ("[s5]", "[s3]")}


def frame(chip: Chip, command: int, data: bytes = b"") -> bytes:
    """Encode a frame with ``command`` and ``data`` (a parameter and, for speech, the text)."""
    ends = 1 if chip == "syn6288" else 0
    body = bytes((HEAD, *(1 + len(data) + ends).to_bytes(2, "big"), command)) + data
    return body + bytes((reduce(xor, body),)) if ends else body


def speak(chip: Chip, text: str) -> bytes:
    """The frame that speaks ``text`` in GBK; characters that GBK lacks are left out."""
    return frame(chip, SPEAK, bytes((GBK,)) + text.encode("gbk", "ignore"))


def parts(chip: Chip, text: str, slow: bool = False) -> list[str]:
    """Split ``text`` into pieces that the module accepts: not too long, and each with a tag for the speed. Square
    brackets become 【】.

    The modules' own commands stand in square brackets, and a text must not change the volume, for example.
    """
    plain = cleaned(text).replace("[", "【").replace("]", "】").encode("gbk", "ignore").decode("gbk")
    speed = SPEED[chip][slow]
    room = TEXT_BYTES_MAX[chip] - len(speed)
    found, held, size = [], "", 0
    for char in plain:
        width = len(char.encode("gbk"))
        if size + width > room:
            found.append(speed + held)
            held, size = "", 0
        held, size = held + char, size + width
    return [*found, speed + held] if held else found


def describe(data: bytes) -> list[str]:
    """Describe captured frames and answers in words, for a technician: one line for each."""
    words = {
        ACCEPTED: "accepted",
        REJECTED: "rejected",
        SPEAKING: "speaking",
        IDLE: "idle",
        STARTED: "started",
    }
    found, place = [], 0
    while place < len(data):
        size = 3 + int.from_bytes(data[place + 1 : place + 3], "big")
        one = data[place : place + size]
        if data[place] == HEAD and len(one) == size >= 4:
            summed = one[3] == SPEAK and reduce(xor, one) == 0
            text = one[5 : -1 if summed else None].decode("gbk", "replace")
            found.append(f"speak {text}" if one[3] == SPEAK else f"command {one[3]:02X}")
            place += size
            continue
        if data[place] in words:
            found.append(words[data[place]])
        place += 1
    return found
