"""Reads text files that people saved: UTF-8, with or without a byte order mark. For any other file, the error names the
line and says whether the text is GBK or UTF-16, if it is one of these.

On Chinese Windows, editors save "ANSI" as GBK (code page 936, a subset of GB 18030) and "Unicode" as UTF-16. GBK is
recognised without a word list: Chinese prose uses the common characters of GB 2312, both of whose bytes are 0xA1 or
more; other data hardly ever has such pairs.
"""

from __future__ import annotations

import codecs
from pathlib import Path

BEGINNING = 12  # characters shown of the faulty place
LOOKED_AT_BYTES = 600  # bytes judged from the first odd byte on: a few lines
COMMON_SHARE = 0.8  # share of common characters among those beyond ASCII; names of people have rarer ones
SAVE_AS = "save it as UTF-8 (Notepad: Save as, Encoding; 记事本：另存为，编码选 UTF-8)"


class NotUtf8(ValueError):
    """A file's bytes are not UTF-8. The error's text says what they are and what to do, without quoting the file.

    ``line`` and ``column`` count from 1; ``begins``: the faulty text decoded as GBK, "" if it is not GBK.
    """

    def __init__(self, what: str, line: int, column: int, begins: str = "") -> None:
        super().__init__(f"{what}; {SAVE_AS}")
        self.what = what
        self.line = line
        self.column = column
        self.begins = begins

    @property
    def at_column(self) -> str:
        """The error's text, extended by the column and the faulty text as GBK; only for a file that contains no
        secret.
        """
        begins = f' "{self.begins}"' if self.begins else ""
        return f"{self.what} (column {self.column}{begins}); {SAVE_AS}"


def text_of(data: bytes) -> str:
    """Decode ``data``, dropping a byte order mark. Raises ``NotUtf8`` if it is in another encoding."""
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode()  # "utf-8-sig" is Python code, ten times as slow
    except UnicodeDecodeError as error:
        raise _named(data.removeprefix(codecs.BOM_UTF8), error) from None


def file_text(file: Path) -> str:
    """Read a text file that a person made. Raises ``OSError`` if it cannot be read, ``ValueError`` (with file, line and
    what to do) if it is not UTF-8.
    """
    try:
        return text_of(file.read_bytes())
    except NotUtf8 as error:
        raise ValueError(f"{file}:{error.line}: {error.at_column}") from None


def _named(data: bytes, error: UnicodeDecodeError) -> NotUtf8:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return NotUtf8("UTF-16 text, not UTF-8", 1, 1)
    at = error.start
    start = data.rfind(b"\n", 0, at) + 1
    end = data.find(b"\n", at)
    line = data[start : len(data) if end < 0 else end]
    first = next(index for index, byte in enumerate(line) if byte >= 0x80)
    row, column = data.count(b"\n", 0, at) + 1, len(data[start:at].decode("utf-8", "replace")) + 1
    whole, mixed = line[first:], line[at - start :]
    # Judge from the first byte beyond ASCII, for a GBK pair may be valid UTF-8; in a mixed file from the fault on.
    # Include the following lines, because this one may hold only a name of rare characters.
    for looked_at, shown in ((whole, first + 1), (mixed, column), (data[start + first :], first + 1)):
        if _is_gbk(looked_at[:LOOKED_AT_BYTES]):
            read = (mixed if looked_at is mixed else whole)[:LOOKED_AT_BYTES].decode("gb18030", "replace")
            return NotUtf8("GBK text, not UTF-8", row, shown, read.strip().strip("\"'")[:BEGINNING])
    return NotUtf8(f"byte 0x{data[at]:02X} is not UTF-8 text", row, column)


def _is_gbk(part: bytes) -> bool:
    """Are these bytes plausibly GBK? ``part`` must begin with a whole character; it may end inside one."""
    odd = [char for char in part.decode("gb18030", "replace") if not char.isascii()]
    common = sum(map(_is_common, odd))
    return common > 0 and common >= COMMON_SHARE * len(odd)


def _is_common(char: str) -> bool:
    try:
        return len(char.encode("gb2312")) == 2
    except UnicodeEncodeError:
        return False
