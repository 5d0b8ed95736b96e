"""``edged simulate``: seeded hall days with faults, on every processor."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import suppress
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.sim.worlds.days import WorldVerdict

SEEDS_MAX = 1_000_000


class Level(StrEnum):
    """Which part of the program is simulated."""

    core = "core"
    daemon = "daemon"


def simulate(
    seeds: Annotated[
        str, typer.Option("--seeds", help="Seeds of the worlds to simulate: 7, or 1..200.", metavar="A..B")
    ] = "1..20",
    level: Annotated[
        Level, typer.Option("--level", help="The core alone, or the whole daemon on simulated wires.")
    ] = Level.core,
    days: Annotated[int, typer.Option("--days", min=1, max=60, help="Hall days per world.")] = 1,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", help="The hall.toml whose hall is simulated; default: the demo's, or a small one."
        ),
    ] = None,
    processes: Annotated[
        int, typer.Option("--processes", min=0, help="Processes to use; 0: one per processor.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Simulate seeded days full of faults; after every step all promises (what must always hold) are checked.

    The seed determines the visitors, the habits of the clerks and the faults of a world: messages that are doubled,
    late or lost, keys that stick, devices that fail, clocks that jump, absences, restarts, random events, other
    policies. While the faults last no promise may break; after they end, everybody must be called and every output be
    right within three hall hours. At the end the same events go through a fresh core and must give the same state.

    --level daemon simulates shorter days with everything a site runs (journal, outputs, drivers, links, central desks)
    in virtual time, against fake devices. Its faults are kill -9, power cuts that tear writes, failing syncs, a full or
    slow disk, a journal that another program locks or that loses its end, a log that nobody reads, a broker that is
    away, frozen or forgetful, noise and breaks on every wire, wrong clocks, false policies. After each, everything
    accepted must still exist, and whatever the disk lost must be detected as lost.

    \b
    Exit code: 0 every promise kept, 1 one was broken (seed, promise and command are printed), 2 wrong usage.
      edged simulate --seeds 1..200
      edged simulate --seeds 4711 --days 3
      edged simulate --level daemon --seeds 1..20
    """
    wanted = _seeds(seeds)
    extra = "" if level is Level.core else f" --level {level}"
    extra += "" if config is None else f" --config {config}"

    def rerun(seed: int) -> str:
        return f"edged simulate --seeds {seed} --days {days}{extra}"

    verdicts = _live(_job(level, config, days), wanted, processes or os.cpu_count() or 1, rerun)
    from edged.sim.worlds.campaign import summary

    found = summary(verdicts, rerun)
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
    else:
        print(
            f"{found['seeds']} worlds, {found['days']} hall days, {found['tickets']} tickets, {found['steps']} steps:"
            f" {len(found['broken'])} broken  (commit {found['commit']}, digest {found['digest']})"
        )
    if len(wanted) == 1 and verdicts[0].broken is not None:
        print(verdicts[0].where, file=sys.stderr)
    raise typer.Exit(1 if found["broken"] else 0)


def _live(
    job: Callable[[int], WorldVerdict], seeds: list[int], processes: int, rerun: Callable[[int], str]
) -> list[WorldVerdict]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from edged.sim.worlds.campaign import run

    console = Console(stderr=True)
    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    verdicts: list[WorldVerdict] = []
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("worlds", total=len(seeds))
        with suppress(BrokenPipeError):
            for one in run(job, seeds, processes):
                verdicts.append(one)
                bar.update(task, advance=1)
                if one.broken is not None:
                    console.print(
                        f"seed {one.seed}: {one.broken}\n  again: {rerun(one.seed)}",
                        markup=False,
                        highlight=False,
                    )
    return verdicts


def _seeds(text: str) -> list[int]:
    match = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", text)
    if match is None:
        _fail(f"--seeds is a number or a range such as 1..200, not {text!r}")
    first, last = int(match[1]), int(match[2] or match[1])
    if not first <= last < first + SEEDS_MAX:
        _fail(f"--seeds {text}: the last must not be before the first, and at most {SEEDS_MAX} at once")
    return list(range(first, last + 1))


def _job(level: Level, config: Path | None, days: int) -> Callable[[int], WorldVerdict]:
    """The function that simulates one seed."""
    import configs
    from edged.config import ConfigErrors, load

    try:
        if level is Level.daemon:
            from edged.sim.daemon.days import HALL, live_daemon

            return partial(live_daemon, load(config or HALL).file, days)
        from edged.sim.worlds.days import live_core

        demo = Path(configs.__path__[0]) / "hall-demo.toml"
        return partial(live_core, load(config or demo).site, days)
    except ConfigErrors as errors:
        for line in errors.lines:
            print(line, file=sys.stderr)
        raise typer.Exit(2) from None


def _fail(text: str) -> NoReturn:
    print(f"edged simulate: {text}", file=sys.stderr)
    raise typer.Exit(2)
