"""``edged reload``: makes the running daemon read hall.toml again and waits for the result. ``systemctl reload edged``
runs it (the unit's ``ExecReload=``).
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edged.cli.target import fail

if TYPE_CHECKING:
    from edged.config.verdicts import FileVerdict

WAIT_S = 20.0  # the daemon reads the file in milliseconds; a busy disk may take seconds
CHECK_S = 0.05


def reload(
    config: Annotated[Path, typer.Option("--config", "-c", help="The hall: hall.toml.")] = Path(
        "/etc/edged/hall.toml"
    ),
) -> None:
    """Make the running daemon apply the present hall.toml. If it has mistakes, nothing changes and all are printed.

    \b
    Exit codes: 0 applied, 1 not applied (or no daemon runs with this file, or it did not answer).
    Example:    edged reload --config /etc/edged/hall.toml
    """
    from edged.config import verdicts

    journal = _journal(config)
    before = None if journal is None else verdicts.read(journal)
    if journal is None or before is None or not before.is_running:
        raise fail(_nobody(config))
    try:
        os.kill(before.pid, signal.SIGHUP)
    except PermissionError:
        raise fail("the daemon belongs to another user: ask as root or as that user") from None
    except ProcessLookupError:
        raise fail(f"no daemon serves {config} on this machine") from None
    verdict = _wait(journal, before)
    if verdict is None:
        raise fail(f"the daemon did not answer within {WAIT_S:g} s; its log says why")
    for line in verdict.lines:
        typer.echo(line, err=True)
    typer.echo(_VERDICT_TEXTS.get(verdict.state, verdict.state), err=verdict.state != "taken")
    raise typer.Exit(0 if verdict.state == "taken" else 1)


_VERDICT_TEXTS = {
    "taken": "taken 已生效",
    "waits": "not taken yet: it is as soon as those visits are over 待相关办理结束后自动生效",
    "refused": "not taken: the hall goes on with what it had 未生效，大厅沿用原配置",
}


def _journal(config: Path) -> Path | None:
    """The path of the journal of the daemon that runs with ``config``; None if it is not known. It is taken from the
    last accepted version of the file if there is one, because the present file may have mistakes.
    """
    from edged.config import ConfigErrors, accepted, load

    kept = accepted.last(config)
    if kept is not None:
        return Path(kept.store.path)
    with suppress(ConfigErrors):
        return Path(load(config).store.path)
    return None


def _nobody(config: Path) -> str:
    """The message that no daemon was found for ``config``. It includes the mistakes in the file: a wrong journal path
    there may be why none was found.
    """
    from edged.config import ConfigErrors, load

    message = f"no daemon serves {config} on this machine"
    try:
        load(config)
    except ConfigErrors as errors:
        return "\n".join([message, *errors.lines])
    return message


def _wait(journal: Path, before: FileVerdict) -> FileVerdict | None:
    from edged.clock import monotonic_s
    from edged.config import verdicts

    until_s = monotonic_s() + WAIT_S
    while monotonic_s() < until_s:
        now = verdicts.read(journal)
        if now is not None and now.pid == before.pid and now.count > before.count:
            return now
        threading.Event().wait(CHECK_S)
    return None
