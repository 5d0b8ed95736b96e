"""Reads a journal while the hall runs: with progress from the first second, and at the lowest priority."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Told = Callable[[int, int], None]


def silent(_done: int, _total: int) -> None:
    """Report progress to nobody."""


def give_way() -> None:
    """Lower the priority of this process's processor time and disk reads below that of all others.

    The kernel takes the class of a process's input and output from that of its processor time where none was set
    (ioprio_set(2)): SCHED_IDLE becomes the idle class. What may not be changed stays.
    """
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


@contextmanager
def progress(what: str, quiet: bool = False) -> Iterator[Told]:
    """A progress bar on stderr, if that is a terminal; call ``told(done, total)``."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield silent
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
