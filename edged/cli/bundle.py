"""``edged bundle``: the archive from which a hall is installed without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edged.cli.target import fail


def bundle(
    out: Annotated[
        Path, typer.Option(help="The archive to write: ….tar.gz, or ….tar.zst (needs zstd there).")
    ],
    platform: Annotated[str, typer.Option(help="x86_64 or aarch64: the mini-PC of the hall.")] = "x86_64",
    python: Annotated[
        str,
        typer.Option(
            help="Python of the mini-PC: 3.11 on Debian 12, 3.13 on Debian 13; or an interpreter's folder."
        ),
    ] = "3.11",
    key: Annotated[
        Path | None, typer.Option(help="Sign with this private key (`edged policy keygen`).")
    ] = None,
    source: Annotated[Path, typer.Option(help="A checkout of edged.")] = Path(),
    gm: Annotated[bool, typer.Option("--gm", help="With the library for SM2 keys (国密); x86_64.")] = False,
    deb: Annotated[
        bool, typer.Option("--deb", help="Make a Debian package (….deb) for apt instead.")
    ] = False,
) -> None:
    """Make the archive from which a technician installs a hall without a network.

    It holds the program and every library as wheels with their hashes, the units, the install program, a list of
    parts (CycloneDX) and, with --key, a signature. One machine can make the bundles of both platforms; this command
    needs a network and the extra [bundle]. --python DIR includes an interpreter (DIR/bin/python3, DIR/lib) for
    systems whose own is too old. --deb writes a package of one architecture instead, which also installs without a
    network.

    \b
    Example:    edged bundle --out edged-x86_64.tar.gz
                edged bundle --out edged_amd64.deb --deb
    In the hall: tar xf edged-x86_64.tar.gz && cd edged-*/ && sudo ./install
    Exit codes: 0 written, 1 it could not be made.
    """
    from edged.site.bundle import BundleError, BundlePlan, carried_version, make
    from edged.site.package import make_package

    carried = Path(python) if "/" in python else None
    try:
        version = python if carried is None else carried_version(carried)
        plan = BundlePlan(source, platform, version, key, carried, gm)
        wheels = (make_package if deb else make)(plan, out, lambda line: typer.echo(f"{line} …", err=True))
    except BundleError as error:
        raise fail(str(error), 1) from None
    size_mb = out.stat().st_size / 1e6
    typer.echo(f"{out}: {len(wheels)} wheels for {platform}, Python {version}, {size_mb:.1f} MB")
