"""Frames of Onbon BX-6Q cards: bytes <-> frozen values, no I/O. A dynamic area of these cards consists of pages of
pictures.

Format (vendor source onbonlab/bx.dual.dyn.java at 1c2ae02, for BX-6Q1, 6Q2 and 6Q3): framing, escapes and checksum as
in ``codec.py``, with a header of 16 bytes: target, source, F0, 0, device type, four zeros, number of bytes that follow
(DWORD). Then ``reply group command args``. A7 00 replaces one dynamic area, A7 01 deletes some; answers are A0 00 and
A0 01 with status, error and length. A page's picture has three bytes per pixel (red, green, blue), row by row from the
top left. Run modes are those of the K series; display effects and the unit of a page's time are taken from the vendor's
6G library.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from devices.onbon_bx import codec
from edged.driver import Garbled

PIXEL_HEADER = struct.Struct("<HHBBH4xI")
EVERY_SCREEN = 0xFFFF
VERSION = 0xF0
BX_6Q2 = 0x0266  # the device type that the vendor's own code uses for every 6Q card
SHOW_AREA = (0xA7, 0x00)
DELETE_AREAS = (0xA7, 0x01)
AREA = struct.Struct(
    "<BBHBHB4xBHHHHBBBBB5xH"
)  # id, run mode, timeout, programs (2), alone, type, rectangle, 5 zeros, pages
AREA_TYPE = 0x10
PAGE = struct.Struct(
    "<IBBBBHBH9xII"
)  # bytes that follow, 0, way, 0, speed, time, repeats, width, offset, length
STANDS = 1
PIXEL_BYTES = 3
ROW_PX = 16
PICTURE_BYTES_MAX = 15_360  # of one area: what a frame carries beside its head

Colour = Literal["red", "green", "yellow", "white"]
COLOUR: dict[Colour, bytes] = {
    "red": b"\xff\0\0",
    "green": b"\0\xff\0",
    "yellow": b"\xff\xff\0",
    "white": b"\xff\xff\xff",
}
Glyph = Callable[
    [str], bytes
]  # a character -> 16 rows of one byte (half width) or two; most significant bit left


@dataclass(frozen=True, slots=True)
class PixelFrame(codec.Frame):
    """One frame. Its data: ``reply group command args...``; in an answer ``0 group command status error length
    ...``.
    """

    target: int = EVERY_SCREEN

    @property
    def command(self) -> tuple[int, int]:
        """Command group and command number."""
        return self.data[1], self.data[2]

    @property
    def error(self) -> int:
        """The card's error code, in the vendor's numbering."""
        return int.from_bytes(self.data[5:7], "little")

    def to_bytes(self) -> bytes:
        """The frame as it is sent."""
        head = PIXEL_HEADER.pack(self.target, self.source, VERSION, 0, BX_6Q2, len(self.data))
        return codec.wrap(head + self.data)


@dataclass(frozen=True, slots=True)
class PixelArea:
    """One dynamic area: pages of ``width`` x ``height`` pixels, each shown for ``page_s`` seconds, one after the other
    and again from the first.

    ``alone``: the card's own programs stop while the area is shown. Otherwise ``programs`` are the numbers of the
    card's programs beside which it is shown. ``way``: the effect with which a page appears (0 random, 1 none).
    """

    id: int
    x: int
    y: int
    width: int
    height: int
    pages: tuple[bytes, ...]
    run_mode: int = codec.LOOP
    timeout_s: int = 0
    alone: bool = False
    programs: tuple[int, ...] = ()
    way: int = STANDS
    page_s: int = 1


def show(area: PixelArea, target: int = EVERY_SCREEN) -> PixelFrame:
    """Command that replaces one dynamic area."""
    head = AREA.pack(
        area.id, area.run_mode, area.timeout_s, 0, len(area.programs), area.alone, AREA_TYPE,
        area.x, area.y, area.width, area.height, 0, 0, 0, 0, 0, len(area.pages),
    )  # fmt: skip
    at = 7  # programs stand between their number and the rest
    head = head[:at] + struct.pack(f"<{len(area.programs)}H", *area.programs) + head[at:]
    offset = 0
    for picture in area.pages:
        length = len(picture)
        head += PAGE.pack(PAGE.size - 4, 0, area.way, 0, 0, area.page_s * 100, 1, area.width, offset, length)
        offset += length
    body = bytes((1, *SHOW_AREA, 0, 0)) + struct.pack("<HI", 1, len(head)) + head + b"".join(area.pages)
    return PixelFrame(body, target)


def delete(ids: Sequence[int], target: int = EVERY_SCREEN) -> PixelFrame:
    """Command that removes these dynamic areas."""
    return PixelFrame(bytes((1, *DELETE_AREAS, 0, 0, len(ids), *ids)), target)


def delete_all(target: int = EVERY_SCREEN) -> PixelFrame:
    """Command that removes all dynamic areas."""
    return PixelFrame(bytes((1, *DELETE_AREAS, 0, 0, codec.ALL_AREAS)), target)


def answer(accepted: bool, error: int = 0) -> PixelFrame:
    """The frame with which a card accepts or refuses a command; for the fake card."""
    word = codec.ACK if accepted else codec.NACK
    return PixelFrame(bytes((0, *word)) + struct.pack("<HHH", 0, error, 0), codec.PC, 1)


def opened(body: bytes) -> PixelFrame | None:
    """Decode the body of a received frame, from which start and end bytes and escapes were removed. None if its
    checksum or length is wrong.
    """
    if len(body) < PIXEL_HEADER.size + 3 + 2 or codec.crc16(body[:-2]) != int.from_bytes(body[-2:], "little"):
        return None
    target, source, *_, length = PIXEL_HEADER.unpack_from(body)
    data = body[PIXEL_HEADER.size : -2]
    return PixelFrame(data, target, source) if len(data) == length else None


def decode_area(data: bytes) -> PixelArea:
    """Decode the area in a command from ``show`` (A7 00). Raises ``Garbled`` if the command is cut short or the size of
    a picture is not that of the area.
    """
    try:
        _, length = struct.unpack_from("<HI", data, 5)
        head, pictures = data[11 : 11 + length], data[11 + length :]
        (count,) = struct.unpack_from("<H", head, 5)
        programs = struct.unpack_from(f"<{count}H", head, 7)
        fixed = AREA.unpack_from(head[:7] + head[7 + 2 * count :])
        at, pages, way, page_s = AREA.size + 2 * count, [], STANDS, 1
        for _ in range(fixed[-1]):
            _, _, way, _, _, time, _, _, offset, size = PAGE.unpack_from(head, at)
            page_s = time // 100
            pages.append(pictures[offset : offset + size])
            at += PAGE.size
    except struct.error as error:
        raise Garbled(f"area command cut short: {error}") from None
    area_id, run_mode, timeout_s, _, _, alone, _, x, y, width, height, *_ = fixed
    if any(len(page) != width * height * PIXEL_BYTES for page in pages):
        raise Garbled("a picture of another size")
    return PixelArea(
        area_id, x, y, width, height, tuple(pages), run_mode, timeout_s, bool(alone), programs, way, page_s
    )


def pages_max(width: int) -> int:
    """Return how many pages fit into one frame; each is ``width`` pixels wide and one text row (16 pixels) high."""
    return PICTURE_BYTES_MAX // (width * ROW_PX * PIXEL_BYTES)


def pictures(text: str, width: int, colour: Colour, glyph: Glyph) -> tuple[bytes, ...]:
    """Draw ``text`` as pages, each ``width`` pixels wide and one text row high. If the pages do not all fit into one
    frame, the rest of the text is not shown.
    """
    lines: list[list[bytes]] = [[]]
    room = width
    for char in text:
        shape = glyph(char)
        wide = len(shape) // ROW_PX * 8
        if wide > room:
            lines.append([])
            room = width
        lines[-1].append(shape)
        room -= wide
    return tuple(_picture(line, width, colour) for line in lines[: pages_max(width)])


def _picture(shapes: list[bytes], width: int, colour: Colour) -> bytes:
    lit, dark = COLOUR[colour], bytes(PIXEL_BYTES)
    rows = []
    for row in range(ROW_PX):
        bits = "".join(
            f"{int.from_bytes(shape[row * wide : (row + 1) * wide], 'big'):0{wide * 8}b}"
            for shape in shapes
            for wide in (len(shape) // ROW_PX,)
        ).ljust(width, "0")
        rows.append(b"".join(lit if bit == "1" else dark for bit in bits))
    return b"".join(rows)
