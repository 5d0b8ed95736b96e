"""The result of the last reload of hall.toml: ``<journal>.reload.json``, written by the daemon, read by ``edged
reload``. A file, because SIGHUP has no answer, and the HTTP port may be what is being changed.

``pid`` and ``start_ticks`` (the process's start time from the kernel) identify the writer: process ids are reused.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from edged.whole_file import whole_file

SUFFIX = ".reload.json"
BYTES_MAX = 64 * 1024
LINES_MAX = 50  # mistakes listed at most; with fifty it is probably the wrong file


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """The result of a reload.

    ``count``: reloads since the process started; ``lines``: the mistakes, and the tables that need a restart.
    ``state``: "serving" (no reload yet), "taken", "refused", or "waits": the file is correct, but removes something
    that the hall still needs; it is applied as soon as that is free.
    """

    pid: int
    start_ticks: str
    count: int
    state: str
    lines: tuple[str, ...] = ()

    @classmethod
    def of(cls, count: int, state: str, lines: tuple[str, ...]) -> FileVerdict:
        """Make a verdict of the calling process, with its process id and start time."""
        return cls(os.getpid(), start_ticks_of(os.getpid()), count, state, lines)

    @property
    def is_running(self) -> bool:
        """Whether the process that wrote the verdict still runs.

        Inside the unit's sandbox the reload command cannot see other processes (ProtectProc=); it then checks only that
        a process with this id accepts signals from us.
        """
        seen = start_ticks_of(self.pid)
        return seen == self.start_ticks if seen else _is_ours(self.pid)


def write(journal: Path, verdict: FileVerdict) -> None:
    """Replace the verdict file of ``journal``. Raises ``OSError`` if it cannot be written."""
    with whole_file(_place(journal), synced=False) as stream:  # a verdict ends with its process
        stream.write(json.dumps(asdict(verdict), ensure_ascii=False).encode())


def read(journal: Path) -> FileVerdict | None:
    """The last verdict; None if there is none, or none that can be read."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        with _place(journal).open("rb") as stream:
            fields = json.loads(stream.read(BYTES_MAX))
        return FileVerdict(**fields | {"lines": tuple(fields["lines"])})
    return None


def start_ticks_of(pid: int) -> str:
    """The start time of process ``pid`` in the kernel's clock ticks; "" if it cannot be seen. See proc(5), field 22 of
    stat.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _is_ours(pid: int) -> bool:
    """Whether process ``pid`` exists and we may send it signals."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return pid > 0


def _place(journal: Path) -> Path:
    return journal.with_name(journal.name + SUFFIX)
