"""A child that does not outlive whoever started it, however that one went.

Its standard input is a pipe that nobody writes to: it ends with the parent.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable


def end_with_parent(end: Callable[[], object]) -> None:
    """Call ``end``, in a thread of its own, when standard input ends."""
    threading.Thread(target=_wait, args=(end,), daemon=True).start()


def _wait(end: Callable[[], object]) -> None:
    os.read(0, 1)  # not sys.stdin: its lock would be held when the interpreter ends
    end()
