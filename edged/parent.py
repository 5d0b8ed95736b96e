"""Ends a child process when its parent is gone, however the parent ended.

The child's standard input is a pipe from the parent to which nobody writes: it closes when the parent ends.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable


def end_with_parent(end: Callable[[], object]) -> None:
    """Start a thread that calls ``end`` when standard input (a pipe from the parent process) closes, that is, when the
    parent has ended.
    """
    threading.Thread(target=_wait, args=(end,), daemon=True).start()


def _wait(end: Callable[[], object]) -> None:
    os.read(0, 1)  # not sys.stdin: its lock would be held when the interpreter ends
    end()
