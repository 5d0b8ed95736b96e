"""``edged backtest``: runs days of real or generated visitors through this program's own core and compares policies."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from edged.cli.reading import give_way, progress

if TYPE_CHECKING:
    from edged.backtest.candidates import Candidate
    from edged.backtest.study import Question, StudyResult
    from edged.backtest.traces import TraceHall, Traces

AGAINST = "never,always,naive10,band,clairvoyant"
POOLED = "pw-no-release,band,naive10,never,clairvoyant"
TRACE_HELP = "A folder with sets.json and traces.csv.gz, or one CSV file."
SETUP_HELP = 'Minutes from a page until the "+1" window is staffed.'
PRICES_HELP = "Costs of a minute waited, waited above target, of staff, of an opening; target in minutes."
HALL_HELP = "For one CSV file: how many regular windows, tidal windows, hours open."
URGENT_HELP = "With --together: share of visitors with priority."
PROCESSES_HELP = "Processes to use; 0: one per processor but one."


def backtest(
    trace: Annotated[Path | None, typer.Option(help=TRACE_HELP)] = None,
    journal: Annotated[list[Path] | None, typer.Option(help="Journal of a hall; may be repeated.")] = None,
    policy: Annotated[
        list[Path] | None, typer.Option(help="Policy to test; further ones to compare with.")
    ] = None,
    against: Annotated[str, typer.Option(help="Baselines to compare with: names with commas.")] = AGAINST,
    last: Annotated[int, typer.Option("--days", min=0, help="Only a journal's last N days; 0: all.")] = 0,
    setup: Annotated[float, typer.Option(min=0, max=60, help=SETUP_HELP)] = 2,
    part: Annotated[str, typer.Option(help="Days to use: test, train or all.")] = "test",
    sets: Annotated[str, typer.Option(help="Only these sets of days: names with commas.")] = "",
    prices: Annotated[str, typer.Option(help=PRICES_HELP)] = "0.2,1,1,8,10",
    hall: Annotated[str, typer.Option(help=HALL_HELP)] = "4,3,8",
    together: Annotated[
        str, typer.Option(help="Sets that share a pool of +1 windows: set[:regular windows], …")
    ] = "",
    pool: Annotated[int, typer.Option(min=1, max=100, help='With --together: "+1" windows in all.')] = 3,
    urgent: Annotated[float, typer.Option(min=0, max=1, help=URGENT_HELP)] = 0.08,
    no_profile: Annotated[
        bool, typer.Option("--no-profile", help="Do not give policies the usual arrivals.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object on stdout.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a report with charts to this file.")] = None,
    processes: Annotated[int, typer.Option(min=0, max=256, help=PROCESSES_HELP)] = 0,
) -> None:
    """Run recorded days through the daemon's own core in virtual time and compare policies.

    The tested policy is the first --policy, or "pw" (predicted wait) as shipped. These baselines run in a small
    simulator of the same mechanics: never, always, naive10, band, and clairvoyant (a plan that knows all arrivals
    beforehand). These run in the core itself: pw, pwf, pw-reference, core-band, core-never, core-always. The cost to
    compare is J = 0.2 per minute waited + 1 per minute above 10 + staff minutes + 8 per opening.

    \b
    Exit codes: 0 done, 2 wrong usage, trace or policy.
    Example:    edged backtest --trace day.csv --hall 4,3,8 --html report.html
                edged backtest --trace DIR --together S-peaks,S-sine:3,S-burst:3 --pool 3
    """
    from edged.backtest.study import Question

    if part not in ("test", "train", "all"):
        _fail("--part is test, train or all")
    give_way()
    traces = _traces(trace, journal or [], _shape(hall), last)
    if together:
        traces = _together(traces, together, pool, urgent)
    wanted = [name for name in sets.split(",") if name]
    unknown = sorted(set(wanted) - traces.halls.keys())
    if unknown:
        _fail(f"there is no set {unknown[0]!r}; there are {', '.join(traces.halls)}")
    days = [day for day in traces.part(part) if not wanted or day.hall in wanted]
    if not days:
        _fail(f"no {part} days to run")
    question = Question(
        _candidates(policy or [], POOLED if together and against == AGAINST else against, bool(together)),
        round(setup * 60_000),
        _prices(prices),
        not no_profile,
        html is not None,
    )
    answer = _with_bar(question, traces, days, processes)
    _show(answer, as_json)
    if html is not None:
        _write_report(html, answer, traces)


def _shape(text: str) -> TraceHall:
    from edged.backtest.traces import TraceHall

    try:
        regular, tidal, hours = text.split(",")
        shape = TraceHall(int(regular), int(tidal), float(hours))
    except ValueError:
        _fail("--hall is regular windows, tidal windows, hours: 4,3,8")
    if shape.regular < 1 or shape.tidal < 0 or not 0 < shape.hours <= 24:
        _fail("--hall needs 1 or more regular windows, 0 or more tidal windows, and up to 24 hours")
    return shape


def _prices(text: str) -> Any:
    from edged.backtest.measures import Prices

    try:
        values = [float(value) for value in text.split(",")]
        if not all(0 <= value < 1e6 for value in values):
            raise ValueError
        return Prices(*values)
    except (ValueError, TypeError):
        _fail("--prices is wait,excess,staff,opening,target: 0.2,1,1,8,10")


def _traces(trace: Path | None, journals: list[Path], shape: TraceHall, days: int) -> Traces:
    from edged.backtest.journals import read_journals
    from edged.backtest.traces import BadTrace, read

    if (trace is None) == (not journals):
        _fail("give --trace or --journal, one of them")
    try:
        if trace is not None:
            return read(trace, shape)
        with progress("reading") as bar:
            return read_journals(journals, days=days, progress=bar)
    except BadTrace as error:
        _fail(str(error))


def _together(traces: Traces, text: str, pool: int, urgent: float) -> Traces:
    from edged.backtest.pool import joined
    from edged.backtest.traces import BadTrace

    try:
        pairs = [word.partition(":") for word in text.split(",") if word]
        areas = [(name, int(count or 0)) for name, _, count in pairs]
        if any(count < 0 for _, count in areas):
            raise ValueError
        return joined(traces, areas, pool, urgent)
    except ValueError:
        _fail("--together is set[:regular windows], by comma: S-peaks,S-sine:3")
    except BadTrace as error:
        _fail(str(error))


def _candidates(files: list[Path], against: str, shared: bool) -> tuple[Candidate, ...]:
    from edged.backtest.candidates import named

    try:
        tested = _files(files) or [named("pw")]
        names = {one.name for one in tested}
        others = [
            named(name, shared) for name in dict.fromkeys(against.split(",")) if name and name not in names
        ]
    except KeyError as error:
        _fail(str(error.args[0]))
    return (*tested, *others)


def _files(files: list[Path]) -> list[Candidate]:
    if not files:
        return []
    from edged.backtest.policy_files import BadPolicy, policy_file

    try:
        return [policy_file(file) for file in files]
    except BadPolicy as error:
        _fail(str(error))


def _with_bar(question: Question, traces: Traces, days: list[Any], processes: int) -> StudyResult:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from edged.backtest.study import ask

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("days", total=None)
        return ask(
            question,
            traces,
            days,
            lambda done, total: bar.update(task, completed=done, total=total),
            processes or None,
        )


def _show(answer: StudyResult, as_json: bool) -> None:
    from edged.backtest.study import document

    found = document(answer)
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
        return
    from rich.console import Console

    from edged.backtest.table import table

    console = Console() if sys.stdout.isatty() else Console(width=200)
    print(f"{found['rule']['zh']}\n{found['rule']['en']}")
    for name, one in [*found["sets"].items(), ("all", found["policies"])]:
        console.print(table(name, one, found["policy"]))


def _write_report(file: Path, answer: StudyResult, traces: Traces) -> None:
    from edged.backtest.report import render
    from edged.backtest.study import charted, document

    try:
        file.write_text(render(document(answer), charted(answer, traces)), "utf-8")
    except OSError as error:
        _fail(str(error))
    print(f"edged backtest: report in {file}", file=sys.stderr)


def _fail(text: str) -> NoReturn:
    print(f"edged backtest: {text}", file=sys.stderr)
    raise typer.Exit(2)
