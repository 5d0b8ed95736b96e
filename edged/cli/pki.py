"""``edged pki``: makes certificates of a hall or a city, for a technician. Exit code 0 done, 1 one expires soon, 2
usage.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edged.cli.target import fail

if TYPE_CHECKING:
    from edged.site.authority import Authority

DAYS = 825
WARN_DAYS = 30
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

app = typer.Typer(
    help="""Make, renew and revoke certificates of a hall or a city; see what ends soon.

    \b
      edged pki new hall-ca --dir pki                         ca.pem, ca.key (keep it off the broker), crl.pem
      edged pki issue broker --dir pki --host broker.hall.local --host 10.20.0.2
      edged pki issue panel-w1 --dir pki                      a device: its name is its id in hall.toml
      edged pki expiring --dir pki                            exit 1 where something ends within 30 days
    """,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
Name = Annotated[str, typer.Argument(help="Common name: a device's or a hall's id, or a host.")]
Folder = Annotated[Path, typer.Option("--dir", help="Folder of the authority.")]
Days = Annotated[int, typer.Option(min=1, max=3650, help="Days for which it is valid.")]


@app.command()
def new(name: Name, directory: Folder = Path("pki")) -> None:
    """Make a certificate authority. Programs that have its ca.pem trust every certificate it signs."""
    from edged.site.authority import Authority, AuthorityError

    try:
        Authority.make(directory, _name(name))
    except AuthorityError as error:
        raise fail(str(error), 2) from None
    typer.echo(f"{directory}/ca.pem to brokers and devices; {directory}/ca.key stays here / 私钥请妥善保管")


@app.command()
def issue(
    name: Name,
    directory: Folder = Path("pki"),
    host: Annotated[
        list[str] | None,
        typer.Option(help="A server (broker) certificate for this host name or address; may be repeated."),
    ] = None,
    days: Days = DAYS,
    renew: Annotated[bool, typer.Option(help="Replace the present certificate.")] = False,
) -> None:
    """Make a certificate and its key. NAME.pem and NAME.key are for a broker (with --host) or a client."""
    from edged.site.authority import AuthorityError

    try:
        file = _authority(directory).issue(_name(name), tuple(host or ()), days, renew)
    except AuthorityError as error:
        raise fail(str(error), 2) from None
    typer.echo(f"{file}, {file.with_suffix('.key')}: good for {days} days / 有效期 {days} 天")


@app.command()
def revoke(
    names: Annotated[list[str] | None, typer.Argument(help="Common names to revoke.")] = None,
    directory: Folder = Path("pki"),
) -> None:
    """Revoke certificates, or renew the revocation list. The list is crl.pem: copy it to the broker and reload the
    broker.
    """
    from edged.site.authority import AuthorityError

    try:
        listed = _authority(directory).revoke(tuple(directory / f"{_name(name)}.pem" for name in names or ()))
    except OSError as error:
        raise fail(f"{error.filename}: {error.strerror}", 2) from None
    except AuthorityError as error:
        raise fail(str(error), 2) from None
    typer.echo(f"{listed}: to the broker, then systemctl reload mosquitto / 请更新到 broker")


@app.command()
def expiring(
    directory: Folder = Path("pki"),
    days: Annotated[int, typer.Option(help="Exit code 1 if one expires within so many days.")] = WARN_DAYS,
) -> None:
    """List when certificates expire, soonest first. The revocation list is among them."""
    found = _authority(directory).expiries()
    for one in found:
        soon = " <- renew / 请续期" if one.days < days else ""
        typer.echo(f"{one.days:6} days  {one.file}  {one.name}{soon}")
    raise typer.Exit(1 if any(one.days < days for one in found) else 0)


def _authority(directory: Path) -> Authority:
    from edged.site.authority import Authority, AuthorityError

    try:
        return Authority(directory)
    except AuthorityError as error:
        raise fail(str(error), 2) from None


def _name(name: str) -> str:
    if not NAME.fullmatch(name) or name in ("ca", "crl"):
        raise fail(f"{name}: not a name for a certificate", 2)
    return name
