"""Frames of an FF 68 bus as frozen values, and their bytes; no I/O.

A frame is ``FF 68 L L 68 address function data… sum 16``, in hex. L is the number of bytes of address, function and
data together; the sum is that of the same bytes, modulo 256. The line has 9600 baud, 8N1.

A caller's key press has any function but 11. Its data are the digits typed before the key, then the key's code; the
host acknowledges it with the same bytes. An evaluator's button has function 11 and is acknowledged with function 01.
From the host, function 02 shows six digits (0A is blank), 03 beeps, and 01 with data 0B asks for a rating.

Source: github.com/JackQChen/QueueSystem (a system in use), CallSystem/CallSystem/frmMain.cs: frames and keys from line
170, digits, beep and rating from line 983. It does not say what a caller does without acknowledgement.
"""

from __future__ import annotations

from dataclasses import dataclass

from edged.core.model.events import Key
from edged.links.framing import FrameCutter

HEAD = bytes((0xFF, 0x68))
MIDDLE, END = 0x68, 0x16
RATE_ASK, SHOW, BEEP, RATED = 0x01, 0x02, 0x03, 0x11
ADDRESS_MIN, ADDRESS_MAX = 0x01, 0xFE
LENGTH_MIN, LENGTH_MAX = 2, 8  # a beep; six figures
PRESS_LENGTHS = range(3, 6)  # what a caller or evaluator sends: one to three bytes of data
AROUND = 7  # bytes of a frame that L does not count
FRAME_MAX = AROUND + LENGTH_MAX
BLANK = 0x0A
FIGURES = 3  # of each half: who waits left, the number right

KEY_RATE, KEY_CALL, KEY_RECALL, KEY_CONFIRM, KEY_PAUSE, KEY_TRANSFER = 0x0B, 0x0C, 0x0D, 0x0F, 0x12, 0x13
KEYS: dict[tuple[int, ...], Key] = {
    (KEY_CALL,): "next",
    (KEY_RECALL,): "recall",
    (KEY_RATE,): "finish",  # it ends the visit, and the evaluator asks
    (KEY_PAUSE,): "pause",
    (KEY_TRANSFER,): "transfer",
    (6, KEY_CONFIRM): "no-show",
    (0, KEY_CONFIRM): "park",
    (3, KEY_CONFIRM): "resume",
}


@dataclass(frozen=True, slots=True)
class CallerFrame:
    """One frame, from or to the unit with this ``address`` (a caller, or the evaluator beside it)."""

    address: int
    function: int
    data: bytes = b""

    def to_bytes(self) -> bytes:
        body = bytes((self.address, self.function)) + self.data
        return HEAD + bytes((len(body), len(body), MIDDLE)) + body + bytes((sum(body) & 0xFF, END))

    @property
    def is_press(self) -> bool:
        """Whether the frame can be a key press of a caller or a rating from an evaluator, judged by its length."""
        return 2 + len(self.data) in PRESS_LENGTHS

    @property
    def acknowledgement(self) -> CallerFrame:
        """The frame with which the host confirms that it received this key or rating."""
        return CallerFrame(self.address, RATE_ASK if self.function == RATED else self.function, self.data)

    @property
    def key(self) -> Key | None:
        """The key that a caller pressed; None for an unknown key, a rating, or a frame that no caller sends. Digits
        typed before it are ignored, except before "confirm".
        """
        if not self.is_press or self.function == RATED:
            return None
        last = self.data[-1:]
        return KEYS.get(tuple(self.data if last == bytes((KEY_CONFIRM,)) else last))


def figures(text: str) -> bytes:
    """Return the bytes that show the last three characters of ``text``; characters that are not digits stay blank."""
    return bytes(int(c) if c.isascii() and c.isdecimal() else BLANK for c in text[-FIGURES:].rjust(FIGURES))


def show(address: int, waiting: int | None, number: str | None) -> CallerFrame:
    """Return the frame that sets a caller's display. With a ``number`` (ticket) its last three digits are on the right;
    otherwise the number of ``waiting`` people is on the left. The other half is blank, as the vendor's host sends it.
    """
    left = "" if waiting is None or number is not None else f"{min(waiting, 999):03}"
    return CallerFrame(address, SHOW, figures(left) + figures(number or ""))


class CallerParser(FrameCutter[CallerFrame]):
    """Cuts a stream of received bytes into FF 68 frames."""

    def __init__(self) -> None:
        super().__init__(_parse)


def _parse(data: bytes, start: int) -> tuple[int, CallerFrame | None]:
    """Return length and frame at offset ``start``: (1, None) if no frame begins there, so that one byte is skipped; (0,
    None) if more bytes are needed to tell.
    """
    piece = data[start : start + FRAME_MAX]
    if not HEAD.startswith(piece[:2]) or len(piece) < 2:
        return (0 if piece == HEAD[:1] else 1), None
    fixed = piece[2:5]
    wrong = (
        (len(fixed) > 0 and not LENGTH_MIN <= fixed[0] <= LENGTH_MAX)
        or (len(fixed) > 1 and fixed[1] != fixed[0])
        or (len(fixed) > 2 and fixed[2] != MIDDLE)
    )
    if wrong:
        return 1, None
    if len(fixed) < 3 or len(piece) < AROUND + fixed[0]:
        return 0, None
    body = piece[5 : 5 + fixed[0]]
    if piece[5 + fixed[0]] != sum(body) & 0xFF or piece[6 + fixed[0]] != END:
        return 1, None
    return AROUND + fixed[0], CallerFrame(body[0], body[1], body[2:])
