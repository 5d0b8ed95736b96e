"""Ends the programs of a simulated city when the process that started them has ended, however it ended.

It is a child process. Lines ``+PID SIGNAL`` and ``-PID`` on standard input register and unregister programs; at the end
of standard input the registered ones get their signal, then SIGKILL, and the folder given as argument is deleted.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

END_S = 5.0  # for a program to end by its own signal
CHECK_S = 0.05


def main() -> None:
    """Entry point of the child process."""
    folder, running = Path(sys.argv[1]), dict[int, int]()
    for line in sys.stdin:
        if line.startswith("+"):
            pid, number = line[1:].split()
            running[int(pid)] = int(number)
        else:
            running.pop(int(line[1:]), None)
    for pid, number in running.items():
        _send(pid, number)
    for _ in range(int(END_S / CHECK_S)):
        if not any(_runs(pid) for pid in running):
            break
        threading.Event().wait(CHECK_S)
    for pid in running:
        if _runs(pid):
            _send(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _runs(pid: int) -> bool:
    """Whether process ``pid`` runs. A zombie does not count: its parent, who would have reaped it, is gone."""
    try:
        state = (
            Path(f"/proc/{pid}/stat")
            .read_text(encoding="ascii", errors="replace")
            .rsplit(")", 1)[1]
            .split()[0]
        )
    except (OSError, IndexError):
        if Path("/proc/self").exists():
            return False
        with suppress(OSError):
            os.kill(pid, 0)
            return True
        return False
    return state != "Z"


if __name__ == "__main__":
    main()
