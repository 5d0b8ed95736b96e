"""``edged web``: what people look at in a browser."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

NEEDS = ("starlette", "uvicorn")


def web(
    config: Annotated[Path, typer.Option("--config", "-c", help="The hall: hall.toml, with [pages].")],
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    warp: Annotated[str | None, typer.Option(hidden=True)] = None,
    child: Annotated[bool, typer.Option("--child", hidden=True, help="End with standard input.")] = False,
) -> None:
    """Serve the hall's pages: / duty view, /board for visitors, /replay of recorded days, /report to print.

    A process of its own beside `edged run`: it reads what the daemon publishes and commands nothing. It listens on
    localhost unless [pages] says otherwise; its first line on stdout is its address.

    \b
    Exit codes: 0 stopped, 2 configuration, address in use, or the extra [web] is missing.
    Example:    edged web --config /etc/edged/hall.toml
    """
    if any(find_spec(name) is None for name in NEEDS):
        typer.echo("edged web: needs starlette and uvicorn: pip install 'edged[web]'", err=True)
        raise typer.Exit(2)
    from edged.pages.start import serve

    raise typer.Exit(serve(config, log_level, warp, child))
