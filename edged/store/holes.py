"""Returns free space inside the journal's file to the file system, while the hall is served.

SQLite keeps the pages of deleted rows for later rows; only ``VACUUM`` shortens the file, and it would block the hall
for a time that grows with the file. But with ``secure_delete`` free pages are filled with zeros, and a run of zeros can
be replaced by a hole in the file, which reads the same and takes no space. The ioctl ``FS_IOC_UNRESVSP64``
(linux/falloc.h) punches such a hole, as fallocate(2) describes.

Rules: a page becomes a hole only while the WAL is fully checkpointed and nothing is written (one thread does both). The
file descriptor here stays open as long as the database connection: closing it would drop this process's locks on the
file (sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

import apsw

PUNCH = 0x4030582B
SPACE = "hh4xqqiI16x"  # struct space_resv: offset from the beginning of the file, and length
SLICE_BYTES = 1 << 18  # bytes examined per slice: a few milliseconds, mostly spent reading
BLOCK_BYTES = 4096  # smallest hole of a file system
# begin at so many free pages that are not holes yet; fewer come and go in daily work
WORTH_BYTES = 64 * 1024 * 1024
_ZEROS = bytes(BLOCK_BYTES)


class Holes:
    """Punches holes into the file of one journal. For the writer thread, between commits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._at: int | None = None  # offset of the next slice; None: nothing to do

    @property
    def digging(self) -> bool:
        """Whether a pass over the file is under way."""
        return self._at is not None

    def begin(self, connection: apsw.Connection) -> None:
        """Begin a pass over the file, if at least ``WORTH_BYTES`` of it are free and not holes yet."""
        free = int(connection.pragma("freelist_count")) * int(connection.pragma("page_size"))
        with suppress(OSError):
            found = os.stat(self._path)
            missing = max(0, found.st_size - found.st_blocks * 512)  # holes that already exist
            if free - missing >= WORTH_BYTES:
                if self._file is None:
                    self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
                self._at = 0

    def dig(self, connection: apsw.Connection) -> None:
        """Examine the next slice of the file; does nothing while a reader prevents a complete checkpoint of the WAL."""
        assert self._file is not None
        assert self._at is not None
        pages, moved = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        if pages != moved:
            return
        try:
            content = os.pread(self._file, SLICE_BYTES, self._at)
            for start, length in _zero_runs(content):
                fcntl.ioctl(self._file, PUNCH, struct.pack(SPACE, 0, 0, self._at + start, length, 0, 0))
        except OSError:  # a file system without holes: free pages stay in the file for later rows
            content = b""
        self._at = self._at + SLICE_BYTES if len(content) == SLICE_BYTES else None

    def close(self) -> None:
        """Close the file; to be called after the database connection was closed."""
        if self._file is not None:
            os.close(self._file)
            self._file = self._at = None


def _zero_runs(content: bytes) -> list[tuple[int, int]]:
    """(offset, length) of each run of zeros, in whole blocks of ``BLOCK_BYTES``."""
    runs: list[tuple[int, int]] = []
    for start in range(0, len(content) - BLOCK_BYTES + 1, BLOCK_BYTES):
        if content[start : start + BLOCK_BYTES] == _ZEROS:
            if runs and sum(runs[-1]) == start:
                runs[-1] = (runs[-1][0], runs[-1][1] + BLOCK_BYTES)
            else:
                runs.append((start, BLOCK_BYTES))
    return runs
