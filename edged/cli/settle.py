"""``edged settle``: writes a state dump of a stopped hall into its journal before an upgrade. Only the version that
wrote the last steps can do so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edged.cli.target import fail


def settle(
    journal: Annotated[Path, typer.Argument(help="The journal of a hall ([store] path).", metavar="JOURNAL")],
    since: Annotated[
        Path | None,
        typer.Option(
            help="Change nothing; list the ticket numbers issued since this older copy of the journal."
        ),
    ] = None,
) -> None:
    """Dump the state of a stopped hall with the version that ran it. The next version starts from this dump. Otherwise
    it would have to repeat the last steps, and might decide differently.

    The install program does this before it switches versions. A daemon that was stopped cleanly has done it already.

    \b
    Exit codes: 0 done, 1 no journal or another version's, 74 the disk, 75 the daemon runs, 78 a newer journal.
    Example:    systemctl stop edged && runuser -u edged -- edged settle /var/lib/edged/hall.db
    """
    from edged.store.database import StoreError
    from edged.store.notes import Unreadable
    from edged.store.settle import issued_since
    from edged.store.settle import settle as run

    if not journal.is_file():
        raise fail(f"{journal}: no such journal", 1)
    if since is not None:
        try:
            typer.echo(" ".join(issued_since(journal, since)))
        except Unreadable as error:
            raise fail(str(error), 1) from None
        return
    try:
        done = run(journal)
    except StoreError as error:
        raise fail(str(error), error.exit_code) from None
    if not done.ours:
        raise fail(f"{journal}: another version decided its last {done.steps} steps; nothing was changed", 1)
    typer.echo(f"{journal}: {done.steps} steps are in a state dump now")
