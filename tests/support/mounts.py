"""Mounts a disk for one test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.needs import lacking


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[Path]:
    """Mount a file system at ``place`` while the block runs; ``options`` are those of ``mount``. Needs root."""
    if os.geteuid() != 0:
        lacking("mounting a disk needs root")
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", *options, str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
