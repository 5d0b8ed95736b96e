"""Helpers for commands that read a journal while the hall runs: they lower the process's priority and show a progress
bar.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

ReportProgress = Callable[[int, int], None]


def silent(_done: int, _total: int) -> None:
    """A progress callback that shows nothing."""


def give_way() -> None:
    """Give this process the lowest priority for processor time and disk reads; where that is not permitted, it keeps
    its own.

    Linux derives the I/O class of a process from its scheduling class unless one was set (ioprio_set(2)): SCHED_IDLE
    becomes the idle class.
    """
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


@contextmanager
def progress(what: str, quiet: bool = False) -> Iterator[ReportProgress]:
    """Show a progress bar on stderr, if that is a terminal; yields the function to call with (done, total)."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield silent
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
