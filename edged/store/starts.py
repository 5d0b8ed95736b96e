"""How many starts in a row did not live long: a number in ``<journal>.starts``, without any clock.

Rules: it is raised at every start and forgotten after a healthy while or a clean stop; it is not synced (a power cut
is no crash); a file that cannot be read or written counts as none, for nothing here may keep the hall from starting.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FAST_STARTS = 5  # so many ends in a row, each before LIVED_S, and the next start is a safe one
LIVED_S = 60.0  # real seconds after which a life was none of those
SAFE_S = 1800.0  # real seconds of good life in safe mode before everything is tried again
MAX_BYTES = 16


class Starts:
    """The number of one journal; ``path`` None: of nothing, in simulated worlds."""

    def __init__(self, journal: Path | None) -> None:
        self._path = None if journal is None else journal.with_name(journal.name + ".starts")
        self.failed = 0

    def begin(self) -> bool:
        """One more start; True if those before it ended too fast too often."""
        self.failed = self._read()
        self._write(self.failed + 1)
        return self.failed >= FAST_STARTS

    def forget(self) -> None:
        """This life was a good one, or ended because somebody wanted it to."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _read(self) -> int:
        try:
            return 0 if self._path is None else int(self._path.read_bytes()[:MAX_BYTES])
        except (OSError, ValueError):
            return 0

    def _write(self, number: int) -> None:
        if self._path is not None:
            fresh = self._path.with_name(self._path.name + ".new")
            with suppress(OSError):
                fresh.write_bytes(b"%d\n" % number)
                os.replace(fresh, self._path)
