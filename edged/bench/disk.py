"""Measures how long the journal's own writer takes for a commit at ``synchronous=FULL``, compared with a bare
fdatasync.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from edged.bench.meter import quantile
from edged.clock import perf_s
from edged.core.model.commands import Desired, Lamp, Note
from edged.core.model.events import KeyPressed
from edged.core.model.point import point_of
from edged.observer import Step
from edged.store.journal import Journal

PAGE_BYTES = 4096


def commit_figures(directory: Path, count: int) -> dict[str, Any]:
    """Commit ``count`` steps one by one with the journal's writer. Then append as many pages to a plain file, each with
    fdatasync. Returns ms: ``p50`` and ``p99`` of the commits, ``limit_p50`` and ``limit_p99`` of the appends.
    """
    seconds = asyncio.run(_commits(directory / "disk.db", count))
    bare = sync_seconds(directory / "disk.bin", count)
    return {
        "p50": quantile(seconds, 0.5, 1e3, 3),
        "p99": quantile(seconds, 0.99, 1e3, 3),
        "limit_p50": quantile(bare, 0.5, 1e3, 3),
        "limit_p99": quantile(bare, 0.99, 1e3, 3),
    }


async def _commits(path: Path, count: int) -> list[float]:
    journal = Journal.open(path)
    seconds = []
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(journal.run())
        try:
            for seq in range(1, count + 1):
                start_s = perf_s()
                journal.append(_step(seq))
                await journal.drain()
                seconds.append(perf_s() - start_s)
        finally:
            journal.close()
    return seconds


def _step(seq: int) -> Step:
    lamp = Lamp("on" if seq % 2 else "off")
    note = Note("window.unpaused", "m1", {})
    return Step(
        seq,
        seq * 100,
        KeyPressed(point_of("panel-m1"), "unpause", None, seq),
        (Desired(point_of("lamp-m1"), lamp),),
        (note,),
    )


def sync_seconds(path: Path, count: int) -> list[float]:
    """Append ``count`` pages (4 KiB) to a file, each with fdatasync; returns the seconds that each took."""
    seconds, page = [], os.urandom(PAGE_BYTES)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for _ in range(count):
            start_s = perf_s()
            os.write(descriptor, page)
            os.fdatasync(descriptor)
            seconds.append(perf_s() - start_s)
    finally:
        os.close(descriptor)
    return seconds
