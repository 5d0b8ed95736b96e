"""Decodes Linux ``input_event`` records into pressed keys, and pressed keys into scanned codes; no I/O.

Sources: include/uapi/linux/input.h (two longs of time, type, code, value, in native byte order) and input-event-codes.h
(numbers and names of keys). Value 1 is a press, 0 a release, 2 the auto-repeat of a held key. SYN_DROPPED: the kernel
lost events, so what was being typed is incomplete.

A scanner types as on a United States keyboard, which is its factory setting: "*" is Shift and 8, a capital letter is
Shift and the letter.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

RECORD = struct.Struct("llHHi")
EV_SYN, EV_KEY = 0, 1
SYN_DROPPED = 3
PRESSED = 1
HELD_MAX = 64 * RECORD.size
CODE_MAX = 64  # characters of a code; a QR code of an appointment has 20

# Names of linux/input-event-codes.h without KEY_.
KEY_NAMES: dict[str, int] = {
    **{name: code for code, name in enumerate("1234567890", 2)},
    **{name: code for code, name in enumerate("QWERTYUIOP", 16)},
    **{name: code for code, name in enumerate("ASDFGHJKL", 30)},
    **{name: code for code, name in enumerate("ZXCVBNM", 44)},
    **{
        f"KP{digit}": code
        for digit, code in zip("7894561230", (71, 72, 73, 75, 76, 77, 79, 80, 81, 82), strict=True)
    },
    **{f"F{number}": code for number, code in zip(range(1, 13), (*range(59, 69), 87, 88), strict=True)},
    **{
        "ESC": 1,
        "CAPSLOCK": 58,
        "MINUS": 12,
        "EQUAL": 13,
        "BACKSPACE": 14,
        "TAB": 15,
        "ENTER": 28,
        "SPACE": 57,
        "COMMA": 51,
        "DOT": 52,
        "SLASH": 53,
        "SEMICOLON": 39,
        "APOSTROPHE": 40,
        "GRAVE": 41,
        "BACKSLASH": 43,
        "LEFTBRACE": 26,
        "RIGHTBRACE": 27,
    },
    **{
        "LEFTSHIFT": 42,
        "RIGHTSHIFT": 54,
        "NUMLOCK": 69,
        "KPASTERISK": 55,
        "KPMINUS": 74,
        "KPPLUS": 78,
        "KPDOT": 83,
    },
    **{"KPENTER": 96, "KPSLASH": 98, "UP": 103, "LEFT": 105, "RIGHT": 106, "DOWN": 108, "DELETE": 111},
    **{"MUTE": 113, "VOLUMEDOWN": 114, "VOLUMEUP": 115, "KPEQUAL": 117, "KPCOMMA": 121},
}
NAMES = {code: name for name, code in KEY_NAMES.items()}
DIGITS = {KEY_NAMES[name]: name[-1] for digit in "0123456789" for name in (digit, f"KP{digit}")}
LETTERS = {KEY_NAMES[name]: name for name in "QWERTYUIOPASDFGHJKLZXCVBNM"}
PLAIN: dict[int, str] = {  # what a key types alone
    **DIGITS,
    **{code: name.lower() for code, name in LETTERS.items()},
    **dict(zip((12, 13, 26, 27, 39, 40, 41, 43, 51, 52, 53, 57), "-=[];'`\\,./ ", strict=True)),
    **dict(zip((55, 74, 78, 83, 98), "*-+./", strict=True)),  # the signs of a numeric keypad
}
SHIFTED: dict[int, str] = PLAIN | {  # and with Shift; a keypad's keys are what they are
    **dict(enumerate("!@#$%^&*()", 2)),
    **LETTERS,
    **dict(zip((12, 13, 26, 27, 39, 40, 41, 43, 51, 52, 53), '_+{}:"~|<>?', strict=True)),
}
ENDS = frozenset({KEY_NAMES["ENTER"], KEY_NAMES["KPENTER"], KEY_NAMES["TAB"]})
SHIFTS = frozenset({KEY_NAMES["LEFTSHIFT"], KEY_NAMES["RIGHTSHIFT"]})
CAPS = KEY_NAMES["CAPSLOCK"]


class InputRecord(NamedTuple):
    """One ``input_event`` without its time. ``kind``: its type field."""

    kind: int
    code: int
    value: int

    def to_bytes(self) -> bytes:
        """Return the record as the kernel writes it, but with time 0, because the driver ignores the time."""
        return RECORD.pack(0, 0, *self)


class InputReader:
    """Cuts records out of a byte stream."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[InputRecord]:
        """Add received bytes; returns the records that are complete now."""
        self._held += data
        size = len(self._held) // RECORD.size * RECORD.size
        whole, self._held = self._held[:size], self._held[size:]
        return [InputRecord(kind, code, value) for _, _, kind, code, value in RECORD.iter_unpack(whole)]


def pressed(records: list[InputRecord]) -> list[int | None]:
    """Return the codes of the keys that were pressed, in order, with None at each place where the kernel lost
    events.
    """
    found: list[int | None] = []
    for one in records:
        if one.kind == EV_KEY and one.value == PRESSED:
            found.append(one.code)
        elif one.kind == EV_SYN and one.code == SYN_DROPPED:
            found.append(None)
    return found


class CodeReader:
    """Assembles scanned codes from the keys that a scanner types. If a key types no character (F1, say), the whole code
    counts as unreadable.
    """

    def __init__(self) -> None:
        self._text = ""
        self._spoilt = False
        self._shifts: set[int] = set()  # held now
        self._caps = False

    def forget(self) -> None:
        """Drop the characters typed so far, because the code is complete or its rest did not come in time."""
        self._text, self._spoilt = "", False
        self._shifts.clear()

    def take(self, record: InputRecord) -> str | None:
        """Process a record. Returns the whole code when the record ends it (Enter or Tab), "" if that code is
        unreadable, None otherwise.
        """
        if record.kind == EV_SYN and record.code == SYN_DROPPED:
            self._spoilt = True
            self._shifts.clear()  # its release may be among what was lost
        elif record.kind == EV_KEY and record.code in SHIFTS:
            (self._shifts.add if record.value else self._shifts.discard)(record.code)
        elif record.kind == EV_KEY and record.value == PRESSED:
            return self._typed(record.code)
        return None

    def _typed(self, code: int) -> str | None:
        if code in ENDS:
            text, spoilt = self._text.strip(), self._spoilt
            self.forget()
            return None if not text and not spoilt else "" if spoilt else text
        if code == CAPS:
            self._caps = not self._caps
        elif code in PLAIN:
            shifted = bool(self._shifts) != (self._caps and code in LETTERS)
            self._text += (SHIFTED if shifted else PLAIN)[code]
            self._spoilt = self._spoilt or len(self._text) > CODE_MAX
            self._text = self._text[:CODE_MAX]
        else:
            self._spoilt = True
        return None


def describe(data: bytes) -> list[str]:
    """Describe captured records in words, for a technician."""
    found = []
    for one in InputReader().feed(data):
        if one.kind == EV_KEY:
            what = {0: "released", 1: "pressed", 2: "held"}.get(one.value, f"value {one.value}")
            found.append(f"{NAMES.get(one.code, f'key {one.code}')} {what}")
        elif one.kind == EV_SYN and one.code == SYN_DROPPED:
            found.append("events were lost")
    return found
