"""Reports of a day or a month of a city's halls in figures: visitors, waits, "+1" windows, cases, ratings.

Rules: all figures come from the SQL views that the city's dashboards use (``schema.sql``). Halls, areas, services and
windows have the names that ``edged centre enrol`` stored, in Chinese or English; without one, their id.
"""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import psycopg

from edged.centre.ledger import month_after

ZONE = ZoneInfo("Asia/Shanghai")  # of all halls; the views say the same
BAD_LEVEL = 2  # of five: whoever gave more was satisfied

TITLES: dict[str, tuple[str, str]] = {
    "hall": ("大厅", "Hall"),
    "area": ("专区", "Area"),
    "service": ("业务", "Service"),
    "hour": ("时段", "Hour"),
    "window": ("窗口", "Window"),
    "visitors": ("办事人次", "Visitors"),
    "wait_mean_min": ("平均等候（分）", "Wait mean (min)"),
    "wait_p90_min": ("90%等候（分）", "Wait p90 (min)"),
    "wait_max_min": ("最长等候（分）", "Wait max (min)"),
    "over_limit": ("超限占比", "Over limit"),
    "openings": ("“+1”启用次数", "+1 openings"),
    "plus_min": ("“+1”时长（分）", "+1 minutes"),
    "ratings": ("评价数", "Ratings"),
    "satisfied": ("满意率", "Satisfied"),
    "cases": ("办不成事", "Cases"),
    "cases_answered": ("按时响应率", "Answered in time"),
    "cases_closed": ("按时办结率", "Closed in time"),
    "cases_satisfied": ("事项满意率", "Cases satisfied"),
}
SHARES = {"over_limit", "satisfied", "cases_answered", "cases_closed", "cases_satisfied"}
# What a section is about, and which of the figures exist for it.
SECTIONS: dict[str, tuple[str, ...]] = {
    "hall": ("waits", "plus", "ratings", "cases"),
    "area": ("waits", "plus", "ratings"),
    "service": ("waits", "ratings"),
    "hour": ("waits", "plus"),
    "window": ("waits", "plus", "ratings"),
}
COLUMNS = {"area": "area", "service": "service", "window": "window_id"}
HOUR = "lpad(extract(hour FROM local_at)::integer::text, 2, '0') || ':00'"
FIGURES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "waits": (
        "visits",
        "count(DISTINCT number || local_at::date), avg(wait_s) / 60,"
        " percentile_cont(0.9) WITHIN GROUP (ORDER BY wait_s) / 60, max(wait_s) / 60,"
        " avg((wait_s > %(limit_s)s)::integer)",
        ("visitors", "wait_mean_min", "wait_p90_min", "wait_max_min", "over_limit"),
    ),
    "plus": (
        "plus_one",
        "count(*) FILTER (WHERE kind = 'tidal.opened'), coalesce(sum(open_s), 0) / 60",
        ("openings", "plus_min"),
    ),
    "ratings": ("ratings", "count(*), avg((level > %(bad)s)::integer)", ("ratings", "satisfied")),
    "cases": (
        "case_steps",
        "count(*) FILTER (WHERE kind = 'case.opened'), avg(in_time) FILTER (WHERE kind = 'case.acknowledged'),"
        " avg(on_time) FILTER (WHERE kind = 'case.closed'),"
        " avg((level > %(bad)s)::integer) FILTER (WHERE kind = 'case.rated')",
        ("cases", "cases_answered", "cases_closed", "cases_satisfied"),
    ),
}


class ReportSpan(NamedTuple):
    """Half-open range ``[begin, end)`` of days on the halls' calendar; ``title``: its name in the report."""

    begin: datetime
    end: datetime
    title: str


class ReportAsked(NamedTuple):
    """What to report. ``group`` (None: any) and ``halls`` (ids; empty: any) both limit which halls are in it.
    ``limit_s``: the longest wait within the service level, in seconds.
    """

    span: ReportSpan
    limit_s: int
    group: str | None = None
    halls: tuple[str, ...] = ()


class Section(NamedTuple):
    """One table of a report. ``columns`` are the columns of ``rows``: first names, then figures (None: there is no
    figure). ``about``: what a row is about.
    """

    about: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def day(text: str) -> ReportSpan:
    """The range of one day, ``text`` being a date like ``2026-12-01``. Raises ``ValueError`` if it is not one."""
    first = _midnight(text)
    return ReportSpan(first, first + timedelta(days=1), text)


def month(text: str) -> ReportSpan:
    """The range of one month, ``text`` being like ``2026-12``. Raises ``ValueError`` if it is not a month."""
    first = _midnight(f"{text}-01")
    return ReportSpan(first, datetime(*month_after(first, 1), 1, tzinfo=ZONE), text)


def _midnight(text: str) -> datetime:
    found = date.fromisoformat(text)
    return datetime(found.year, found.month, found.day, tzinfo=ZONE)


def sections(connection: psycopg.Connection[Any], asked: ReportAsked, zh: bool) -> list[Section]:
    """All tables of the report."""
    names = _names(connection, zh)
    made = [_section(connection, about, asked, names) for about in SECTIONS]
    connection.commit()
    return made


def _section(
    connection: psycopg.Connection[Any],
    about: str,
    asked: ReportAsked,
    names: dict[tuple[str, str, str], str],
) -> Section:
    key = HOUR if about == "hour" else COLUMNS.get(about, "''")
    found: dict[tuple[str, str], dict[str, Any]] = {}
    columns: list[str] = []
    for kind in SECTIONS[about]:
        view, figures, called = FIGURES[kind]
        columns += called
        query = (
            f"SELECT hall, coalesce({key}, ''), {figures} FROM {view}"  # noqa: S608 (words of this file)
            " WHERE at >= %(begin)s AND at < %(end)s AND (%(halls)s::text[] = '{}' OR hall = ANY(%(halls)s))"
            " AND (%(group)s::text IS NULL OR hall IN (SELECT hall FROM hall_now WHERE group_name = %(group)s))"
            " GROUP BY 1, 2"
        )
        values = {
            **{"begin": asked.span.begin, "end": asked.span.end, "limit_s": asked.limit_s, "bad": BAD_LEVEL},
            **{"group": asked.group, "halls": list(asked.halls)},
        }
        for hall, part, *cells in connection.execute(query.encode(), values).fetchall():
            found.setdefault((hall, part), {}).update(zip(called, cells, strict=True))
    heads = ("hall",) if about == "hall" else ("hall", about)
    rows = []
    for (hall, part), figures_of in sorted(found.items()):
        if about != "hall" and not part:
            continue
        called_so = [names.get((hall, "hall", hall), hall), names.get((hall, about, part), part)]
        rows.append((*called_so[: len(heads)], *(_number(figures_of.get(one)) for one in columns)))
    return Section(about, (*heads, *columns), rows)


def _names(connection: psycopg.Connection[Any], zh: bool) -> dict[tuple[str, str, str], str]:
    column = "name" if zh else "name_en"
    rows = connection.execute(f"SELECT hall, kind, id, {column} FROM names".encode()).fetchall()  # noqa: S608
    known = {(hall, kind, name): text for hall, kind, name, text in rows}
    for hall, text in connection.execute("SELECT hall, name FROM halls").fetchall():
        known.setdefault((hall, "hall", hall), text)
    return known


def _number(value: Any) -> float | int | None:
    return value if value is None or isinstance(value, int) else float(value)


def figure_text(column: str, value: Any) -> str:
    """The figure ``value`` of a column as text: a share in per cent, other fractions with one decimal, "-" for None."""
    if value is None:
        return "-"
    if column in SHARES:
        return f"{value:.1%}"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def title_of(column: str, zh: bool) -> str:
    """The heading of a column, in Chinese or English."""
    return TITLES[column][0 if zh else 1]


def as_csv(made: Sequence[Section], zh: bool) -> str:
    """All tables as CSV, each with a header line; percentages as numbers from 0 to 1."""
    out = io.StringIO()
    writer = csv.writer(out)
    for section in made:
        writer.writerow([title_of(column, zh) for column in section.columns])
        for row in section.rows:
            cells = [
                "" if cell is None else round(cell, 4) if isinstance(cell, float) else cell for cell in row
            ]
            writer.writerow(cells)
        writer.writerow([])
    return out.getvalue()


def as_html(made: Sequence[Section], asked: ReportAsked, zh: bool) -> str:
    """The report as one self-contained HTML page, for printing or sending."""
    heading = (
        f"政务服务大厅运行报告 {asked.span.title}" if zh else f"Government service halls, {asked.span.title}"
    )
    limit = f"等候超限：{asked.limit_s // 60} 分钟" if zh else f"Limit of a wait: {asked.limit_s // 60} min"
    parts = [
        f'<!doctype html><html lang="{"zh-CN" if zh else "en"}"><meta charset="utf-8"><title>{heading}</title>',
        "<style>body{font-family:sans-serif;margin:2em}table{border-collapse:collapse;margin:1em 0}"
        "th,td{border:1px solid #999;padding:.3em .6em;text-align:right}th:first-child,td:first-child{text-align:left}"
        "</style>",
        f"<h1>{heading}</h1><p>{limit}</p>",
    ]
    for section in made:
        head = "".join(f'<th scope="col">{html.escape(title_of(one, zh))}</th>' for one in section.columns)
        body = "".join(f"<tr>{_cells(section.columns, row)}</tr>" for row in section.rows)
        parts.append(
            f"<h2>{html.escape(title_of(section.about, zh))}</h2><table><tr>{head}</tr>{body}</table>"
        )
    return "\n".join(parts) + "</html>\n"


def _cells(columns: Sequence[str], row: Sequence[Any]) -> str:
    return "".join(f"<td>{html.escape(figure_text(c, v))}</td>" for c, v in zip(columns, row, strict=True))
