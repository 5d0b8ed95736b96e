"""Room inside the journal's file goes back to the disk, while the hall is served.

SQLite keeps the pages of what was deleted for what comes next, and only a ``VACUUM``, which would hold up the hall for
as long as the file is, makes the file shorter. But with ``secure_delete`` such pages are zeros, and a stretch of zeros
may be a hole: it reads the same and takes no room. ``FS_IOC_UNRESVSP64`` (linux/falloc.h) does what fallocate(2) calls
punching one.

Rules: a page becomes a hole only while everything in the WAL is in the file and nothing is written (one thread does
both). The file stays open here for as long as the connection: closing it would drop the locks of this
process on it (sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

import apsw

PUNCH = 0x4030582B
SPACE = (
    "hh4xqqiI16x"  # struct space_resv: from where on, counted from the beginning of the file, and how much
)
SLICE_BYTES = 1 << 18  # looked through in one go: a few milliseconds, most of them the reading
BLOCK_BYTES = 4096  # what a file system gives back at the least
WORTH_BYTES = 64 * 1024 * 1024  # free pages that are not holes yet; a hall's own come and go
_ZEROS = bytes(BLOCK_BYTES)


class Holes:
    """Those of one journal. Everything runs in the writer thread, between commits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._at: int | None = None  # where the next slice begins; None: nothing is to be done

    @property
    def digging(self) -> bool:
        """There is a slice to look through."""
        return self._at is not None

    def begin(self, connection: apsw.Connection) -> None:
        """Look through the whole file, if enough of it is free."""
        free = int(connection.pragma("freelist_count")) * int(connection.pragma("page_size"))
        with suppress(OSError):
            found = os.stat(self._path)
            missing = max(0, found.st_size - found.st_blocks * 512)  # holes of before
            if free - missing >= WORTH_BYTES:
                if self._file is None:
                    self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
                self._at = 0

    def dig(self, connection: apsw.Connection) -> None:
        """One slice; later, where a reader keeps the WAL from being moved into the file."""
        assert self._file is not None
        assert self._at is not None
        pages, moved = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        if pages != moved:
            return
        try:
            content = os.pread(self._file, SLICE_BYTES, self._at)
            for start, length in _zero_runs(content):
                fcntl.ioctl(self._file, PUNCH, struct.pack(SPACE, 0, 0, self._at + start, length, 0, 0))
        except OSError:  # a file system without holes: what is free stays for what comes
            content = b""
        self._at = self._at + SLICE_BYTES if len(content) == SLICE_BYTES else None

    def close(self) -> None:
        """After the connection was closed."""
        if self._file is not None:
            os.close(self._file)
            self._file = self._at = None


def _zero_runs(content: bytes) -> list[tuple[int, int]]:
    """Begin and length of what is zero in whole blocks."""
    runs: list[tuple[int, int]] = []
    for start in range(0, len(content) - BLOCK_BYTES + 1, BLOCK_BYTES):
        if content[start : start + BLOCK_BYTES] == _ZEROS:
            if runs and sum(runs[-1]) == start:
                runs[-1] = (runs[-1][0], runs[-1][1] + BLOCK_BYTES)
            else:
                runs.append((start, BLOCK_BYTES))
    return runs
