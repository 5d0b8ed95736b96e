"""Sets the wall clock of one process by libfaketime, which leaves the monotonic clock alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from tests.support.needs import lacking

LIBRARY = "faketime/libfaketime.so.1"


class FalseClock:
    """A wall clock that a test sets. A process shows this clock if it is started with the variables ``environ``."""

    def __init__(self, directory: Path) -> None:
        found = sorted(Path("/usr/lib").glob(f"*/{LIBRARY}"))
        if not found:
            lacking("libfaketime is not installed (apt-get install faketime)")
        self._file = directory / "clock"
        self._ahead_s = 0.0
        self.environ = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self._write()

    def show(self, wall: str) -> None:
        """Set the clock to ``wall`` (ISO 8601 with offset); it runs on from there."""
        self._ahead_s = datetime.fromisoformat(wall).timestamp() - time.time()
        self._write()

    def step(self, seconds: float) -> None:
        """Set the clock forward by ``seconds`` (negative: back)."""
        self._ahead_s += seconds
        self._write()

    @contextmanager
    def lost(self) -> Iterator[None]:
        """Let the clock start at 1970-01-02 while the block runs, as a clock without a battery does; afterwards it is
        as far from the real time as before.
        """
        ahead_s = self._ahead_s
        self.show("1970-01-02T00:00:00+00:00")
        try:
            yield
        finally:
            self._ahead_s = ahead_s
            self._write()

    def _write(self) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{self._ahead_s:+.3f}\n")
        fresh.replace(self._file)
