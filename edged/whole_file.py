"""Replaces a file as a whole or not at all: a reader finds the old content or the new, also after a power cut."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(file: Path, mode: int = 0o666, *, synced: bool = True) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of ``file`` when the ``with`` block ends. If the block raises, ``file``
    stays as it was.

    ``mode``: permissions of the new file, less the process's umask. ``synced`` False saves time, but after a power cut
    the file may be empty: for files that are useless then anyway. Raises ``OSError`` if the disk refuses.
    """
    fresh = file.with_name(f"{file.name}.new")
    fresh.unlink(missing_ok=True)  # one that was left by a process that died may have another owner and mode
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
            yield stream
            if synced:
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(fresh, file)
    except BaseException:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
