"""Starts ``edged web``: loads its configuration, sets up its log, returns its exit code."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from edged import logs
from edged.clock import Warp
from edged.config import ConfigErrors, accepted
from edged.pages import server
from edged.parent import end_with_parent

USAGE = 2


def serve(config: Path, log_level: str = "INFO", warp: str | None = None, child: bool = False) -> int:
    """Serve the pages of a hall until stopped; returns the exit code.

    ``warp``: how hall time runs in a demo (``Warp.parse``), None: as real time does. ``child``: also stop at the end of
    standard input.
    """
    logs.configure(log_level)
    if child:
        end_with_parent(lambda: os._exit(0))
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
            f"edged web: the address cannot be had: {error.strerror or error}; "
            "see host and port, tickets_host and tickets_port in [pages]\n"
        )
        return USAGE
    finally:
        logs.drain()
    return 0


def _announce(address: str) -> None:
    sys.stdout.write(f"edged web: {address}\n")
    sys.stdout.flush()
