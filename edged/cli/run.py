"""``edged run``: serve one hall until told to stop."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated

import typer


def run(
    config: Annotated[Path, typer.Option("--config", "-c", help="The hall: hall.toml.")],
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    warp: Annotated[str | None, typer.Option(hidden=True)] = None,
    child: Annotated[bool, typer.Option("--child", hidden=True, help="Stop with standard input.")] = False,
) -> None:
    """Serve a hall: hear its devices, keep its queue, run the tidal loop.

    Stops cleanly on SIGTERM and Ctrl-C: the state is kept, lamps and displays stay as they are. SIGHUP reads hall.toml
    again.
    Exit codes: 0 stopped, 2 configuration, 70 bug, 74 disk, 75 already running, 78 journal of a newer version.
    """
    from edged.daemon.start import serve

    if child:  # of a demo, which may go by SIGKILL
        from edged.parent import end_with_parent

        end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    raise typer.Exit(serve(config, log_level, warp))
