"""``edged run``: serve one hall until told to stop."""

from __future__ import annotations

import asyncio
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

BUG = 70  # EX_SOFTWARE of sysexits.h


def run(
    config: Annotated[Path, typer.Option("--config", "-c", help="The hall: hall.toml.")],
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    warp: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve a hall: hear its devices, keep its queue, run the tidal loop.

    Stops cleanly on SIGTERM and Ctrl-C (state kept, outputs left standing). SIGHUP reads hall.toml again.
    Exit codes: 0 stopped, 2 configuration, 70 bug, 74 disk, 75 already running, 78 journal of a newer version.
    """
    _spare_rich()
    from edged import logs
    from edged.app import serve
    from edged.clock import Warp
    from edged.config import ConfigErrors, load
    from edged.store.database import StoreError

    logs.configure(log_level)
    try:
        hall = load(config)
    except ConfigErrors as errors:
        for line in errors.lines:
            print(line, file=sys.stderr)
        raise typer.Exit(2) from None
    code = 0
    try:
        asyncio.run(serve(hall, None if warp is None else Warp.parse(warp)))
    except* StoreError as group:
        failure = next(error for error in group.exceptions if isinstance(error, StoreError))
        print(f"edged: {failure}", file=sys.stderr)
        code = failure.exit_code
    except* ConfigErrors as group:
        for mistake in group.exceptions:
            print(mistake, file=sys.stderr)
        code = code or 2
    except* Exception:  # noqa: BLE001 - a bug: its traceback for whoever mends it, a code for whoever restarts us
        traceback.print_exc()
        code = code or BUG
    if code:
        raise typer.Exit(code)


def _spare_rich() -> None:
    """structlog takes rich for tracebacks wherever it is installed: 5 MiB and a tenth of the start of a daemon."""
    if "structlog" not in sys.modules and "rich" not in sys.modules:
        sys.modules["rich"] = None  # type: ignore[assignment] # the import system's own way to say "not there"
        try:
            import structlog  # noqa: F401
        finally:
            del sys.modules["rich"]
