"""``edged bench``: measures the daemon on this machine, with its disk, its broker and its serial and network lines."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from edged.bench.plug import Address

DAY_HELP = "Of --fleet: unsent events of each hall that comes back late."


def bench(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="hall.toml: use its broker and the disk of its journal."),
    ] = None,
    embedded: Annotated[
        bool,
        typer.Option(
            "--embedded", help="Start a broker for the bench: mosquitto with its defaults, or the demo's."
        ),
    ] = False,
    only: Annotated[str, typer.Option(help="Only these sections, with commas; see below.")] = "",
    quick: Annotated[
        bool, typer.Option("--quick", help="About two minutes: fewer samples, no long runs.")
    ] = False,
    days: Annotated[int, typer.Option(min=0, max=3650, help="Days in the old journal; 0: 90, quick 2.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object on stdout.")] = False,
    echo: Annotated[
        Path | None,
        typer.Option(help="A further echo program to compare with: tests/bench/echo.c, compiled."),
    ] = None,
    directory: Annotated[Path | None, typer.Option("--dir", help="Write journals below this folder.")] = None,
    fleet: Annotated[
        bool, typer.Option("--fleet", help="Instead: a whole city, whose parts are killed while people come.")
    ] = False,
    halls: Annotated[int, typer.Option(min=4, max=1000, help="Of --fleet: halls without a daemon.")] = 190,
    daemons: Annotated[int, typer.Option(min=0, max=50, help="Of --fleet: halls with a daemon.")] = 10,
    day: Annotated[int, typer.Option(min=0, max=50_000, help=DAY_HELP)] = 13_000,
) -> None:
    """Measure this machine: the time from a device's byte to the lit lamp, compared with plain echo programs.

    The whole daemon runs as a child process (validation, journal on this disk, metrics); plain echo programs use the
    same broker and ports in the same run, so that the daemon is measured as a multiple of them. Nothing leaves the
    hall; topics are hall/bench-…/#. A busy machine gives worse figures: stop the hall's daemon first.

    \b
    Sections:   mqtt, tcp, rtu, serial, wire, decisions, disk, start, outage, quiet, cost, load, pages, age, day
    Exit codes: 0 within the limits, 1 a limit is broken, 2 wrong usage
    Examples:   edged bench --embedded --quick
                edged bench --fleet --halls 190 --daemons 10
    """
    if fleet:
        from edged.cli.bench_fleet import bench_fleet

        bench_fleet(halls, daemons, day, quick, as_json)
    from edged.bench.children import Failed
    from edged.bench.plans import FULL, QUICK
    from edged.bench.plug import BrokerGone
    from edged.bench.run import NAMES, prepared, run

    wanted = [name for name in only.split(",") if name] or list(NAMES)
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        _fail(f"there is no section {unknown[0]!r}; there are {', '.join(NAMES)}")
    broker = _broker(config, embedded)
    parent = directory or (None if config is None else _journal_folder(config))
    try:
        with (
            tempfile.TemporaryDirectory(prefix="edged-bench-", dir=parent) as scratch,
            _bar() as bar,
            prepared(Path(scratch), broker, None if echo is None else echo.absolute()) as (place, machine),
        ):
            plan = QUICK if quick else FULL
            plan = replace(plan, age=replace(plan.age, days=days)) if days else plan
            found = machine | run(place, plan, wanted, bar)
    except (Failed, BrokerGone, OSError) as error:
        _fail(str(error), 1)
    _print_figures(found, as_json)


def _print_figures(found: dict[str, Any], as_json: bool) -> NoReturn:
    """Print figures and verdicts, then exit: 0 within all limits, 1 otherwise."""
    from rich.console import Console

    from edged.bench.limits import verdicts
    from edged.bench.table import report

    judged = verdicts(found)
    if as_json:
        print(
            json.dumps(found | {"verdicts": [one.to_json() for one in judged]}, ensure_ascii=False, indent=1)
        )
    else:
        console = Console() if sys.stdout.isatty() else Console(width=190)
        console.print(report(found, judged))
    raise typer.Exit(0 if all(one.kept for one in judged) else 1)


def _broker(config: Path | None, embedded: bool) -> Address | None:
    """The broker of the hall.toml ``config``; None if ``embedded``: the bench then starts a broker of its own."""
    if embedded:
        return None
    if config is None:
        _fail("say which broker: --config hall.toml, or --embedded")
    from edged.bench.plug import Address
    from edged.config import ConfigErrors, load
    from edged.config.broker import link_settings, password

    try:
        hall = load(config)
        settings, secret = link_settings(hall), password(hall)
    except ConfigErrors as errors:
        _fail("; ".join(errors.lines))
    tls = (settings.tls_ca, settings.tls_cert, settings.tls_key)
    who = (settings.username, secret)
    return Address(settings.host, settings.port, *who, settings.protocol, *tls)


def _journal_folder(config: Path) -> Path:
    from edged.config import load

    return Path(load(config).store.path).parent


@contextmanager
def _bar() -> Iterator[Callable[[str, str], None]]:
    """Show progress on stderr, if that is a terminal; yields a function to call with (section, what runs now)."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda _section, what: bar.update(task, description=what)


def _fail(text: str, code: int = 2) -> NoReturn:
    print(f"edged bench: {text}", file=sys.stderr)
    raise typer.Exit(code)
