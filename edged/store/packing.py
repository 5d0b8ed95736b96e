"""Compresses commands and state dumps for the disk: nine tenths of a journal are commands, which resemble each other.

The first byte tells the format: uncompressed JSON begins with ``[`` or ``{``; 1 means raw deflate (RFC 1951) with the
preset dictionary in ``commands_1.dict``; a state dump is a zlib stream (RFC 1950). The dictionary is part of the format
and never changes; a better one would get another first byte. Measured on a day of 60 windows: 0.12 of the size, 15 us
per step, without holding Python's lock (the GIL).
"""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path

WITH_DICTIONARY = 1
LEVEL = 1
WINDOW_BITS = 13  # 8 KiB: the dictionary and a step's commands
MEMORY_LEVEL = 5  # little memory per step
WORTH_BYTES = 100  # shorter texts are not compressed
# decompressed bytes of one step: far above a step that re-sends every output of a hall
COMMANDS_BYTES_MAX = 16 * 1024 * 1024
DUMP_BYTES_MAX = 64 * 1024 * 1024  # a good state dump is well under 1 MiB


class NotPacked(ValueError):
    """The bytes cannot be decompressed: ``pack`` or ``pack_dump`` did not write them so."""


def pack(commands: bytes | None) -> bytes | None:
    """Compress the JSON of a step's commands. None, and JSON of less than ``WORTH_BYTES``, are returned unchanged."""
    if commands is None or len(commands) < WORTH_BYTES:
        return commands
    made = zlib.compressobj(
        LEVEL, zlib.DEFLATED, -WINDOW_BITS, MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, _dictionary()
    )
    return bytes((WITH_DICTIONARY,)) + made.compress(commands) + made.flush()


def unpack(stored: bytes | None) -> bytes | None:
    """Decompress what ``pack`` returned; None, and bytes that do not begin like compressed ones, are returned
    unchanged. Raises ``NotPacked`` if compressed bytes are damaged or larger than ``COMMANDS_BYTES_MAX``.
    """
    if stored is None or stored[:1] != bytes((WITH_DICTIONARY,)):
        return stored
    return _inflated(zlib.decompressobj(-WINDOW_BITS, _dictionary()), stored[1:], COMMANDS_BYTES_MAX)


def pack_dump(blob: bytes) -> bytes:
    """Compress the JSON of a state dump."""
    return zlib.compress(blob, LEVEL)


def unpack_dump(stored: bytes) -> bytes:
    """Decompress what ``pack_dump`` returned; JSON is returned unchanged. Raises ``NotPacked`` for any other bytes, and
    for a dump larger than ``DUMP_BYTES_MAX``.
    """
    if stored[:1] == b"{":
        return stored
    return _inflated(zlib.decompressobj(), stored, DUMP_BYTES_MAX)


def _inflated(inflate: zlib._Decompress, packed: bytes, limit: int) -> bytes:
    try:
        found = inflate.decompress(packed, limit)
    except zlib.error as error:
        raise NotPacked(str(error)) from error
    if not inflate.eof or inflate.unused_data:
        raise NotPacked("it does not end where it should")
    return found


@cache
def _dictionary() -> bytes:
    return Path(__file__).with_name("commands_1.dict").read_bytes()
