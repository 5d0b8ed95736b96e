"""``edged rehearse``: the process that rehearses policies for the daemon; edged-rehearse.service calls it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edged.cli.reading import give_way


def rehearse(
    socket: Annotated[
        Path | None, typer.Option(help="Without systemd: listen here, and stay ([policy] rehearse_socket).")
    ] = None,
) -> None:
    """Rehearse a policy for the daemon: answer one question on the socket passed by systemd, then end.

    The daemon asks before it applies a pushed policy. To rehearse one by hand: edged policy rehearse.

    \b
    Exit codes: 0 answered, or no question came; 2 no socket
    """
    from edged.backtest.rehearser import handed_over, listening, serve_one

    give_way()
    try:
        door = handed_over() if socket is None else listening(socket)
    except OSError as error:
        typer.echo(f"edged rehearse: {socket}: {error.strerror}", err=True)
        raise typer.Exit(2) from None
    if door is None:
        typer.echo(
            "edged rehearse: systemd hands over no socket; give --socket, or see edged policy rehearse",
            err=True,
        )
        raise typer.Exit(2)
    with door:
        if socket is None:
            serve_one(door)
            return
        while True:
            serve_one(door, None)
