"""`edged run` without importing the framework of the command line, so that a crashed daemon serves again sooner.
Arguments other than those of ``OPTIONS`` are left to the command line.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

BUG = 70  # EX_SOFTWARE of sysexits.h
OPTIONS = {"--config": "config", "-c": "config", "--log-level": "log_level", "--warp": "warp"}


def plain(arguments: Sequence[str]) -> dict[str, str] | None:
    """The values of ``edged run``'s options by parameter name; None if the command line has to handle ``arguments``."""
    found: dict[str, str] = {}
    waiting = list(arguments)
    while waiting:
        name, joined, value = waiting.pop(0).partition("=")
        if name not in OPTIONS or (not joined and not waiting):
            return None
        found[OPTIONS[name]] = value if joined else waiting.pop(0)
    return found if "config" in found else None


def serve(config: Path, log_level: str = "INFO", warp: str | None = None) -> int:
    """Serve a hall until stopped; returns the process's exit code (README lists them)."""
    try:
        return _serve(config, log_level, warp)
    finally:
        from edged import logs

        logs.drain()


def _serve(config: Path, log_level: str, warp: str | None) -> int:
    """``serve`` without flushing the log in the end."""
    gc.disable()  # until the start is over: it would scan a hundred thousand permanent objects again and again
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looked for in every installed package
    _skip_rich()
    import asyncio

    from edged import logs
    from edged.clock import Clock, Warp, rfc3339
    from edged.config import ConfigErrors, accepted
    from edged.daemon.app import serve as serve_hall
    from edged.store.database import StoreError

    logs.configure(log_level)
    try:
        beginning = accepted.begin(config)
    except ConfigErrors as errors:
        for line in errors.lines:
            _print_line(line)
        return 2
    code = 0
    for line in beginning.mistakes:
        _print_line(line)
    try:
        hall_time = None if warp is None else Warp.parse(warp)
        zone, hall_clock = beginning.config.timezone, Clock(0, hall_time)
        logs.stamp_with(lambda: rfc3339(hall_clock.wall_ms(), zone))
        asyncio.run(serve_hall(beginning.config, hall_time, beginning.mistakes))
    except* StoreError as group:
        failure = next(error for error in group.exceptions if isinstance(error, StoreError))
        _print_line(f"edged: {failure}")
        code = failure.exit_code
    except* ConfigErrors as group:
        for mistake in group.exceptions:
            _print_line(str(mistake))
        code = code or 2
    except* Exception:  # noqa: BLE001 - a bug: print the traceback, and exit with a code for systemd
        _print_line(traceback.format_exc())
        code = code or BUG
    return code


def _print_line(line: str) -> None:
    from edged import logs

    logs.say(f"{line}\n")


def _skip_rich() -> None:
    """Keep structlog from importing rich and greenlet if they are installed, which would cost 6 MiB and a tenth of the
    start's time.
    """
    if "structlog" in sys.modules:
        return
    spared = [name for name in ("rich", "greenlet") if name not in sys.modules]
    for name in spared:
        sys.modules[name] = None  # type: ignore[assignment] # the import system's own way to say "not there"
    try:
        import structlog  # noqa: F401
    finally:
        for name in spared:
            del sys.modules[name]
