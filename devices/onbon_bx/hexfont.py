"""A bitmap font in the text format of GNU Unifont: one line per character, such as ``8BF7:0040…``, in the order of code
points.

The file is memory-mapped and searched by bisection, so that only characters that were shown stay in memory, not its
four megabytes.
"""

from __future__ import annotations

import mmap
from pathlib import Path

ROWS = 16
HALF, WHOLE = ROWS * 2, ROWS * 4  # hex digits of a character eight or sixteen pixels wide


class HexFont:
    """The characters of one font file, 16 pixels high. A character that the file lacks is drawn as "?"."""

    def __init__(self, file: str) -> None:
        """Open the font. Raises ``OSError`` if the file cannot be read, ``ValueError`` if it has no "?"."""
        with Path(file).open("rb") as stream:
            self._text = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self._seen: dict[str, bytes] = {}
        other = self._found(ord("?"))
        if other is None:
            raise ValueError(f"{file} is no font: it has no line 003F:")
        self._other = other

    def glyph(self, char: str) -> bytes:
        """Return the 16 rows of a character's bitmap, from the top: one byte each for a character 8 pixels wide, two
        for 16 pixels. For a character that the font lacks, those of "?".
        """
        if char not in self._seen:
            self._seen[char] = self._found(ord(char)) or self._other
        return self._seen[char]

    def _found(self, number: int) -> bytes | None:
        low, high = 0, len(self._text)
        while low < high:
            middle = (low + high) // 2
            begin = self._text.rfind(b"\n", 0, middle) + 1
            end = self._text.find(b"\n", middle)
            end = len(self._text) if end < 0 else end
            name, _, shape = self._text[begin:end].partition(b":")
            try:
                here = int(name, 16)
            except ValueError:
                return None
            if here == number:
                return bytes.fromhex(shape.decode("ascii")) if len(shape.strip()) in (HALF, WHOLE) else None
            low, high = (end + 1, high) if here < number else (low, begin)
        return None
