"""The crash counter: how many starts in a row ended too soon, a number in the file ``<journal>.starts``.

Rules: it is increased at every start, and reset after a healthy minute or a clean stop, so no clock is needed. The file
is not synced, because a power cut is no crash. A file that cannot be read or written counts as 0, because nothing here
may prevent the hall from starting.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from edged.whole_file import whole_file

FAST_STARTS = (
    5  # after so many processes in a row that ended before LIVED_S, the next one starts in safe mode
)
LIVED_S = 60.0  # real seconds after which a process no longer counts as crashed at start
SAFE_S = 1800.0  # healthy real seconds in safe mode before a full start is tried again
MAX_BYTES = 16


class Starts:
    """The crash counter of one journal; ``journal`` None: no file, in simulation."""

    def __init__(self, journal: Path | None) -> None:
        self._path = None if journal is None else journal.with_name(journal.name + ".starts")
        self.failed = 0

    def begin(self) -> bool:
        """Count this start; True if ``FAST_STARTS`` or more starts before it ended too soon: then start in safe
        mode.
        """
        self.failed = self._read()
        self._write(self.failed + 1)
        return self.failed >= FAST_STARTS

    def forget(self) -> None:
        """Reset the counter, after a healthy minute or before a clean stop."""
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
            with suppress(OSError), whole_file(self._path, synced=False) as stream:
                stream.write(b"%d\n" % number)
