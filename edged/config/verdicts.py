"""What became of the last request to read hall.toml again: ``<journal>.reload.json``, written by the daemon, read by
``edged reload``. A signal has no answer, and the web page may be the very thing that is being changed.

``pid`` and ``born`` (the kernel's start time of that process) say whose verdict it is: a process id is used again.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

SUFFIX = ".reload.json"
BYTES_MAX = 64 * 1024
LINES_MAX = 50  # mistakes that are told; somebody who sees fifty has the wrong file


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """The outcome of a reload. ``count``: requests answered since the process started; ``state``: serving (none yet),
    taken, waits or refused.
    """

    pid: int
    born: str
    count: int
    state: str
    lines: tuple[str, ...] = ()

    @classmethod
    def of(cls, count: int, state: str, lines: tuple[str, ...]) -> FileVerdict:
        """The verdict of this process."""
        return cls(os.getpid(), born(os.getpid()), count, state, lines)

    @property
    def lives(self) -> bool:
        """Whether the process that wrote the verdict still runs.

        In the unit's sandbox its reload command sees no process but itself (ProtectProc=): then whether there is one
        of ours under that id must do.
        """
        seen = born(self.pid)
        return seen == self.born if seen else _is_ours(self.pid)


def write(journal: Path, verdict: FileVerdict) -> None:
    """Replace the verdict of a journal's daemon. Raises ``OSError``."""
    place = _place(journal)
    fresh = place.with_name(place.name + ".new")
    fresh.write_text(json.dumps(asdict(verdict), ensure_ascii=False), encoding="utf-8")
    os.replace(fresh, place)


def read(journal: Path) -> FileVerdict | None:
    """The last verdict; None if there is none, or none that can be read."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        with _place(journal).open("rb") as stream:
            fields = json.loads(stream.read(BYTES_MAX))
        return FileVerdict(**fields | {"lines": tuple(fields["lines"])})
    return None


def born(pid: int) -> str:
    """When process ``pid`` started, in the kernel's ticks; "" if there is none. See proc(5), field 22 of stat."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _is_ours(pid: int) -> bool:
    """Whether there is a process that we may signal."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return pid > 0


def _place(journal: Path) -> Path:
    return journal.with_name(journal.name + SUFFIX)
