"""Limits the memory of processes by a control group, the kernel's part of systemd's ``MemoryMax=``; version 1 or 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edged.bench import age
from tests.support.needs import lacking


@contextmanager
def memory_group(limit_bytes: int) -> Iterator[Path]:
    """Make a control group whose processes may use ``limit_bytes`` more than they had before they joined; yields its
    folder. A process joins when its id is written into ``cgroup.procs`` there.
    """
    with age.memory_group(limit_bytes) as group:
        if group is None:
            lacking("no memory control group can be made here (it takes root and the memory controller)")
        yield group
