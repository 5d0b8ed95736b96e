"""Frames of a Candle bus as frozen values, and their bytes; no I/O. Rules:

* Bytes below 0x20 only delimit frames or number a kiosk's button; there is no checksum and no acknowledgement. So
  every length and value range is checked, and bytes that begin no frame are skipped one by one.
* A key press and an LED command have the same bytes: ``Signal`` holds the code, not the direction.
* The parser never waits for more than ``FRAME_MAX`` bytes. Whoever feeds it calls ``gap`` when the line falls silent,
  so that noise an hour later cannot complete half a frame.

Sources: protokol.pdf (Candle 2010-2012) in github.com/alkumaish/apertum-qsystem.rs485-plugin for boards; ButtonDevice,
UBForm and FWelcome in github.com/binali-rustamov/apertum-qsystem for panels and kiosks.
"""

from __future__ import annotations

from dataclasses import dataclass

from edged.core.model.events import Key
from edged.links.framing import FrameCutter

SHOW, BRIGHTNESS, READDRESS, SCAN = 0x01, 0x02, 0x03, 0x04
END = 0x07
ADDRESS_MIN, ADDRESS_MAX = 0x20, 0xFF  # boards end at 0x7F, scans at 0xFE; 0xFF is every unit
BLINK_NONE, BLINK = 0x20, 0x21  # 0x22 to 0x7F: blink (n - 0x21) times
BLINK_MAX = 0x7F
LEVEL_MIN, LEVEL_MAX = 0x20, 0x23  # brightness: 0x20 is the brightest
DIGITS_MAX = 7  # digits of a board
CHARACTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-<> ")
BUTTON_MIN, BUTTON_MAX = 1, 0x1F
CODE_MIN, CODE_MAX = 0x30, 0x3D
FRAME_MAX = 4 + DIGITS_MAX

KEY_NEXT, KEY_ARRIVE, KEY_TRANSFER, KEY_END = 0x31, 0x32, 0x33, 0x34
KEYS: dict[int, Key] = {
    KEY_NEXT: "next-or-recall",
    KEY_ARRIVE: "arrive",
    KEY_TRANSFER: "transfer",
    KEY_END: "no-show-or-finish",
}
LED_OFF, LED_RED, LED_GREEN = 0x30, 0x31, 0x32
LED_RED_FAST, LED_GREEN_FAST = 0x33, 0x34  # blinking, 200 ms
LED_RED_SLOW, LED_GREEN_SLOW = 0x35, 0x36  # blinking, 500 ms
BEEP = 7  # added to an LED code: the same with a beep of 500 ms


@dataclass(frozen=True, slots=True)
class Signal:
    """A frame with one code: a panel's key (``KEYS``), a panel's LED (``LED_OFF`` and higher), or a kiosk's button (1
    to ``BUTTON_MAX``).
    """

    address: int
    code: int

    def to_bytes(self) -> bytes:
        return bytes((SHOW, self.address, self.code, END))


@dataclass(frozen=True, slots=True)
class Text:
    """A frame with text for a board, or with three digits for a panel. ``text`` begins on the left; if it is shorter
    than the display, the other characters there stay as they were. ``blink``: ``BLINK_NONE``, ``BLINK`` (without end),
    or 0x21 + n to blink n times.
    """

    address: int
    blink: int
    text: str

    def to_bytes(self) -> bytes:
        return bytes((SHOW, self.address, self.blink, *self.text.encode("ascii"), END))


@dataclass(frozen=True, slots=True)
class Brightness:
    """A frame that sets a board's brightness, which the board keeps while it is switched off. ``level``: 0x20 (the
    brightest) to 0x23.
    """

    address: int
    level: int

    def to_bytes(self) -> bytes:
        return bytes((BRIGHTNESS, self.address, self.level, END))


@dataclass(frozen=True, slots=True)
class Readdress:
    """A frame that gives a board a new address. ``address``: the present one; 0xFF is every board on the bus."""

    address: int
    new: int

    def to_bytes(self) -> bytes:
        return bytes((READDRESS, self.address, self.new, END))


@dataclass(frozen=True, slots=True)
class Scan:
    """A frame that asks whether a unit on the bus has this address. The driver never sends it, because the answer is
    not documented.
    """

    address: int

    def to_bytes(self) -> bytes:
        return bytes((SCAN, self.address, END))


Frame = Signal | Text | Brightness | Readdress | Scan


class Parser(FrameCutter[Frame]):
    """Cuts a stream of received bytes into Candle frames."""

    def __init__(self) -> None:
        super().__init__(_parse)


def _parse(data: bytes, start: int) -> tuple[int, Frame | None]:
    """Return length and frame at offset ``start``: (1, None) if no frame begins there, so that one byte is skipped; (0,
    None) if more bytes are needed to tell.
    """
    head = data[start : start + 4]
    if head[0] == SHOW:
        return _parse_show(data, start, head)
    wanted = 3 if head[0] == SCAN else 4
    if head[0] not in (BRIGHTNESS, READDRESS, SCAN) or not _fits(head):
        return 1, None
    if len(head) < wanted:
        return 0, None
    if head[0] == SCAN:
        return 3, Scan(head[1])
    return 4, Brightness(head[1], head[2]) if head[0] == BRIGHTNESS else Readdress(head[1], head[2])


def _fits(head: bytes) -> bool:
    """Whether the bytes received so far of a brightness, readdress or scan frame are in range."""
    kind, rest = head[0], head[1:]
    ranges = {
        BRIGHTNESS: ((ADDRESS_MIN, ADDRESS_MAX), (LEVEL_MIN, LEVEL_MAX), (END, END)),
        READDRESS: ((ADDRESS_MIN, ADDRESS_MAX), (ADDRESS_MIN, ADDRESS_MAX), (END, END)),
        SCAN: ((ADDRESS_MIN, ADDRESS_MAX), (END, END)),
    }[kind]
    return all(low <= byte <= high for byte, (low, high) in zip(rest, ranges, strict=False))


def _parse_show(data: bytes, start: int, head: bytes) -> tuple[int, Frame | None]:
    if len(head) > 1 and head[1] < ADDRESS_MIN:
        return 1, None
    if len(head) > 2 and not (BUTTON_MIN <= head[2] <= BUTTON_MAX or BLINK_NONE <= head[2] <= BLINK_MAX):
        return 1, None
    if len(head) < 4:
        return 0, None
    if head[3] == END:
        known = head[2] <= BUTTON_MAX or CODE_MIN <= head[2] <= CODE_MAX
        return (4, Signal(head[1], head[2])) if known else (1, None)
    if head[2] <= BUTTON_MAX:
        return 1, None
    text = data[start + 3 : start + FRAME_MAX]
    end = text.find(END)
    characters = text if end < 0 else text[:end]
    if len(characters) > DIGITS_MAX or not CHARACTERS.issuperset(characters):
        return 1, None
    if end < 0:
        return 0, None
    return 4 + end, Text(head[1], head[2], characters.decode("ascii"))
