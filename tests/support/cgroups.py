"""A control group of the kernel around one process: what systemd's ``MemoryMax=`` is made of, in version 1 or 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edged.bench import age
from tests.support.needs import lacking


@contextmanager
def memory_group(limit_bytes: int) -> Iterator[Path]:
    """A group whose processes may use so much more than they had; a process id goes into its ``cgroup.procs``."""
    with age.memory_group(limit_bytes) as group:
        if group is None:
            lacking("no memory control group can be made here (it takes root and the memory controller)")
        yield group
