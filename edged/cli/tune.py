"""``edged tune``: fits the waiting policy to a hall's own days, and reports how much of the gain is noise."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from edged.cli.reading import give_way, progress

if TYPE_CHECKING:
    from edged.backtest.fit import Fit
    from edged.backtest.traces import Traces


def tune(
    journal: Annotated[list[Path] | None, typer.Option(help="Journal of a hall; may be repeated.")] = None,
    trace: Annotated[Path | None, typer.Option(help="Or a trace with train and test days.")] = None,
    last: Annotated[int, typer.Option("--days", min=0, help="Only a journal's last N days; 0: all.")] = 0,
    setup: Annotated[
        float, typer.Option(min=0, max=60, help='Minutes from a page until the "+1" window is staffed.')
    ] = 2,
    sets: Annotated[str, typer.Option(help="Only these areas or sets: names with commas.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one object on stdout.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the policy body here, to be signed.")] = None,
) -> None:
    """Fit the waiting policy (open wait, close wait, least open time) to a hall's own days; learn its usual arrivals.

    Settings are chosen on the earlier 60 % of a journal's days and judged on the later 40 % (on the train and test days
    of a trace). A setting is written to --out only if the 95 % interval of its gain on the later days lies above zero.
    The usual arrivals are written only if the loop does better on the later days with them than without.

    \b
    Exit codes: 0 done, 2 too few days, wrong usage or journal.
    Example:    edged tune --journal /var/lib/edged/hall.db --out body.json
    """
    from edged.backtest.fit import body

    give_way()
    traces = _traces(journal or [], trace, last)
    wanted = [name for name in sets.split(",") if name] or list(traces.halls)
    fits = []
    for name in wanted:
        parts = [day.part for day in traces.days if day.hall == name]
        if parts.count("train") < 2 or parts.count("test") < 1:
            print(f"edged tune: {name}: {len(parts)} days are too few to split", file=sys.stderr)
            continue
        fits.append(_fit_with_bar(traces, name, round(setup * 60_000)))
    if not fits:
        _fail("nothing to fit; a hall needs at least 3 days")
    if as_json:
        print(json.dumps([_figures(one) for one in fits], ensure_ascii=False, indent=1))
    else:
        for one in fits:
            print(_words(one))
    if out is not None:
        out.write_text(json.dumps(body(fits), ensure_ascii=False, indent=1) + "\n", "utf-8")


def _traces(journals: list[Path], trace: Path | None, days: int) -> Traces:
    from edged.backtest.journals import read_journals
    from edged.backtest.traces import BadTrace, read

    if (trace is None) == (not journals):
        _fail("give --journal or --trace, one of them")
    try:
        if trace is not None:
            return read(trace)
        with progress("reading") as bar:
            return read_journals(journals, True, days, bar)
    except BadTrace as error:
        _fail(str(error))


def _fit_with_bar(traces: Traces, name: str, setup_ms: int) -> Fit:
    from rich.console import Console
    from rich.progress import Progress

    from edged.backtest.fit import fit
    from edged.backtest.measures import Prices

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        return fit(
            traces,
            name,
            setup_ms,
            Prices(),
            lambda done, total: bar.update(task, completed=done, total=total),
        )


def _figures(one: Fit) -> dict[str, str | int | float | bool]:
    return {
        "set": one.hall.name,
        "open_wait_s": one.open_wait_s,
        "close_wait_s": one.close_wait_s,
        "min_open_s": one.min_open_s,
        "settings": one.settings,
        "like_the_best": one.like_the_best,
        "train_days": one.train_days,
        "train_gain_per_day": one.train_gain,
        "test_days": one.test_days,
        "test_gain_per_day": one.test_gain,
        "test_half_width_95": min(one.test_half_width, 1e9),
        "shipped_cost_per_day": one.shipped_cost,
        "proven": one.proven,
        "profile_gain_per_day": one.profile_gain,
        "keeps_profile": one.keeps_profile,
        "verdict": one.verdict,
    }


def _words(one: Fit) -> str:
    return (
        f"{one.hall.name}: open at {one.open_wait_s} s, "
        f"close at {one.close_wait_s} s, open for {one.min_open_s} s or more\n"
        f"  train ({one.train_days} days): {one.train_gain:.1f} J/day better than shipped; {one.like_the_best} of "
        f"{one.settings} settings cannot be told from it\n"
        f"  test ({one.test_days} days): {one.test_gain:+.1f} ± {one.test_half_width:.1f} of "
        f"{one.shipped_cost:.0f} J/day; so about {max(0.0, one.train_gain - one.test_gain):.1f} of the gain in "
        f"training was noise\n"
        f"  usual arrivals: {one.profile_gain:+.1f} J/day on unseen days, "
        f"{'kept' if one.keeps_profile else 'left out: expecting a steady stream is no worse'}\n"
        f"  {one.verdict}"
    )


def _fail(text: str) -> NoReturn:
    print(f"edged tune: {text}", file=sys.stderr)
    raise typer.Exit(2)
