"""``edged web`` as a process: its configuration, its log, its exit code."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path

from edged import logs
from edged.clock import Warp
from edged.config import ConfigErrors, accepted
from edged.pages import server

USAGE = 2


def serve(config: Path, log_level: str = "INFO", warp: str | None = None, child: bool = False) -> int:
    """Serve the pages of a hall until stopped; the exit code. ``child``: end when standard input does."""
    logs.configure(log_level)
    if child:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        found, mistakes = accepted.begin(config)
        for line in mistakes:
            logs.say(f"{line}\n")
        asyncio.run(server.serve(found, None if warp is None else Warp.parse(warp), _announce))
    except ConfigErrors as errors:
        for line in errors.lines:
            logs.say(f"{line}\n")
        return USAGE
    except OSError as error:
        logs.say(
            f"edged web: the address cannot be had: {error.strerror or error}; see [pages] host and port\n"
        )
        return USAGE
    finally:
        logs.drain()
    return 0


def _end_with_parent() -> None:
    """Whoever started us may go by SIGKILL: then the pipe ends."""
    os.read(0, 1)  # not sys.stdin: its lock would be held when the interpreter ends
    os._exit(0)


def _announce(address: str) -> None:
    sys.stdout.write(f"edged web: {address}\n")
    sys.stdout.flush()
