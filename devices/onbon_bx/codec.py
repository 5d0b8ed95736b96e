"""Frames of Onbon BX-5K/6K cards: bytes <-> frozen values, no I/O. Rules:

* A frame is accepted only if its length and checksum are right. Any other is dropped and counted; the next A5 begins a
  new one.
* Text is GBK. Characters that the font lacks become "?"; backslashes become "/", because they begin the card's tags.

Format (vendor protocol for BX-5K/6K, user edition 1.4, and vendor source onbonlab/bx.k.java at c4c3a84): ``A5 x 8 |
escaped(header 14 | data | CRC16 little-endian) | 5A``. Escapes: A5 -> A6 02, A6 -> A6 01, 5A -> 5B 02, 5B -> 5B 01.
CRC-16/ARC (reflected 0xA001, initial 0) over the unescaped header and data. Numbers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edged.driver import Garbled

HEAD = b"\xa5" * 8
TAIL = 0x5A
ESCAPES = {0xA5: b"\xa6\x02", 0xA6: b"\xa6\x01", 0x5A: b"\x5b\x02", 0x5B: b"\x5b\x01"}
UNESCAPES = {(0xA6, 2): 0xA5, (0xA6, 1): 0xA6, (0x5B, 2): 0x5A, (0x5B, 1): 0x5B}
HEADER = struct.Struct("<HH3sBBBBBH")
PC = 0x8000  # source address of a host
BROADCAST = 0xFFFE
ANY_DEVICE = 0xFE
PROTOCOL = 0x02
FRAME_BYTES_MAX = 4096  # a screen full of text is under 1 KiB; more is noise without an end
ALL_AREAS = 0xFF  # as the number of areas to delete
Font = Literal["gbk", "gb2312"]
TEXT_BYTES_MAX = 512  # GBK bytes in one area: 256 Chinese characters, more than the largest bar shows

ACK = (0xA0, 0x00)
NACK = (0xA0, 0x01)
PING = (0xA2, 0x00)
SET_CLOCK = (0xA2, 0x03)
POWER = (0xA3, 0x00)
BRIGHTNESS = (0xA3, 0x02)
AREAS = (0xA3, 0x06)

SPEAK_OTHER_TEXT = 2  # sound mode; 1 would speak what is shown
LOOP, HOLD, BLANK_ON_TIMEOUT = 0, 1, 2
SINGLE_LINE, MULTI_LINE = 1, 2
EXPLICIT_BREAKS, WRAP = 1, 2
STATIC, SCROLL_LEFT = 1, 3
SPEED_MAX = 0x18
ANSWER_BYTES = 34  # an ACK with every byte escaped


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: the addresses of receiver (``target``) and sender (``source``), and data (``group command reply r0 r1
    args...``).
    """

    data: bytes
    target: int = BROADCAST
    source: int = PC

    @property
    def command(self) -> tuple[int, int]:
        """Command group and command number."""
        return self.data[0], self.data[1]

    @property
    def error(self) -> int:
        """The card's error code, in the vendor's numbering."""
        return self.data[2] if len(self.data) > 2 else 0

    def to_bytes(self) -> bytes:
        """The frame as it is sent."""
        head = HEADER.pack(self.target, self.source, b"\0\0\0", 0, 0, 0, ANY_DEVICE, PROTOCOL, len(self.data))
        return wrap(head + self.data)


@dataclass(frozen=True, slots=True)
class Speech:
    """A text to speak, for a card with a voice module. ``volume``: 0 to 10; ``speed``: 1 to 10; ``person``: number of
    the voice, 0 to 15.

    ``repeats``: how often the text is repeated; with 0 it is spoken once. The vendor's appendix of BX-K says so of its
    voice command; it is not proven for this command.
    """

    text: str
    person: int = 0
    repeats: int = 0
    volume: int = 10
    speed: int = 5


@dataclass(frozen=True, slots=True)
class ScreenArea:
    """A dynamic text area: position and size in pixels, text, and what the card does (``run_mode``) after ``timeout_s``
    seconds without new text.

    ``speed`` of scrolling: 0 (fastest) to ``SPEED_MAX``. ``disp``, ``hold`` (in units of 0.5 s) and line flags are
    those of the vendor's protocol; the defaults show one line that stands still.
    """

    id: int
    x: int
    y: int
    width: int
    height: int
    text: str
    run_mode: int = LOOP
    timeout_s: int = 5
    single: int = SINGLE_LINE
    newline: int = EXPLICIT_BREAKS
    disp: int = STATIC
    speed: int = 0
    hold: int = 8
    line_space: int = 0
    speech: Speech | None = None


def _crc_row(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
    return byte


CRC_TABLE = tuple(map(_crc_row, range(256)))


def crc16(data: bytes) -> int:
    """The CRC-16/ARC of the bytes."""
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def wrap(body: bytes) -> bytes:
    """Return ``body`` (header and data) as sent: with its checksum, escaped, between start and end bytes."""
    body += struct.pack("<H", crc16(body))
    return HEAD + b"".join(ESCAPES.get(byte, bytes((byte,))) for byte in body) + bytes((TAIL,))


def opened(body: bytes) -> Frame | None:
    """Decode the body of a received frame, from which start and end bytes and escapes were removed. None if its
    checksum or length is wrong.
    """
    if len(body) < HEADER.size + 4 or crc16(body[:-2]) != int.from_bytes(body[-2:], "little"):
        return None
    target, source, *_, length = HEADER.unpack_from(body)
    data = body[HEADER.size : -2]
    return Frame(data, target, source) if len(data) == length else None


def ping(target: int = BROADCAST) -> Frame:
    """Command that asks whether the card is present."""
    return Frame(bytes((*PING, 1, 0, 0)), target)


def power(on: bool, target: int = BROADCAST) -> Frame:
    """Command that switches the screen on or off."""
    return Frame(bytes((*POWER, 1, 0, 0, 1 if on else 2)), target)


def brightness(level: int, target: int = BROADCAST) -> Frame:
    """Command that sets the brightness, 0 to 15. Raises ``ValueError`` for other values."""
    if not 0 <= level <= 15:
        raise ValueError(f"brightness {level} is not 0 to 15")
    return Frame(bytes((*BRIGHTNESS, 1, 0, 0, 1, level)), target)


def set_clock(moment: tuple[int, int, int, int, int, int, int], target: int = BROADCAST) -> Frame:
    """Return the command that sets the card's clock to ``moment``: (year, month, day, hour, minute, second, weekday),
    with 1 for Monday.
    """
    year, *rest = moment
    values = (year % 100, year // 100, *rest)
    return Frame(bytes((*SET_CLOCK, 1, 0, 0, *(value // 10 << 4 | value % 10 for value in values))), target)


def answer(accepted: bool, target: int = PC, source: int = 1) -> Frame:
    """The frame with which a card accepts or refuses a command; for the fake card."""
    return Frame(bytes((*(ACK if accepted else NACK), 0, 0, 0)), target, source)


def show(areas: Sequence[ScreenArea], units_of_8: bool, target: int = BROADCAST) -> Frame:
    """Command that replaces the text of dynamic areas. ``units_of_8``: 5K cards measure x and width in units of 8
    pixels, 6K cards in pixels.
    """
    encoded = [encode_area(area, units_of_8) for area in areas]
    parts = b"".join(struct.pack("<H", len(one)) + one for one in encoded)
    return Frame(bytes((*AREAS, 1, 0, 0, 0, len(encoded))) + parts, target)


def delete(area_id: int, target: int = BROADCAST) -> Frame:
    """Return the command that removes one dynamic area. ``target``: the address of the card."""
    return Frame(bytes((*AREAS, 1, 0, 0, 1, area_id, 0)), target)


def encode_area(area: ScreenArea, units_of_8: bool) -> bytes:
    """Encode one area for the command of ``show`` (A3 06)."""
    text = encode_text(area.text)
    shift = 3 if units_of_8 else 0
    return (
        struct.pack("<BHHHH", 0, area.x >> shift, area.y, area.width >> shift, area.height)
        + struct.pack("<BBBH", area.id, area.line_space, area.run_mode, area.timeout_s)
        + _encode_speech(area.speech)
        + bytes((0, 0, area.single, area.newline, area.disp, 0, area.speed, area.hold))
        + struct.pack("<I", len(text))
        + text
    )


def _encode_speech(speech: Speech | None) -> bytes:
    if speech is None:
        return b"\0"
    text = encode_text(speech.text)
    voice = speech.repeats << 4 | speech.person
    return struct.pack("<BBBBI", SPEAK_OTHER_TEXT, voice, speech.volume, speech.speed, len(text)) + text


def encode_text(text: str) -> bytes:
    """``text`` in GBK, cut to ``TEXT_BYTES_MAX`` without splitting a character."""
    encoded = text.encode("gbk", "replace")
    if len(encoded) <= TEXT_BYTES_MAX:
        return encoded
    return encoded[:TEXT_BYTES_MAX].decode("gbk", "ignore").encode("gbk")


def text_width(text: str) -> int:
    """Width of ``text`` in pixels in the card's 16-pixel font: 8 per ASCII character, 16 for all others."""
    return sum(8 if char < "\x80" else 16 for char in text)


def unshown(text: str, font: Font) -> str:
    """The characters of ``text`` that the card's font lacks, each once."""
    missing = dict.fromkeys(char for char in text if not char.encode(font, "ignore"))
    return "".join(missing)


def plain(text: str, font: Font | None = "gbk") -> str:
    """Return ``text`` with "/" for backslashes, which begin the card's tags, with spaces for control characters, and
    with "?" for characters that the card's font lacks.

    ``font``: the font's character set; None if it has all characters.
    """
    known = text if font is None else text.encode(font, "replace").decode(font)
    return "".join(char if char.isprintable() else " " for char in known).replace("\\", "/")


def decode_areas(data: bytes, units_of_8: bool) -> tuple[tuple[int, ...], tuple[ScreenArea, ...]]:
    """Decode a command from ``show`` or ``delete`` (A3 06): the ids of deleted areas (0 to 255 for "all") and the new
    areas. ``units_of_8``: x and width are in units of 8 pixels, as 5K cards have it. Raises ``Garbled`` if the command
    is cut short or holds an impossible value.
    """
    try:
        count, at = data[5], 6
        deleted = tuple(range(256)) if count == ALL_AREAS else tuple(data[at : at + count])
        at += 0 if count == ALL_AREAS else count
        count, at = data[at], at + 1
        areas = []
        for _ in range(count):
            (length,) = struct.unpack_from("<H", data, at)
            areas.append(_decode_area(data[at + 2 : at + 2 + length], units_of_8))
            at += 2 + length
    except (struct.error, IndexError, ValueError) as error:
        raise Garbled(f"area command cut short: {error}") from None
    return deleted, tuple(areas)


def _decode_area(data: bytes, units_of_8: bool) -> ScreenArea:
    shift = 3 if units_of_8 else 0
    _, x, y, width, height = struct.unpack_from("<BHHHH", data, 0)
    area_id, line_space, run_mode, timeout_s = struct.unpack_from("<BBBH", data, 9)
    speech, at = _decode_speech(data, 14)
    _, _, single, newline, disp, _, speed, hold = data[at : at + 8]
    (length,) = struct.unpack_from("<I", data, at + 8)
    text = data[at + 12 : at + 12 + length]
    if len(text) != length:
        raise ValueError("text")
    return ScreenArea(
        id=area_id,
        x=x << shift,
        y=y,
        width=width << shift,
        height=height,
        text=text.decode("gbk", "replace"),
        run_mode=run_mode,
        timeout_s=timeout_s,
        single=single,
        newline=newline,
        disp=disp,
        speed=speed,
        hold=hold,
        line_space=line_space,
        speech=speech,
    )


def _decode_speech(data: bytes, at: int) -> tuple[Speech | None, int]:
    """Decode the sound block of an area command at offset ``at``. Returns the speech (None: no sound) and the offset
    after the block. In sound mode 1 the card speaks the text that it shows, so the speech has text "".
    """
    mode = data[at]
    if mode == 0:
        return None, at + 1
    voice, volume, speed = data[at + 1 : at + 4]
    if mode != SPEAK_OTHER_TEXT:
        return Speech("", voice & 15, voice >> 4, volume, speed), at + 4
    (length,) = struct.unpack_from("<I", data, at + 4)
    text = data[at + 8 : at + 8 + length].decode("gbk", "replace")
    return Speech(text, voice & 15, voice >> 4, volume, speed), at + 8 + length


class FrameReader:
    """Cuts frames out of a byte stream: everything from an A5 to the next 5A is one, if its length and CRC are right.

    ``garbled`` counts invalid frames and, outside frames, bytes. Never raises.
    """

    def __init__(
        self, opened: Callable[[bytes], Frame | None] = opened, bytes_max: int = FRAME_BYTES_MAX
    ) -> None:
        """``opened``: decodes the unescaped bytes of one frame; None if they are invalid. ``bytes_max``: longest body
        of a frame.
        """
        self._opened, self._bytes_max = opened, bytes_max
        self._body = bytearray()
        self._inside = False
        self._escape: int | None = None
        self.garbled = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add received bytes; yields the frames that are complete now."""
        for byte in data:
            frame = self._take(byte)
            if frame is not None:
                yield frame

    def _take(self, byte: int) -> Frame | None:
        if byte == 0xA5:  # never inside a body: always the beginning of a frame
            if self._body or self._escape is not None:
                self.garbled += 1
            self._reset(inside=True)
            return None
        if not self._inside:
            self.garbled += byte != TAIL
            return None
        if byte == TAIL:
            frame = self._decode()
            self.garbled += frame is None
            self._reset(inside=False)
            return frame
        self._unescape(byte)
        return None

    def _unescape(self, byte: int) -> None:
        if self._escape is not None:
            plain = UNESCAPES.get((self._escape, byte))
            self._escape = None
            if plain is None:
                self.garbled += 1
                self._reset(inside=False)
                return
            self._body.append(plain)
        elif byte in (0xA6, 0x5B):
            self._escape = byte
        else:
            self._body.append(byte)
        if len(self._body) > self._bytes_max:
            self.garbled += 1
            self._reset(inside=False)

    def _decode(self) -> Frame | None:
        return None if self._escape is not None else self._opened(bytes(self._body))

    def _reset(self, inside: bool) -> None:
        self._body.clear()
        self._inside = inside
        self._escape = None
