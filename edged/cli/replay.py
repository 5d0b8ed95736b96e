"""``edged replay``: feed a journal through the engine again and compare. Reads only; works beside a running hall."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edged.cli.reading import give_way, progress


def replay(
    journal: Annotated[Path, typer.Argument(help="The journal of a hall ([store] path).", metavar="JOURNAL")],
    days: Annotated[int, typer.Option(min=0, help="Only the last N business days; 0 for all.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the first difference only.")] = False,
) -> None:
    """Replay a journal: the same events must give the same commands and the same state.

    The journal is only read, also while the hall runs. A difference is printed with its step. Replay then continues
    from the next state dump, and at the end prints from which step on everything agrees. Differences before that are no
    fault after an upgrade: a new version may decide differently, and so begins with a state dump.

    \b
    Exit codes: 0 identical, 1 different, 2 the journal cannot be read.
    Example:    edged replay /var/lib/edged/hall.db --days 1
    """
    from edged.clock import perf_s
    from edged.store.notes import Unreadable
    from edged.store.replay import replay as run

    start_s = perf_s()
    give_way()
    try:
        with progress("replaying", quiet) as bar:
            result = run(journal, progress=bar, days=days, onward=not quiet)
    except Unreadable as error:
        typer.echo(f"edged replay: {error}", err=True)
        raise typer.Exit(2) from None
    if result.first_difference is not None:
        for difference in result.differences or (result.first_difference,):
            typer.echo(f"different: {difference}")
        if result.agrees_since is not None:
            typer.echo(
                f"identical again: every step since {result.agrees_since}, where a state dump stands;"
                " what differs before it was decided by another version, or the journal was changed"
            )
        elif not quiet:
            typer.echo("no state dump follows from which replay could go on")
        raise typer.Exit(1)
    if not quiet:
        pruned = "" if days else " (earlier ones are pruned)"
        start = "the beginning" if result.first_seq == 1 else f"step {result.first_seq}{pruned}"
        typer.echo(
            f"identical: {result.steps} steps from {start}, {result.ticks} ticks, {result.states} state hashes, "
            f"in {perf_s() - start_s:.2f} s; state {result.state_sha256[:16]}"
        )
