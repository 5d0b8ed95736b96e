"""``edged centre``: the city's side. Rules of this file:

* Everything about a city's halls is in PostgreSQL (``--postgres``, or EDGED_POSTGRES); whatever speaks to halls does so
  through the city's broker (``--broker``, or EDGED_BROKER).
* Exit code 0 all is well, done; 1 not so, with what and where; 2 wrong usage.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edged.cli.target import NoTarget, fail, from_url

if TYPE_CHECKING:
    from edged.centre.broker import CityAddress
    from edged.centre.reports import Section
    from edged.centre.standing import CityHall

WATCH_S = 2.0

app = typer.Typer(
    help="""Run a city's centre: keep what halls send, see how they are, report, roll policies out.

    \b
      edged centre consume --broker mqtts://city-1:8884 --postgres postgresql:///edged
      edged centre status --postgres postgresql:///edged
      edged centre report --day 2026-12-01 --postgres postgresql:///edged
    configs/city/README.md says how a city is set up. Needs the extra "centre": pip install edged[centre]
    """,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Postgres = Annotated[
    str, typer.Option("--postgres", envvar="EDGED_POSTGRES", help="Data source of the centre's database.")
]
BrokerUrl = Annotated[
    str,
    typer.Option("--broker", envvar="EDGED_BROKER", help="mqtt[s]://[USER@]HOST:PORT[?protocol=3.1.1]."),
]
Ca = Annotated[Path | None, typer.Option("--ca", help="PEM of who signs the broker's certificate.")]
Cert = Annotated[Path | None, typer.Option("--cert", help="PEM of this program's own certificate.")]
CertKey = Annotated[Path | None, typer.Option("--cert-key", help="PEM of its key.")]


def address_of(broker: str, ca: Path | None, cert: Path | None, key: Path | None) -> CityAddress:
    """The broker that the options mean; exit code 2 where they mean none."""
    from edged.centre.broker import CityAddress

    try:
        found = from_url(broker, "")
    except NoTarget as error:
        raise fail(str(error), 2) from None
    files = [None if file is None else str(file) for file in (ca, cert, key)]
    missing = next((file for file in files if file is not None and not Path(file).is_file()), None)
    if missing is not None:
        raise fail(f"{missing}: no such file", 2)
    tls = found.tls or ca is not None
    who = (found.username, found.password)
    return CityAddress(found.host, found.port, found.protocol, *who, tls, *files)


def connected(postgres: str) -> Any:
    """A connection to the centre's database, with its tables; exit code 1 where there is none."""
    try:
        import psycopg
    except ImportError:
        raise fail('the centre needs psycopg: pip install "edged[centre]"', 2) from None
    from edged.centre.ledger import prepare

    try:
        connection = psycopg.connect(postgres, application_name="edged centre", connect_timeout=5)
        prepare(connection)
    except psycopg.Error as error:
        raise fail(f"PostgreSQL: {str(error).strip()}") from None
    return connection


@app.command()
def consume(
    broker: BrokerUrl,
    postgres: Postgres,
    name: Annotated[
        str, typer.Option(help="Of this process at the broker; another one for each.")
    ] = "centre",
    share: Annotated[str, typer.Option(help="Share the work with all processes that give this word.")] = "",
    metrics: Annotated[str, typer.Option(help="HOST:PORT for Prometheus; empty: none.")] = "",
    keep_months: Annotated[int, typer.Option(min=0, help="Forget months older than this; 0: never.")] = 0,
    ca: Ca = None,
    cert: Cert = None,
    cert_key: CertKey = None,
) -> None:
    """Keep what halls send, each event exactly once, and acknowledge it to them. Runs until stopped."""
    import signal
    import threading

    connected(postgres).close()
    from edged.centre.broker import CityLink
    from edged.centre.consumer import Consumer, Share
    from edged.centre.gauges import ConsumerGauges
    from edged.centre.ledger import CentreLedger

    gauges, stop = ConsumerGauges(), threading.Event()
    if metrics:
        host, _, port = metrics.rpartition(":")
        try:
            gauges.serve(int(port), host or "127.0.0.1")
        except (OSError, ValueError) as error:
            raise fail(f"--metrics {metrics}: {error}", 2) from None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    link = CityLink(address_of(broker, ca, cert, cert_key), name)
    Consumer(link, CentreLedger(postgres), Share(share, keep_months), gauges, stop).run()


@app.command()
def adopt(hall: Annotated[str, typer.Argument(help="Id of the hall.")], postgres: Postgres) -> None:
    """Go on with a hall whose earlier events another centre has acknowledged, and this one will never see.

    After a move to a new database, or a restore of an older one: the hall sends only what was not acknowledged, so the
    history here has a hole for ever. This says so in writing (column base of the table cursors) and goes on behind it.
    """
    from edged.centre.standing import adopt as adopt_hole

    with connected(postgres) as connection:
        holes = adopt_hole(connection, hall)
    if not holes:
        raise fail(f'nothing is missing of hall "{hall}", or nothing of it came yet / 没有缺口')
    for epoch, first, last in holes:
        typer.echo(
            f"{hall}, epoch {epoch}: events {first} to {last} will never come; going on / 已跳过缺失事件"
        )


@app.command()
def scan(postgres: Postgres) -> None:
    """Look through everything that is kept for identity and mobile numbers; exit 1 where one is found."""
    from edged.centre.scan import personal_data

    with connected(postgres) as connection:
        looked, found = personal_data(connection)
    for place in found:
        typer.echo(place)
    typer.echo(f"{looked} texts looked at, {len(found)} hold personal data / 已检查 {looked} 条")
    raise typer.Exit(1 if found else 0)


@app.command()
def enrol(
    files: Annotated[list[Path], typer.Argument(help="hall.toml of each hall.", metavar="HALL.TOML...")],
    postgres: Postgres,
) -> None:
    """Tell the centre what its halls, areas, services and windows are called, and which halls there are to be."""
    from edged.config import ConfigErrors, load

    configs = []
    for file in files:
        try:
            configs.append(load(file))
        except ConfigErrors as errors:
            for line in errors.lines:
                typer.echo(line, err=True)
            raise typer.Exit(2) from None
    with connected(postgres) as connection:
        from edged.centre.standing import enrol as enrol_hall

        for config in configs:
            enrol_hall(connection, config)
            typer.echo(f"{config.hall}: {config.site.name}")


@app.command()
def status(
    postgres: Postgres,
    group: Annotated[str | None, typer.Option(help="Only the halls of this group.")] = None,
    watch: Annotated[bool, typer.Option(help="Again every two seconds, until stopped.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="For other programs.")] = False,
) -> None:
    """Show every hall: policy desired and applied, online since, backlog, alarms, people; exit 1 unless all is well."""
    import threading

    connection = connected(postgres)
    from edged.centre.ledger import utc_now
    from edged.centre.standing import as_json, standings

    while True:
        halls = standings(connection, group, utc_now())
        if json_:
            typer.echo(as_json(halls))
        else:
            _tell_halls(halls)
        if not watch:
            connection.close()
            raise typer.Exit(0 if halls and not any(hall.wrong for hall in halls) else 1)
        threading.Event().wait(WATCH_S)


def _tell_halls(halls: list[CityHall]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in (
        "大厅 Hall",
        "状态 State",
        "自 Since",
        "策略 Policy",
        "缺口 Gap",
        "等候 Waiting",
        "+1",
        "问题 Wrong",
    ):
        table.add_column(title, overflow="fold")
    for hall in halls:
        policy = str(hall.applied) if hall.desired == hall.applied else f"{hall.applied} ({hall.desired})"
        wrong = [*hall.wrong, *hall.alarms, *([hall.reason_zh or hall.reason] if hall.reason else [])]
        figures = (str(hall.backlog), str(hall.waiting), str(hall.tidal))
        table.add_row(
            f"{hall.name} {hall.hall}", hall.state, hall.since[:16], policy, *figures, "; ".join(wrong)
        )
    Console(soft_wrap=True).print(table)
    ill = sum(bool(hall.wrong) for hall in halls)
    typer.echo(f"{len(halls)} halls, {ill} not well / {len(halls)} 个大厅,{ill} 个需要处理")


@app.command()
def report(
    postgres: Postgres,
    day: Annotated[str | None, typer.Option(help="YYYY-MM-DD.")] = None,
    month: Annotated[str | None, typer.Option(help="YYYY-MM.")] = None,
    halls: Annotated[str, typer.Option(help="Ids, with commas; empty: all.")] = "",
    group: Annotated[str | None, typer.Option(help="Only the halls of this group.")] = None,
    limit_min: Annotated[int, typer.Option(min=1, help="A longer wait counts as over the limit.")] = 15,
    form: Annotated[str, typer.Option("--as", help="table, csv or html.")] = "table",
    lang: Annotated[str, typer.Option(help="zh or en.")] = "zh",
) -> None:
    """Report a day or a month: by hall, area, service, hour and window."""
    if form not in ("table", "csv", "html") or lang not in ("zh", "en") or (day is None) == (month is None):
        raise fail("give --day or --month, --as table|csv|html, --lang zh|en", 2)
    connection = connected(postgres)
    from edged.centre import reports

    try:
        span = reports.day(day) if day is not None else reports.month(str(month))
    except ValueError:
        raise fail(f"{day or month}: no such date", 2) from None
    asked = reports.ReportAsked(span, limit_min * 60, group, tuple(one for one in halls.split(",") if one))
    zh = lang == "zh"
    with connection:
        made = reports.sections(connection, asked, zh)
    if form == "csv":
        typer.echo(reports.as_csv(made, zh), nl=False)
    elif form == "html":
        typer.echo(reports.as_html(made, asked, zh), nl=False)
    else:
        _tell_report(made, zh)
    raise typer.Exit(0 if made[0].rows else 1)


def _tell_report(made: list[Section], zh: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from edged.centre import reports

    console = Console(soft_wrap=True)
    for section in made:
        table = Table(
            box=None, pad_edge=False, title=reports.title_of(section.about, zh), title_justify="left"
        )
        for position, column in enumerate(section.columns):
            table.add_column(reports.title_of(column, zh), justify="left" if position < 2 else "right")
        for row in section.rows:
            table.add_row(*(reports.told(c, v) for c, v in zip(section.columns, row, strict=True)))
        console.print(table)
