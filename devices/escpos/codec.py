"""Encodes requests to an ESC/POS ticket printer, and decodes its answers; no I/O.

Sources: the bytes that python-escpos 3.1 writes for text, cut and QR code; Epson's pages on DLE EOT and GS r for the
bits of the answers. Text is GBK, after switching the printer to Chinese characters (FS &). Control characters are never
printed.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from edged.core.model.commands import Print, Refuse
from edged.texts import cleaned

INIT, CHINESE = b"\x1b@", b"\x1c&"
CENTRE, LEFT = b"\x1ba\x01", b"\x1ba\x00"
LARGE, USUAL = b"\x1d!\x22", b"\x1d!\x00"  # three times as wide and high
FEED = b"\x1bd\x06"  # six lines: the cutter stands above the head
Cut = Literal["full", "partial", "none"]
CUTS: dict[Cut, bytes] = {"full": b"\x1dV\x00", "partial": b"\x1dV\x01", "none": b""}
NO_REPORTS = b"\x1da\x00"  # automatic status off, because its bytes would look like answers

ASK_PRINTER, ASK_CAUSE, ASK_PAPER = b"\x10\x04\x01", b"\x10\x04\x02", b"\x10\x04\x04"  # answered at once
ASK_IN_TURN = b"\x1dr\x01"  # GS r: answered when everything before it has been printed
AT_ONCE_MASK, AT_ONCE = 0x93, 0x12  # bits 1 and 4 are set, 0 and 7 are not; anything else is noise
IN_TURN_MASK = 0x90  # bits 4 and 7 are not set
OFFLINE = 0x08  # of ASK_PRINTER
COVER, STOPPED, ERROR = 0x04, 0x20, 0x40  # of ASK_CAUSE
LOW, OUT = 0x0C, 0x60  # of ASK_PAPER
LOW_IN_TURN, OUT_IN_TURN = 0x03, 0x0C  # of ASK_IN_TURN

Paper = Literal["ok", "low", "out"]
QR_BYTES_MAX = 200


class Condition(NamedTuple):
    """State of the printer. ``fault``: why it cannot print, apart from missing paper; None without a fault."""

    paper: Paper
    fault: str | None = None


def is_at_once(byte: int) -> bool:
    """Whether this byte is an answer to DLE EOT, which the printer gives immediately."""
    return byte & AT_ONCE_MASK == AT_ONCE


def is_in_turn(byte: int) -> bool:
    """Whether this byte is an answer to GS r, which the printer gives only after it has printed everything sent
    before.
    """
    return byte & IN_TURN_MASK == 0


def paper_at_once(byte: int) -> Paper:
    """The paper state in the answer to ``ASK_PAPER``."""
    return "out" if byte & OUT else "low" if byte & LOW else "ok"


def paper_in_turn(byte: int) -> Paper:
    """The paper state in the answer to ``ASK_IN_TURN``."""
    return "out" if byte & OUT_IN_TURN else "low" if byte & LOW_IN_TURN else "ok"


def cause(byte: int) -> str:
    """Say in words why the printer is offline. ``byte``: its answer to ``ASK_CAUSE``."""
    if byte & COVER:
        return "cover open"
    return "no paper" if byte & STOPPED else "cutter or head fault" if byte & ERROR else "switched offline"


def qr(text: str, size: int = 6) -> bytes:
    """Return the commands that print ``text`` (ASCII) as a QR code (model 2, error correction level L). ``size``: dots
    per module, 1 to 16.
    """
    data = text.encode("ascii")
    return b"".join(
        b"\x1d(k" + len(body).to_bytes(2, "little") + body
        for body in (b"1A2\x00", b"1C" + bytes((size,)), b"1E0", b"1P0" + data, b"1Q0")
    )


_WORD = re.compile(r"[!-~]")  # a word as printed: letters, digits and the marks that hang on them
_WORD_END = re.compile(r"[!-~]+$")


def encoded(text: str) -> bytes:
    """``text`` in GBK; characters that GBK lacks become question marks."""
    return cleaned(text).encode("gbk", "replace")


def wrapped(text: str, columns: int) -> list[str]:
    """Break ``text`` into lines of at most ``columns`` half-width characters. A Chinese character takes two and is
    never split; a Latin word is split only if it is longer than a line.
    """
    lines, line, width = [], "", 0
    for char in cleaned(text):
        wide = len(char.encode("gbk", "replace"))
        if width + wide > columns:
            begun = _WORD_END.search(line) if _WORD.match(char) else None
            carried = begun[0] if begun is not None and begun.start() > 0 else ""
            lines.append(line[: len(line) - len(carried)])
            line, width = carried, len(carried)
        line, width = line + char, width + wide
    return [*lines, line] if line else lines


class Layout(NamedTuple):
    """What is the same on all tickets: title, line width in half-width characters, and kind of cut."""

    title: str = ""
    columns: int = 32
    cut: Cut = "partial"


def ticket(body: Print, service: str, layout: Layout) -> bytes:
    """Return the commands that print and cut a ticket or another slip. ``service``: the service's name as printed, ""
    for none. The slip's URL is printed as a QR code if it is ASCII and at most ``QR_BYTES_MAX`` long.
    """
    waits = _waits(body) if body.about == "ticket" else []
    small = [line for text in (*waits, *body.lines, *body.lines_en) for line in wrapped(text, layout.columns)]
    code = body.url if body.url is not None and body.url.isascii() and len(body.url) <= QR_BYTES_MAX else None
    return b"".join(
        (
            *(INIT, CHINESE, CENTRE),
            _lines([layout.title, service], layout.columns),
            *(LARGE, encoded(body.number), b"\n", USUAL),
            b"".join(encoded(line) + b"\n" for line in small),
            b"" if code is None else qr(code),
            *(FEED, CUTS[layout.cut]),
        )
    )


def refusal(body: Refuse, layout: Layout) -> bytes:
    """Return the commands that print and cut a slip for a visitor who gets no number; it says why."""
    texts = _lines([layout.title, body.text, body.text_en], layout.columns)
    return b"".join((INIT, CHINESE, CENTRE, texts, FEED, CUTS[layout.cut]))


def _lines(texts: list[str], columns: int) -> bytes:
    return b"".join(encoded(line) + b"\n" for text in texts for line in wrapped(text, columns))


def _waits(body: Print) -> list[str]:
    lines = [f"前面等候{body.ahead}人 {body.ahead} ahead of you"]
    if body.wait_low_s is not None and body.wait_high_s is not None:
        low, high = body.wait_low_s // 60, body.wait_high_s // 60
        span = f"{low}-{high}" if low != high else str(high)
        lines.append(f"预计等候{span}分钟 {span} min")
    return lines


def describe(data: bytes) -> list[str]:
    """Describe captured bytes in words, for a technician: one line per request or answer."""
    questions = {
        ASK_PRINTER: "printer?",
        ASK_CAUSE: "why offline?",
        ASK_PAPER: "paper?",
        ASK_IN_TURN: "done? paper?",
    }
    if data in questions:
        return [questions[data]]
    if data.startswith(INIT):
        return [f"{len(data)} bytes to print"]
    found = []
    for byte in data:
        if is_at_once(byte):
            offline = "offline" if byte & OFFLINE else "online"
            found.append(
                f"answer {byte:02X}: {offline}; if to paper?: {paper_at_once(byte)}; if to why: {cause(byte)}"
            )
        elif is_in_turn(byte):
            found.append(f"answer {byte:02X} in turn: paper {paper_in_turn(byte)}")
    return found
