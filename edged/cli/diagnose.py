"""``edged diagnose``: writes one archive for remote support, without names of people, passwords or keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from edged.cli.target import fail


def diagnose(
    out: Annotated[Path, typer.Argument(help="The archive to write (….tar.gz).")],
    config: Annotated[Path, typer.Option("--config", "-c", help="The hall: hall.toml.")] = Path(
        "/etc/edged/hall.toml"
    ),
    log: Annotated[
        Path | None, typer.Option("--log", help="A log file, instead of systemd's journal of the unit.")
    ] = None,
) -> None:
    """Write an archive for remote support: configuration, status, doctor, last log lines, figures of the journal.

    Names of staff are replaced by numbers; passwords, keys, identity and mobile numbers are removed. Look through the
    archive before you pass it on. It can be made even if the daemon or hall.toml is broken: for a part that cannot be
    read it holds the reason.

    \b
    Examples:   edged diagnose /mnt/usb/hall.tar.gz
    Exit codes: 0 written, 1 it could not be written.
    """
    from edged.site import diagnosis

    journal = Path(
        str((diagnosis.raw_config(config).get("store") or {}).get("path") or "/var/lib/edged/hall.db")
    )
    parts: dict[str, diagnosis.Part] = {
        "check.txt": lambda: _check(config),
        "doctor.txt": lambda: _doctor(config),
        "health.json": lambda: _page(config, "/healthz"),
        "metrics.txt": lambda: _page(config, "/metrics"),
        "status.json": lambda: _status(config),
        "journal.json": lambda: diagnosis.journal_statistics(config.parent / journal),
        "unit.txt": diagnosis.unit_state,
        "log.txt": lambda: diagnosis.last_log(log),
    }
    try:
        written = diagnosis.write(out, config, parts)
    except OSError as error:
        raise fail(f"{out}: {error.strerror or error}", 1) from None
    typer.echo(f"{out}: {', '.join(written)}")


def _check(config: Path) -> str:
    from edged.config import ConfigErrors, load

    try:
        return "\n".join(remark.line for remark in load(config).remarks) + "\nno mistake\n"
    except ConfigErrors as errors:
        return "\n".join(errors.lines) + "\n"


def _doctor(config: Path) -> str:
    from edged.cli.credentials import reachable
    from edged.cli.doctor import in_lines, result_of
    from edged.cli.doctor_checks import CHECKS
    from edged.cli.doctor_links import check_links
    from edged.config import load

    hall = reachable(load(config))
    results = {name: result_of(check, hall) for name, check in CHECKS.items()} | check_links(hall)
    return "\n".join(in_lines(results, "both")) + "\n"


def _page(config: Path, path: str) -> str:
    from urllib.request import urlopen

    from edged.config import load

    web = load(config).web
    with urlopen(f"http://{web.host}:{web.port}{path}", timeout=5.0) as answer:
        text: str = answer.read(1 << 22).decode("utf-8", "replace")
    return text


def _status(config: Path) -> str:
    from edged.cli.status import left_at_broker
    from edged.cli.target import from_config

    return json.dumps(left_at_broker(from_config(config)), ensure_ascii=False, indent=1)
