"""Packets of LED cards with the LEDSender2010 protocol: datagrams <-> frozen values, no I/O. Rules:

* Each datagram is one packet; an incomplete one is ``Garbled``. The checksum is not verified, as in the maker's code
  (one edition of it sends zeros, and UDP has its own checksum).
* Text is GB 2312, the character set of the card's fonts; other characters become "?".
* A program (what the card shows) goes to the card's memory, where it expires after some seconds; never to its flash,
  which writing wears out.

Format (the maker's LEDSender2010.java as in github.com/pqwGreenHand/sscw at 473a7fc; its C code for microcontrollers
agrees): ``55 | escaped(header 8 | data | CRC16 big-endian) | AA``. Escapes: 55 -> BB 56, AA -> BB AB, BB -> BB BC.
CRC-16/MODBUS over the unescaped header and data. Header: command WORD, source, target, serial number DWORD. Numbers are
little-endian.

A program is sent as BEGIN (serial 0), DATA packets of 512 bytes (serial 1, 2, ...) and END; the card answers each with
its serial number. It answers a DATA packet that it does not accept with the serial number that it expects.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from edged.driver import Garbled

HEAD, TAIL, FILL = 0x55, 0xAA, 0xBB
ESCAPED = (HEAD, TAIL, FILL)
HEADER = struct.Struct("<HBBI")
ANSWERED = struct.Struct("<HH")  # command asked, result
DATAGRAM_BYTES_MAX = 2048  # the largest of ours, each byte escaped, has 1,046
PART_BYTES = 512

BEGIN, END, DATA, ANSWER = 0, 1, 2, 3
GET_POWER, SET_POWER, GET_BRIGHTNESS, SET_BRIGHTNESS = 9, 10, 11, 12
TAKEN = 1  # result of a data packet
BRIGHTNESS_MAX = 7

ROOT = struct.Struct("<HHIIiHH")  # id, colours, bytes, programs, seconds to live, flags, 0
CHAPTER = struct.Struct("<HHHHHBBII20x")  # id, number, wait, repeat, regions, 0, 0, ms, bytes, (always)
REGION = struct.Struct("<HHHHI4iBBH")  # id, number, over, pages, bytes, rectangle, 0, 0, 0
LEAF = struct.Struct("<HHHHHHIIHH")  # id, number, wait, serial, objects, 0, ms, bytes, 0, 0
STRINGS = struct.Struct("<HBBI4iBBH")  # id, transparent, 0, bytes, rectangle, 0, 0, texts
STRING = struct.Struct("<HBBBBHHHIiIIHH")  # id, in, out, stay, align, 3 speeds, ms, x, bytes, colour, font, 0
IN_MEMORY = 0x21
CHAPTER_ID, REGION_ID, LEAF_ID, STRINGS_ID, STRING_ID = 0x3F, 0x3E, 0x30, 0x3C, 0x33
AT_ONCE, RUN_LEFT, STAY = 1, 6, 1  # ways in and out

Colours = Literal["mono", "double", "three", "full"]
COLOURS: dict[Colours, int] = {"mono": 1, "double": 2, "three": 3, "full": 4}
Colour = Literal["red", "green", "yellow"]
COLOUR: dict[Colour, int] = {"red": 0x0000FF, "green": 0x00FF00, "yellow": 0x00FFFF}
FONTS = {16: 0, 24: 1}  # pixels of height -> the card's number
TEXT_BYTES_MAX = 512  # of one row: 256 Chinese characters, more than the longest strip shows
SPEED_MAX = 5  # 0 is the fastest


@dataclass(frozen=True, slots=True)
class StripPacket:
    """One packet. ``serial``: in a display program the number of the part (0 for BEGIN), in another command that
    command's value. ``target``: the card's address.
    """

    command: int
    serial: int = 0
    data: bytes = b""
    target: int = 0
    source: int = 0

    def to_bytes(self) -> bytes:
        """The packet as a datagram."""
        body = HEADER.pack(self.command, self.source, self.target, self.serial) + self.data
        body += struct.pack(">H", crc16(body))
        escaped = b"".join(bytes((FILL, one + 1) if one in ESCAPED else (one,)) for one in body)
        return bytes((HEAD,)) + escaped + bytes((TAIL,))


@dataclass(frozen=True, slots=True)
class Answer:
    """A card's answer to ``command``. ``serial``: after a part of a display program, that part's number, or if the card
    did not accept it, the number that the card expects; after a query, the value asked for. ``result``: ``TAKEN`` if
    the card accepted the packet.
    """

    command: int
    serial: int
    result: int


@dataclass(frozen=True, slots=True)
class TextRow:
    """One row of a display program, ``y`` pixels from the top. ``speed`` None: the text stands still. A number from 0
    (fast) to 5: it scrolls from right to left, again and again.
    """

    y: int
    height: int
    text: str
    colour: Colour = "red"
    speed: int | None = None


@dataclass(frozen=True, slots=True)
class TextProgram:
    """A display program: the rows that a strip shows for ``lives_s`` seconds. After that the card shows the program
    stored in its flash. Sizes in pixels. ``colours``: how many colours the strip's pixels have.
    """

    width: int
    height: int
    rows: tuple[TextRow, ...]
    lives_s: int
    colours: Colours = "double"

    def to_bytes(self) -> bytes:
        """Return the program as bytes; ``packets`` splits them into parts."""
        live_ms = self.lives_s * 1000
        texts = b"".join(_row(row, self.width, live_ms) for row in self.rows)
        leaf = LEAF.pack(LEAF_ID, 0, 0, 0, len(self.rows), 0, live_ms, LEAF.size + len(texts), 0, 0) + texts
        area = (0, 0, self.width, self.height)
        region = REGION.pack(REGION_ID, 0, 0, 1, REGION.size + len(leaf), *area, 0, 0, 0) + leaf
        size = CHAPTER.size + len(region)
        chapter = CHAPTER.pack(CHAPTER_ID, 0, 0, 0, 1, 0, 0, live_ms, size) + region
        size = ROOT.size + len(chapter)
        return ROOT.pack(IN_MEMORY, COLOURS[self.colours], size, 1, self.lives_s, 0, 0) + chapter


def crc16(data: bytes) -> int:
    """The CRC-16/MODBUS checksum of the bytes."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def packets(program: bytes, target: int = 0) -> list[StripPacket]:
    """Return the packets that send a display program, from ``TextProgram.to_bytes``, to the card with address
    ``target``: BEGIN, the DATA packets, and END.
    """
    parts = [program[at : at + PART_BYTES] for at in range(0, len(program), PART_BYTES)]
    middle = [StripPacket(DATA, number, part, target) for number, part in enumerate(parts, 1)]
    return [StripPacket(BEGIN, 0, target=target), *middle, StripPacket(END, len(parts) + 1, target=target)]


def parse(datagram: bytes) -> StripPacket:
    """Decode the packet in a datagram. Raises ``Garbled`` if the datagram is not exactly one whole packet."""
    if (
        len(datagram) > DATAGRAM_BYTES_MAX
        or datagram[:1] != bytes((HEAD,))
        or datagram[-1:] != bytes((TAIL,))
    ):
        raise Garbled("a datagram that is no packet")
    body = bytearray()
    at, end = 1, len(datagram) - 1
    while at < end:
        one = datagram[at]
        if one == FILL:
            at += 1
            one = datagram[at] - 1
            if at == end or one not in ESCAPED:
                raise Garbled("a packet with a wrong escape")
        elif one in ESCAPED:
            raise Garbled("a packet inside a packet")
        body.append(one)
        at += 1
    if len(body) < HEADER.size + 2:
        raise Garbled("a packet cut short")
    command, source, target, serial = HEADER.unpack_from(body)
    return StripPacket(command, serial, bytes(body[HEADER.size : -2]), target, source)


def answer(command: int, serial: int, result: int = TAKEN) -> StripPacket:
    """Return the packet with which the fake card answers ``command``. ``serial``: a part's number or the value asked
    for.
    """
    return StripPacket(ANSWER, serial, ANSWERED.pack(command, result))


def answer_of(packet: StripPacket) -> Answer | None:
    """Decode a card's answer. Returns None if the packet is not an answer; raises ``Garbled`` if it is too short for
    one.
    """
    if packet.command != ANSWER:
        return None
    if len(packet.data) < ANSWERED.size:
        raise Garbled("an answer cut short")
    command, result = ANSWERED.unpack_from(packet.data)
    return Answer(command, packet.serial, result)


def decode_program(data: bytes) -> TextProgram:
    """Decode a program that ``TextProgram`` encoded (one page of text rows). Raises ``Garbled`` if it is incomplete or
    of another kind.
    """
    try:
        kind, colours, size, _, lives_s, *_ = ROOT.unpack_from(data)
        at = ROOT.size + CHAPTER.size
        _, _, _, _, _, left, top, right, bottom, *_ = REGION.unpack_from(data, at)
        at += REGION.size
        _, _, _, _, count, *_ = LEAF.unpack_from(data, at)
        at += LEAF.size
        if kind != IN_MEMORY or size != len(data) or count > size // STRINGS.size:
            raise Garbled("no program for the card's memory")
        rows = []
        for _ in range(count):
            row, length = _decode_row(data, at)
            rows.append(row)
            at += length
        name = next(name for name, number in COLOURS.items() if number == colours)
    except (struct.error, ValueError, StopIteration, KeyError) as error:
        raise Garbled(f"a program cut short: {error}") from None
    return TextProgram(right - left, bottom - top, tuple(rows), lives_s, name)


def text_width(text: str, height: int) -> int:
    """Return the width of ``text`` in pixels. In the card's font of ``height`` pixels an ASCII character is ``height /
    2`` wide, every other character ``height``.
    """
    return sum(height // 2 if char < "\x80" else height for char in text)


def unshown(text: str) -> str:
    """The characters of ``text`` that GB 2312 lacks, each once."""
    return "".join(dict.fromkeys(char for char in text if not char.encode("gb2312", "ignore")))


def plain(text: str) -> str:
    """``text`` with spaces for control characters and "?" for characters that the font lacks, cut to
    ``TEXT_BYTES_MAX``.
    """
    known = text.encode("gb2312", "replace").decode("gb2312")
    shown = "".join(char if char.isprintable() else " " for char in known).encode("gb2312", "replace")
    return shown[:TEXT_BYTES_MAX].decode("gb2312", "ignore")


def _row(row: TextRow, width: int, live_ms: int) -> bytes:
    text = row.text.encode("gb2312", "replace") + b"\0"
    text += bytes(-len(text) % 4)
    runs = row.speed is not None
    speed, stay_ms = row.speed or 0, 0 if runs else live_ms
    size = STRING.size + len(text)
    shown = STRING.pack(
        STRING_ID, RUN_LEFT if runs else AT_ONCE, STAY, 0, 0, speed, speed, 0, stay_ms, 0, size,
        COLOUR[row.colour], FONTS[row.height], 0,
    )  # fmt: skip
    area = (0, row.y, width, row.y + row.height)
    return STRINGS.pack(STRINGS_ID, 1, 0, STRINGS.size + size, *area, 0, 0, 1) + shown + text


def _decode_row(data: bytes, at: int) -> tuple[TextRow, int]:
    """Decode the row at offset ``at``. Returns the row and its length in bytes. Raises ``ValueError`` if it is no row
    of text in a known colour and font, ``struct.error`` if ``data`` ends within its head.
    """
    kind, _, _, length, _, top, _, bottom, *_ = STRINGS.unpack_from(data, at)
    _, way, _, _, _, speed, *_, size, colour, font, _ = STRING.unpack_from(data, at + STRINGS.size)
    begin = at + STRINGS.size + STRING.size
    text = data[begin : at + length]
    if (
        kind != STRINGS_ID
        or length != STRINGS.size + size
        or size < STRING.size + 4
        or len(data) < at + length
    ):
        raise ValueError("row")
    name = next((name for name, number in COLOUR.items() if number == colour), None)
    if name is None or FONTS.get(bottom - top) != font:
        raise ValueError("colour or font")
    shown = text.split(b"\0")[0].decode("gb2312", "replace")
    return TextRow(top, bottom - top, shown, name, speed if way == RUN_LEFT else None), length


def describe(data: bytes) -> list[str]:
    """Describe a datagram in words, for a technician; empty if it is no packet."""
    try:
        packet = parse(data)
        found = answer_of(packet)
    except Garbled:
        return []
    if found is not None:
        return [f"answer to command {found.command}: number {found.serial}, result {found.result}"]
    words = {
        BEGIN: "begin of a program",
        DATA: f"part {packet.serial} of a program, {len(packet.data)} bytes",
        END: f"end of a program, number {packet.serial}",
        GET_POWER: "is the screen on?",
        SET_POWER: f"screen {'on' if packet.serial else 'off'}",
        GET_BRIGHTNESS: "brightness?",
        SET_BRIGHTNESS: f"brightness {packet.serial}",
    }
    return [f"address {packet.target}: {words.get(packet.command, f'command {packet.command}')}"]
