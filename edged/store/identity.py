"""Detects that a journal lost its newest steps, or is an older copy or another journal than the one last used here.

The mark file ``<journal>.mark`` names the last acknowledged step. It is written after every commit without waiting for
the disk: after a power cut it may be older than the database, never newer. If this file, or a message that the broker
has retained, names a later step than the database holds, ticket numbers of the lost steps may be on visitors' paper.
Then a new epoch begins. The file ``<journal>.renewed`` orders it and says which numbers to skip; it is deleted once the
database holds the new epoch.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from edged.core.model.value import value
from edged.whole_file import whole_file

MARK_BYTES = 128
RENEWAL_BYTES_MAX = 64 * 1024

Why = Literal["damaged", "cut", "older-copy", "new"]


@value
class Whereabouts:
    """A position in a journal's history. ``numbers``: the last ticket number issued per service on business day ``day``
    (days since 1970-01-01; 0: unknown).
    """

    epoch: int
    seq: int
    day: int = 0
    numbers: tuple[tuple[str, int], ...] = ()


@value
class Renewal:
    """The order to begin a new epoch, and why. ``lost``: number of acknowledged steps that are gone.

    ``numbers``: the last ticket number issued per service on business day ``day``, where known. ``skips``: for the
    other services, how many numbers may have been issued in the lost steps.
    """

    epoch: int
    why: Why
    lost: int
    day: int = 0
    numbers: tuple[tuple[str, int], ...] = ()
    skips: tuple[tuple[str, int], ...] = ()


class Marks:
    """Writes the mark file of one journal. ``write`` takes microseconds and never waits for the disk."""

    def __init__(self, journal: Path) -> None:
        self._path = mark_path(journal)
        self._file: int | None = None

    def write(self, epoch: int, seq: int) -> None:
        """Record that step ``seq`` of ``epoch`` was committed. Disk errors are ignored here: the next commit reports
        them.
        """
        with suppress(OSError):
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.pwrite(self._file, f"{epoch} {seq}".ljust(MARK_BYTES - 1).encode() + b"\n", 0)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def mark_path(journal: Path) -> Path:
    """Path of the mark file of a journal."""
    return journal.with_name(journal.name + ".mark")


def read_mark(journal: Path) -> Whereabouts:
    """Read the mark file; epoch 0 if it is missing or not readable."""
    try:
        epoch, seq = map(int, mark_path(journal).read_bytes()[:MARK_BYTES].split())
    except (OSError, ValueError):
        return Whereabouts(0, 0)
    return Whereabouts(max(0, epoch), max(0, seq))


def leave_renewal(journal: Path, renewal: Renewal, sync: Callable[[Path], None]) -> None:
    """Write the order that the next start begins a new epoch. ``sync`` makes a folder's new files survive a power cut.
    Raises ``OSError`` if the disk does not take it.
    """
    path = _renewal_path(journal)
    with whole_file(path) as stream:
        stream.write(msgspec.json.encode(renewal))
    sync(path.parent)


def read_renewal(journal: Path) -> Renewal | None:
    """The order for a new epoch that an earlier process wrote; None if it is missing or not readable."""
    try:
        found: Renewal | None = read(_renewal_path(journal).read_bytes(), Renewal)
    except OSError:
        return None
    return found


def forget_renewal(journal: Path) -> None:
    """Delete the order for a new epoch, because the journal itself holds that epoch now."""
    with suppress(OSError):
        _renewal_path(journal).unlink(missing_ok=True)


def read(payload: bytes, kind: Any) -> Any:
    """Parse a ``Whereabouts`` or a ``Renewal`` (``kind``) from JSON; None if the payload is not one."""
    if len(payload) > RENEWAL_BYTES_MAX:
        return None
    try:
        found = msgspec.json.decode(payload, type=kind)
    except msgspec.MsgspecError:
        return None
    numbers = [number for _, number in (*found.numbers, *getattr(found, "skips", ()))]
    return found if min(found.epoch, found.day, *numbers, 0) >= 0 else None


def _renewal_path(journal: Path) -> Path:
    return journal.with_name(journal.name + ".renewed")
