"""``edged check``: validates hall.toml files. Every mistake is one line; exit code 2 if there is any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edged.config import HallConfig


def check(
    files: Annotated[list[Path], typer.Argument(help="One or more hall.toml files.", metavar="FILE...")],
    acl: Annotated[
        Path | None,
        typer.Option(
            "--acl", help="The broker's access list, to check that it permits every topic the hall needs."
        ),
    ] = None,
    unit: Annotated[
        list[Path] | None,
        typer.Option(
            "--unit",
            help="The systemd unit and its drop-ins, in order, to check that its sandbox permits what the hall needs.",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print mistakes only.")] = False,
) -> None:
    """Check hall.toml files without starting anything.

    Each mistake is one line on stderr: file:line: key: what is wrong; what is allowed; did you mean …?
    All mistakes of a file are shown at once. Only files are read; no port is opened and nothing is sent. In an
    otherwise correct file, a setting that leaves a part of the hall without function counts as a mistake (a lamp as a
    pager, no dispenser); one that is only unusual is a remark (a device that nobody uses, a name that a board cannot
    show).

    \b
    Exit codes: 0 correct, 2 mistakes.
    Example:    edged check /etc/edged/hall.toml --acl /etc/mosquitto/edged.acl
    """
    from edged.config import ConfigErrors, load

    wrong = False
    for file in files:
        try:
            hall = load(file)
            _check_keys(hall.policy.keys)
            _check_keys(hall.policy.root)
            _check_keys(hall.duty.keys)
            _check_acl_and_unit(hall, acl, unit or [])
        except ConfigErrors as errors:
            wrong = True
            for line in errors.lines:
                typer.echo(line, err=True)
            count = len(errors.lines)
            typer.echo(f"{file}: {count} mistake{'s' if count > 1 else ''}", err=True)
            continue
        for remark in hall.remarks:
            typer.echo(remark.line if remark.grave else f"{remark.line} (a remark)", err=True)
        if any(remark.grave for remark in hall.remarks):
            wrong = True
            typer.echo(f"{file}: a part of this hall would stay dark", err=True)
        elif not quiet:
            typer.echo(_summary(hall))
    if wrong:
        raise typer.Exit(2)


def _check_acl_and_unit(hall: HallConfig, acl: Path | None, unit: list[Path]) -> None:
    """Check the broker's access list and the systemd unit against hall.toml: both must permit what the hall needs.
    Raises ``ConfigErrors`` with one line for each thing forbidden, or if a file cannot be read.
    """
    from edged.config import ConfigErrors, access_list, unit_file
    from edged.config.certificates import broker_name
    from edged.encoding import file_text

    try:
        lines = [] if acl is None else list(access_list.mistakes(hall, file_text(acl), broker_name(hall)))
        lines = [f"{acl}: {line}" for line in lines]
        text = "\n".join(file_text(one) for one in unit)
    except (OSError, ValueError) as error:
        raise ConfigErrors([str(error)]) from None
    if unit:
        lines += [f"{unit[0]}: {line}" for line in unit_file.mistakes(hall, text)]
    if lines:
        raise ConfigErrors(lines)


def _check_keys(file: str | None) -> None:
    """Check the file of public keys ``file``, which [policy] or [duty] names, if it is installed already. Raises
    ``ConfigErrors`` if it cannot be read or a key in it is wrong.
    """
    from edged.central.envelope import KeyFileError, load_keys
    from edged.config import ConfigErrors

    if file is None or not Path(file).exists():
        return
    try:
        load_keys(file)
    except KeyFileError as error:
        raise ConfigErrors([str(error)]) from None


def _summary(hall: HallConfig) -> str:
    site, devices = hall.site, hall.devices
    drivers = sorted({device.driver for device in devices})
    standby = sum("standby" in member.roles for member in site.staff)
    tidal = sum(window.tidal for window in site.windows)
    return (
        f"{hall.file}: OK: {site.name} ({site.hall}): {len(site.areas)} areas, {len(site.services)} services, "
        f"{len(site.windows)} windows ({tidal} tidal), {standby} on the +1 roster, "
        f"{len(devices)} devices ({', '.join(drivers) or 'none'})"
    )
