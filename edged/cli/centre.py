"""``edged centre``: the commands for the city platform, which serves all halls of a city. Rules of this file:

* Everything about a city's halls is in PostgreSQL (``--postgres``, or EDGED_POSTGRES); commands that talk to halls do
  so through the city's broker (``--broker``, or EDGED_BROKER).
* Exit code 0: all well, or done; 1: not done, or not all well (the reason is printed); 2: wrong usage.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edged.cli.centre_demo import demo
from edged.cli.target import NoTarget, Target, fail, from_url

if TYPE_CHECKING:
    from edged.centre.hall_states import CityHall
    from edged.centre.reports import Section
    from edged.centre.rollouts import Progress, RolloutPlan
    from edged.cli.exchange import Conversation

WATCH_S = 2.0
STEP_S = 0.5  # between two checks of the halls' answers
PUBLISH_S = 15.0  # for the broker to acknowledge a push
IDLE_S = 10.0  # a connection that was not used for so long is left; well under its keepalive

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
Ca = Annotated[
    Path | None, typer.Option("--ca", help="PEM of the authority that signed the broker's certificate.")
]
Cert = Annotated[Path | None, typer.Option("--cert", help="PEM of this program's own certificate.")]
CertKey = Annotated[Path | None, typer.Option("--cert-key", help="PEM of its key.")]


app.command()(demo)


def city_of(broker: str, ca: Path | None, cert: Path | None, key: Path | None) -> Target:
    """The city's broker as a ``Target`` without a hall; exits with code 2 if the URL or a file is wrong."""
    try:
        found = from_url(broker, "")
    except NoTarget as error:
        raise fail(str(error), 2) from None
    files = [None if file is None else str(file) for file in (ca, cert, key)]
    missing = next((file for file in files if file is not None and not Path(file).is_file()), None)
    if missing is not None:
        raise fail(f"{missing}: no such file", 2)
    tls_ca, tls_cert, tls_key = files
    tls = found.tls or ca is not None
    return replace(found, tls=tls, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key)


def connected(postgres: str) -> Any:
    """Connect to the centre's database and create missing tables. Exits with code 1 if it cannot be reached, 2 without
    psycopg.
    """
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
        str, typer.Option(help="Client id at the broker; a different one for each process.")
    ] = "centre",
    share: Annotated[
        str, typer.Option(help="Share the halls with all processes that name the same group.")
    ] = "",
    metrics: Annotated[str, typer.Option(help="HOST:PORT for Prometheus; empty: none.")] = "",
    keep_months: Annotated[int, typer.Option(min=0, help="Delete months older than this; 0: never.")] = 0,
    also: Annotated[
        list[str],
        typer.Option(envvar="EDGED_BROKER_ALSO", help="HOST:PORT of a further node of the broker."),
    ] = [],  # noqa: B006 (typer takes no tuple here)
    ca: Ca = None,
    cert: Cert = None,
    cert_key: CertKey = None,
) -> None:
    """Store and acknowledge what halls send, until stopped. Each event is stored exactly once."""
    import signal
    import threading

    connected(postgres).close()
    from edged.centre.broker import CityAddress, CityLink
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
    city = city_of(broker, ca, cert, cert_key)
    who = (city.username, city.password)
    files = (city.tls_ca, city.tls_cert, city.tls_key)
    link = CityLink(
        CityAddress(city.host, city.port, city.protocol, *who, city.tls, *files, others=_nodes(also)), name
    )
    Consumer(link, CentreLedger(postgres), Share(share, keep_months), gauges, stop).run()


def _nodes(also: list[str]) -> tuple[tuple[str, int], ...]:
    """Parse the broker's further nodes; exits with code 2 if one is not HOST:PORT or there are too many."""
    from urllib.parse import urlsplit

    from edged.centre.broker import NODES_MAX

    if len(also) >= NODES_MAX:
        raise fail(f"--also: a broker of more than {NODES_MAX} nodes", 2)
    found = []
    for one in also:
        try:
            place = urlsplit(f"//{one}")
            host, port = place.hostname, place.port
        except ValueError:
            host, port = None, None
        if not host or not port or place.path:
            raise fail(f"--also {one}: write HOST:PORT", 2)
        found.append((host, port))
    return tuple(found)


@app.command()
def adopt(hall: Annotated[str, typer.Argument(help="Id of the hall.")], postgres: Postgres) -> None:
    """Accept a hall whose earlier events will never arrive here. Another centre has acknowledged them.

    Needed after a move to a new database, or a restore of an older one: the hall sends only what was not
    acknowledged, so the history here has a gap for ever. The command records the gap (column base of the table
    cursors) and accepts the events after it.
    """
    from edged.centre.hall_states import adopt as adopt_hole

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
    """Search the database for identity and mobile numbers. Exit code 1 if one is found."""
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
    """Store the names of halls, areas, services and windows. The centre then knows which halls it has to expect."""
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
        from edged.centre.hall_states import enrol as enrol_hall

        for config in configs:
            enrol_hall(connection, config)
            typer.echo(f"{config.hall}: {config.site.name}")


@app.command()
def status(
    postgres: Postgres,
    group: Annotated[str | None, typer.Option(help="Only the halls of this group.")] = None,
    watch: Annotated[bool, typer.Option(help="Repeat every two seconds until stopped.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
) -> None:
    """Show every hall: policy, connection, backlog, alarms. Exit code 1 unless all are well."""
    import threading

    connection = connected(postgres)
    from edged.centre.hall_states import as_json, hall_states
    from edged.centre.ledger import utc_now

    while True:
        halls = hall_states(connection, group, utc_now())
        if json_:
            typer.echo(as_json(halls))
        else:
            _print_halls(halls)
        if not watch:
            connection.close()
            raise typer.Exit(0 if halls and not any(hall.wrong for hall in halls) else 1)
        threading.Event().wait(WATCH_S)


def _print_halls(halls: list[CityHall]) -> None:
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
    typer.echo(f"{len(halls)} halls, {ill} not well / {len(halls)} 个大厅，{ill} 个需要处理")


@app.command()
def report(
    postgres: Postgres,
    day: Annotated[str | None, typer.Option(help="YYYY-MM-DD.")] = None,
    month: Annotated[str | None, typer.Option(help="YYYY-MM.")] = None,
    halls: Annotated[str, typer.Option(help="Only these halls: ids with commas; empty: all.")] = "",
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
        _print_report(made, zh)
    raise typer.Exit(0 if made[0].rows else 1)


def _print_report(made: list[Section], zh: bool) -> None:
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
            table.add_row(*(reports.figure_text(c, v) for c, v in zip(section.columns, row, strict=True)))
        console.print(table)


@app.command()
def rollout(
    broker: BrokerUrl,
    postgres: Postgres,
    file: Annotated[Path | None, typer.Argument(help="A policy document, or a signed one.")] = None,
    key: Annotated[
        Path | None, typer.Option("--key", "-k", help="Signing key, for a plain document.")
    ] = None,
    halls: Annotated[
        str, typer.Option(help="Halls in the order in which they get the policy: ids with commas.")
    ] = "",
    group: Annotated[str | None, typer.Option(help="All halls of this group.")] = None,
    waves: Annotated[
        str, typer.Option(help="How many halls have the policy after each wave.")
    ] = "1,10%,100%",
    settle: Annotated[str, typer.Option(help="Pause between waves, e.g. 2h, 30min, 10s.")] = "2h",
    max_failed: Annotated[int, typer.Option(min=0, help="Halt when more halls than this have failed.")] = 0,
    resume: Annotated[int | None, typer.Option(help="Continue this rollout after a restart.")] = None,
    ca: Ca = None,
    cert: Cert = None,
    cert_key: CertKey = None,
) -> None:
    """Roll a policy out in waves. The next wave begins after the pause, unless more than --max-failed halls refused the
    policy, rolled it back or did not answer.

    Needs `edged centre consume` running on the same database, which stores the halls' reports. Exit codes: 0 done, 1
    halted.
    """
    import threading

    connection = connected(postgres)
    from edged.centre.ledger import utc_now
    from edged.centre.rollouts import Rollout, RolloutRefused, begin

    try:
        if resume is None:
            if file is None:
                raise fail("name a policy document, or --resume NUMBER", 2)
            number = begin(
                connection, _plan(connection, file, key, (halls, group), (waves, settle, max_failed))
            )
        else:
            number = resume
        typer.echo(f"rollout {number} / 分批推送 {number}")
        with city_publisher(city_of(broker, ca, cert, cert_key)) as publish:
            moved = Rollout(connection, number, publish)
            moved.resume()
            printed = ""
            while True:
                progress = moved.step(utc_now())
                text = _progress_text(progress)
                if text != printed:
                    typer.echo(text)
                    printed = text
                if progress.state != "running":
                    break
                threading.Event().wait(STEP_S)
    except RolloutRefused as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(f"{error}; go on later with --resume {number}") from None
    raise typer.Exit(0 if progress.state == "done" else 1)


@app.command()
def abort(
    number: Annotated[int, typer.Argument(help="Number of the rollout.")],
    broker: BrokerUrl,
    postgres: Postgres,
    key: Annotated[Path, typer.Option("--key", "-k", help="Key that may sign rollbacks.")],
    by: Annotated[str, typer.Option(help="Name of the person who orders it.")],
    wait_s: Annotated[float, typer.Option(help="Seconds to wait for the halls.")] = 60.0,
    ca: Ca = None,
    cert: Cert = None,
    cert_key: CertKey = None,
) -> None:
    """End a rollout and roll its policy back. Each hall that has the policy gets a signed order to roll it back; exit
    code 0 if all did.
    """
    import threading

    from edged.clock import monotonic_s

    connection = connected(postgres)
    from edged.centre.rollouts import Rollout, RolloutRefused, outcomes

    try:
        with city_publisher(city_of(broker, ca, cert, cert_key)) as publish:
            moved = Rollout(connection, number, publish)
            version = moved.progress().version
            ids = moved.abort(lambda hall: _rollback(hall, version, by, key))
    except (RolloutRefused, OSError) as error:
        raise fail(str(error)) from None
    until_s, found = monotonic_s() + wait_s, dict[str, str]()
    while len(found) < len(ids) and monotonic_s() < until_s:
        found = outcomes(connection, ids)
        threading.Event().wait(STEP_S)
    for hall in sorted(ids):
        typer.echo(f"{hall}: {found.get(hall, 'no answer')}")
    raise typer.Exit(0 if all(found.get(hall) == "done" for hall in ids) else 1)


def _progress_text(progress: Progress) -> str:
    lines = [f"wave {progress.wave} of {progress.waves}: {progress.state} {progress.reason}".rstrip()]
    lines += [
        f"  {hall} (wave {wave}): {state} {reason}".rstrip() for hall, wave, state, reason in progress.halls
    ]
    return "\n".join(lines)


def _plan(
    connection: Any, file: Path, key: Path | None, who: tuple[str, str | None], how: tuple[str, str, int]
) -> RolloutPlan:
    """Make the rollout plan from the options; an unsigned ``file`` is signed with ``key``. Exits with code 2 if options
    contradict each other or a value is wrong.

    ``who``: (--halls, --group), one of them empty; ``how``: (--waves, --settle, --max-failed).
    """
    from edged.central.policies import claimed
    from edged.centre.rollouts import RolloutPlan, reports_of, sizes
    from edged.cli.policy import is_envelope, read_file, sign_for_halls

    named, group = who
    halls = tuple(one for one in named.split(",") if one)
    if bool(halls) == (group is not None):
        raise fail("give --halls or --group", 2)
    if group is not None:
        rows = connection.execute("SELECT hall FROM hall_now WHERE group_name = %s ORDER BY hall", (group,))
        halls = tuple(hall for (hall,) in rows.fetchall())
        if not halls:
            raise fail(f'no hall is of group "{group}" / 没有大厅属于该分组')
    raw = read_file(file)
    if not is_envelope(raw):
        if key is None:
            raise fail("this is an unsigned document: give --key", 2)
        reports = [report for report in reports_of(connection).values() if isinstance(report, dict)]
        seen = [part.get("version", 0) for one in reports for part in (one["applied"], one["desired"] or {})]
        raw = sign_for_halls(
            raw, key, list(halls) if group is None else [f"group:{group}"], max([0, *seen]) + 1
        )
    meant = claimed(raw)
    if meant is None:
        raise fail(f"{file}: no policy", 2)
    try:
        waves, settle_s = sizes(how[0], len(halls)), _seconds(how[1])
    except ValueError as error:
        raise fail(f"--waves or --settle: {error}", 2) from None
    return RolloutPlan(raw, int(meant["version"]), str(meant["sha256"]), halls, waves, settle_s, how[2])


def _seconds(text: str) -> int:
    """Parse a duration like 2h, 30min or 10s into seconds. Raises ``ValueError`` for anything else."""
    for unit, factor in (("min", 60), ("h", 3600), ("s", 1)):
        if text.endswith(unit):
            return int(text.removesuffix(unit)) * factor
    raise ValueError(f"{text}: write 2h, 30min or 10s")


def _rollback(hall: str, version: int, by: str, key: Path) -> tuple[str, bytes]:
    """Sign an order for ``hall`` to roll back policy ``version``; returns the order's id and the signed order."""
    from edged.central.operations import claimed_id
    from edged.cli.op import signed_order

    raw = signed_order(hall, "rollback", [f"version={version}"], by, key)
    return claimed_id(raw), raw


@contextmanager
def city_publisher(city: Target) -> Iterator[CityPublisher]:
    """Publish at the city's broker inside a ``with`` block; connects at the first message."""
    voice = CityPublisher(city)
    try:
        yield voice
    finally:
        voice.close()


class CityPublisher:
    """A function that publishes at the city's broker. Each call returns once the broker has acknowledged the message,
    or raises ``OSError`` after ``PUBLISH_S`` without that.

    Successive calls share a connection. Keepalives are not sent between calls, so a connection unused for ``IDLE_S`` is
    replaced. A message without an acknowledgement is sent again: halls ignore a second copy.
    """

    def __init__(self, city: Target) -> None:
        self._city = city
        self.talk: Conversation | None = None
        self._used_s = 0.0

    def __call__(self, topic: str, payload: bytes) -> None:
        """Publish one message. Raises ``OSError`` if the broker has not acknowledged it within ``PUBLISH_S``."""
        import threading

        from edged.cli.exchange import NoAnswer
        from edged.clock import monotonic_s

        until_s = monotonic_s() + PUBLISH_S
        if monotonic_s() - self._used_s > IDLE_S:
            self.close()
        while True:
            try:
                self._opened().publish(topic, payload)
                self._used_s = monotonic_s()
                return
            except NoAnswer as error:
                self.close()
                if monotonic_s() >= until_s:
                    raise OSError(f"the city's broker took nothing for {PUBLISH_S:g} s: {error}") from None
            threading.Event().wait(STEP_S)

    def _opened(self) -> Conversation:
        """Return the open connection; connects first if there is none. Raises ``NoAnswer`` if the broker cannot be
        reached or refuses.
        """
        from edged.cli.exchange import Conversation

        if self.talk is None:
            self.talk = Conversation(self._city)
            self.talk.open(())
        return self.talk

    def close(self) -> None:
        """Close the connection, if one is open."""
        talk, self.talk = self.talk, None
        if talk is not None:
            talk.close()
