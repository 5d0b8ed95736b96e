"""Which history this journal is: what tells that its end was lost, that it is an older copy, or that it is another one.

``<journal>.mark`` says which step was acknowledged last. It is written after every commit and never waited for: a power
cut may leave an older mark, never a newer one than the database. What a mark or a witness elsewhere (the broker's
retained word) says beyond the database may be on somebody's paper: then the epoch grows, and ``<journal>.renewed`` says
what has to be skipped, until that is in the journal itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from edged.core.model.value import value

MARK_BYTES = 128
RENEWAL_BYTES_MAX = 64 * 1024

Why = Literal["damaged", "cut", "older-copy", "new"]


@value
class Whereabouts:
    """Where a history stood. ``numbers``: the last ones allotted, per service, on business day ``day`` (0: unknown)."""

    epoch: int
    seq: int
    day: int = 0
    numbers: tuple[tuple[str, int], ...] = ()


@value
class Renewal:
    """A new epoch and why. ``lost``: steps that were acknowledged and are gone.

    ``skips``: how many numbers of a service may have been given since, where ``numbers`` does not know the last one.
    """

    epoch: int
    why: Why
    lost: int
    day: int = 0
    numbers: tuple[tuple[str, int], ...] = ()
    skips: tuple[tuple[str, int], ...] = ()


class Marks:
    """The mark beside one journal. ``say`` costs microseconds and never waits for the disk."""

    def __init__(self, journal: Path) -> None:
        self._path = mark_path(journal)
        self._file: int | None = None

    def say(self, epoch: int, seq: int) -> None:
        """Step ``seq`` of ``epoch`` was committed. An error of the disk is the database's to find."""
        with suppress(OSError):
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.pwrite(self._file, f"{epoch} {seq}".ljust(MARK_BYTES - 1).encode() + b"\n", 0)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def mark_path(journal: Path) -> Path:
    """Where the mark of a journal stands."""
    return journal.with_name(journal.name + ".mark")


def read_mark(journal: Path) -> Whereabouts:
    """The mark; epoch 0 where there is none that can be read."""
    try:
        epoch, seq = map(int, mark_path(journal).read_bytes()[:MARK_BYTES].split())
    except (OSError, ValueError):
        return Whereabouts(0, 0)
    return Whereabouts(max(0, epoch), max(0, seq))


def leave_renewal(journal: Path, renewal: Renewal, sync: Callable[[Path], None]) -> None:
    """Let the next start begin a new epoch. Raises ``OSError``."""
    path = _renewal_path(journal)
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(msgspec.json.encode(renewal))
    os.replace(fresh, path)
    sync(path.parent)


def read_renewal(journal: Path) -> Renewal | None:
    """What an earlier process left; None where nothing (that can be read) is there."""
    try:
        found: Renewal | None = read(_renewal_path(journal).read_bytes(), Renewal)
    except OSError:
        return None
    return found


def forget_renewal(journal: Path) -> None:
    """It is in the journal itself now."""
    with suppress(OSError):
        _renewal_path(journal).unlink(missing_ok=True)


def read(payload: bytes, kind: Any) -> Any:
    """A ``Whereabouts`` or ``Renewal`` from JSON; None where it is none."""
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
