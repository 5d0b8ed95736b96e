"""A control group of the kernel around one process: what systemd's ``MemoryMax=`` is made of, in version 1 or 2."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.needs import lacking

ROOTS = (  # where new groups are made, and the file of the limit
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)


@contextmanager
def memory_group(limit_bytes: int) -> Iterator[Path]:
    """A group whose processes may use so much more than they had; a process id goes into its ``cgroup.procs``."""
    for root, limit in ROOTS:
        group = root / f"edged-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text(str(limit_bytes))
        except OSError:
            if group.exists():
                group.rmdir()
            continue
        try:
            yield group
        finally:
            group.rmdir()
        return
    lacking("no memory control group can be made here (it takes root and the memory controller)")
