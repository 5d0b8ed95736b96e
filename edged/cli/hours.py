"""``edged hours``: opening hours of the coming days under a policy, per area; and the holidays of a year for a
policy.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edged.cli.target import fail
from edged.clock import rfc3339, wall_ms

if TYPE_CHECKING:
    from edged.core.calendar.day_spans import Kind, Span
    from edged.core.model.policy import Hours

ZONE = "Asia/Shanghai"
EPOCH = date(1970, 1, 1)
WEEKDAYS = (
    ("周一", "Mon"),
    ("周二", "Tue"),
    ("周三", "Wed"),
    ("周四", "Thu"),
    ("周五", "Fri"),
    ("周六", "Sat"),
    ("周日", "Sun"),
)
KINDS: dict[Kind, str] = {
    "workday": "工作日 workday",
    "weekend": "周末 weekend",
    "holiday": "节假日 holiday",
    "make-up": "调休上班 make-up",
}
MODES = {
    "full": "",
    "extended": " 延时 extended",
    "assisted": " 帮办 assisted",
    "self-service": " 自助 self-service",
    "online": " 网办 online",
}


def hours(
    policy: Annotated[Path | None, typer.Argument(help="A policy document.", metavar="[POLICY]")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="hall.toml: checks names, lists its areas.")
    ] = None,
    days: Annotated[int, typer.Option(help="How many days.", min=1, max=400)] = 14,
    start: Annotated[
        str | None, typer.Option("--from", help="First day, such as 2026-10-01; else today.")
    ] = None,
    calendar: Annotated[
        int | None, typer.Option(help="Print this year's holidays and make-up days for body.hours instead.")
    ] = None,
) -> None:
    """Show when the hall is open under a policy, day by day.

    \b
    Examples: edged hours policy.json --config hall.toml --days 30
              edged hours --calendar 2026            paste it into the policy (needs the extra [calendar])
    Exit codes: 0 done, 1 the policy is refused or the year is unknown, 2 wrong usage.
    """
    if calendar is not None:
        _print_calendar(calendar)
        return
    if policy is None:
        raise fail("name a policy document, or --calendar YEAR", 2)
    try:
        first = (
            date.fromisoformat(rfc3339(wall_ms(), ZONE)[:10]) if start is None else date.fromisoformat(start)
        )
    except ValueError:
        raise fail(f"--from {start}: not a date; write it as 2026-10-01", 2) from None
    found, areas = _read(policy, config)
    if not found.week:
        typer.echo("未设定开放时间：有人即开放 | no hours: open while somebody is there")
        return
    for number in range(days):
        day = first + timedelta(days=number)
        for line in _lines(found, areas, day):
            typer.echo(line)
    _warn(found, first, first + timedelta(days=days - 1))


def _read(policy: Path, config: Path | None) -> tuple[Hours, dict[str, str]]:
    """The policy's opening hours, and the areas to list (id to name): those of ``config``, or without it those that the
    hours name. Exits with code 1 if the policy is refused.
    """
    from edged.central.policies import inspect, of_hall
    from edged.central.policy_changes import PlaceNames
    from edged.central.refusals import DocumentRefused
    from edged.cli.policy import audience_of, document_of, print_refusal, read_file
    from edged.config import load

    payload = document_of(read_file(policy))
    audience = audience_of(config)
    try:
        document = inspect(payload, audience)
    except DocumentRefused as refusal:
        print_refusal(refusal)
        raise typer.Exit(1) from None
    section = of_hall(document, None if audience is None else audience.names).policy.hours
    if config is not None:
        return section, {area.id: area.name for area in load(config).site.areas}
    sets = [entry.areas for entry in section.week] + [entry.areas for entry in section.special]
    named = dict.fromkeys(area for areas in sets for area in areas)
    return section, {"": "大厅 hall"} | {area: str(PlaceNames().of("area", area)) for area in named}


def _lines(found: Hours, areas: dict[str, str], day: date) -> list[str]:
    """The opening times of one day: one line for each group of areas with the same times."""
    from edged.core.calendar import day_spans, wall

    number = (day - EPOCH).days
    plans: dict[tuple[Span, ...], list[str]] = {}
    for area, name in areas.items():
        plans.setdefault(day_spans.spans(found, area, number), []).append(name)
    chinese, english = WEEKDAYS[day.weekday()]
    head = f"{day} {chinese} {english}  {KINDS[day_spans.kind_of(found, number)]}"
    lines = []
    for spans, names in plans.items():
        noon = day_spans.noon_of(found, spans)
        times = ", ".join(f"{wall.clock(s.start_min)}-{wall.clock(s.end_min)}{MODES[s.mode]}" for s in spans)
        rest = "" if noon is None else f"（午间 noon {wall.clock(noon[0])}-{wall.clock(noon[1])}）"
        whose = "" if len(plans) == 1 else f"  [{' '.join(names)}]"
        lines.append(f"{head}  {times or '不开放 closed'}{rest}{whose}")
        head = " " * 10
    return lines


def _warn(found: Hours, first: date, last: date) -> None:
    from edged.core.calendar.day_spans import missing_year

    for day in (first, last):
        year = missing_year(found, (day - EPOCH).days)
        if year is not None:
            typer.echo(
                f"{year}年节假日未录入，仅按星期开放 | holidays of {year} are not in the policy: weekdays alone decide",
                err=True,
            )
            return


def _print_calendar(year: int) -> None:
    try:
        from chinese_calendar import constants  # type: ignore[import-untyped]
    except ImportError:
        raise fail("the holidays come with: pip install 'edged[calendar]'", 2) from None
    dates = {
        "holidays": [day.isoformat() for day in sorted(constants.holidays) if day.year == year],
        "workdays": [day.isoformat() for day in sorted(constants.workdays) if day.year == year],
    }
    if not dates["holidays"]:
        raise fail(f"{year} is not known; the State Council names it in November, then update the package", 1)
    typer.echo(json.dumps(dates, indent=2))
