"""``edged replay``: feed a journal through the engine again and compare. Reads only; works beside a running hall."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edged.store.replay import ReplayResult


def replay(
    journal: Annotated[Path, typer.Argument(help="The journal of a hall ([store] path).", metavar="JOURNAL")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the first difference only.")] = False,
) -> None:
    """Replay a journal: the same events must give the same commands and the same state.

    The journal is only read, also while the hall runs. The first difference is printed with its step.

    \b
    Exit codes: 0 identical, 1 different, 2 the journal cannot be read.
    Example:    edged replay /var/lib/edged/hall.db
    """
    from edged.clock import perf_s
    from edged.store.replay import Unreadable

    start_s = perf_s()
    try:
        result = _with_bar(journal, quiet)
    except Unreadable as error:
        typer.echo(f"edged replay: {error}", err=True)
        raise typer.Exit(2) from None
    if result.first_difference is not None:
        typer.echo(f"different: {result.first_difference}")
        raise typer.Exit(1)
    if not quiet:
        start = (
            "the beginning" if result.first_seq == 1 else f"step {result.first_seq} (earlier ones are pruned)"
        )
        typer.echo(
            f"identical: {result.steps} steps from {start}, {result.ticks} ticks, {result.states} state hashes, "
            f"in {perf_s() - start_s:.2f} s; state {result.state_sha256[:16]}"
        )


def _with_bar(journal: Path, quiet: bool) -> ReplayResult:
    """Replay with a progress bar on stderr where a person looks."""
    from rich.console import Console
    from rich.progress import Progress

    from edged.store.replay import replay as run

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        return run(journal)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("replaying", total=None)
        return run(journal, progress=lambda done, total: bar.update(task, completed=done, total=total))
