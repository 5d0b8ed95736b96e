"""``edged backup`` and ``edged restore``: continue a hall on another machine after the mini-PC has died."""

from __future__ import annotations

import fcntl
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from edged.cli.target import fail
from edged.clock import wall_ms

CONFIG = Path("/etc/edged/hall.toml")


def backup(
    out: Annotated[Path, typer.Argument(help="The file to write (….tar.gz), or a folder.")],
    config: Annotated[Path, typer.Option("--config", "-c", help="The hall: hall.toml.")] = CONFIG,
    whole: Annotated[
        bool, typer.Option("--whole", help="The whole history, not only what is needed to continue.")
    ] = False,
    secrets: Annotated[bool, typer.Option("--with-secrets", help="Include passwords and keys.")] = False,
    keep: Annotated[
        int | None, typer.Option(min=1, help="With a folder: keep this many backups, delete older ones.")
    ] = None,
) -> None:
    """Back up a hall while it is served: journal, hall.toml and trusted keys in one file.

    A backup of what is needed to continue has a few megabytes and takes a second. Store it on a second machine: the
    timer edged-backup.timer does so every five minutes (systemd/README.md).

    \b
    Examples:   edged backup /mnt/box --keep 288
                edged backup hall.tar.gz --config hall.toml --whole
    Exit codes: 0 written, 1 it could not be made, 2 the hall.toml is wrong.
    """
    from edged.config import ConfigErrors, load
    from edged.site import hall_backup
    from edged.store.backup import BackupError

    try:
        hall = load(config)
    except ConfigErrors as errors:
        raise fail("\n".join(errors.lines), 2) from None
    if out.is_dir():
        stamp = datetime.fromtimestamp(wall_ms() / 1000).strftime("%Y%m%d-%H%M%S")
        out = out / f"edged-{hall.hall}-{stamp}.tar.gz"
    elif keep is not None:
        raise fail(f"{out} is no folder; --keep is for one", 2)
    try:
        copied = hall_backup.backup(hall, out, whole, secrets)
    except BackupError as error:
        raise fail(str(error), 1) from None
    gone = hall_backup.forget_old(out, keep) if keep is not None else []
    size_mb = out.stat().st_size / 1e6
    more = f", {len(gone)} old ones deleted" if gone else ""
    typer.echo(f"{out}: step {copied.seq} of epoch {copied.epoch}, {size_mb:.1f} MB{more}")


def restore(
    file: Annotated[Path, typer.Argument(help="A file of `edged backup`.")],
    config: Annotated[
        Path, typer.Option("--config", "-c", help="Path of hall.toml; written if it does not exist.")
    ] = CONFIG,
    journal: Annotated[Path, typer.Option(help="Path for the journal ([store] path).")] = Path(
        "/var/lib/edged/hall.db"
    ),
    last: Annotated[
        list[str] | None, typer.Option(help="The last number seen on paper today (A057); one per service.")
    ] = None,
) -> None:
    """Restore a backup, on this machine or another; the daemon must not run.

    Queue, windows and cases are restored as of the backup. Numbers issued since then are not in it, but visitors may
    hold them. So numbering continues right after --last, or else skips as many numbers as the hall can have issued
    meanwhile. The epoch (a number in each event) grows, so that the centre does not mix up new events with lost ones;
    an alarm says that a backup was restored. An existing journal is moved aside (….before-restore), an existing
    hall.toml is left alone.

    \b
    Example:    systemctl stop edged && edged restore /mnt/box/edged-east-20261130-0900.tar.gz && systemctl start edged
    Exit codes: 0 restored, 1 not restored (the reason is printed), 75 the daemon runs.
    """
    from edged.site import hall_backup
    from edged.store.backup import BackupError

    lock = journal.with_name(journal.name + ".lock")
    if lock.exists():
        with lock.open("ab") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise fail("the daemon runs: systemctl stop edged", 75) from None
    try:
        done = hall_backup.restore(file, config, journal, last or _prompt_last_numbers())
    except BackupError as error:
        raise fail(str(error), 1) from None
    typer.echo(f"{journal}: as it was at {done.taken}, epoch {done.epoch}; numbers will skip ahead")
    if done.unsure:
        typer.echo(
            f"the backup is old: of {', '.join(done.unsure)} more numbers may be on paper than can be skipped;"
            " look for the last one and restore again with --last NUMBER",
            err=True,
        )
    if done.hall is not None:
        typer.echo(f"{done.hall}: written; check it and its secrets: edged check {done.hall}")


def _prompt_last_numbers() -> list[str]:
    """Prompt for the last ticket numbers seen on paper; [] unless standard input is a terminal."""
    if not sys.stdin.isatty():
        return []
    answer: str = typer.prompt(
        "Last numbers seen on paper today, one per service (A057 B012; Enter: not known)",
        "",
        show_default=False,
    )
    return answer.split()
