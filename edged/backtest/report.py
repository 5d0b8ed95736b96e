"""Writes the comparison as one self-contained HTML file: tables, and charts as inline SVG.

For each set of days the charts show the day of median cost under the policy under test: people waiting, windows serving
and "+1" staff over the day, and each visitor's predicted and real wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from edged.backtest.measures import DayMeasures
from edged.backtest.table import COLUMNS, difference
from edged.backtest.traces import Day

WIDTH, HEIGHT = 760, 150
LEFT, RIGHT, TOP, BOTTOM = 42, 8, 8, 22
STYLE = """
:root{color-scheme:light dark;--ink:#1b2733;--soft:#6b7a88;--line:#d5dce2;--a:#0b6e99;--b:#c2571a;--paper:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e4eaef;--soft:#94a3b0;--line:#36424d;--a:#5bb8e0;--b:#f0935a;
--paper:#12181e}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1240px;
margin:2em auto;padding:0 1em}
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}p,figcaption{color:var(--soft)}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums;width:100%}
th,td{padding:.25em .3em;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left}tr.tested{font-weight:600}
figure{margin:1em 0}svg{width:100%;height:auto;display:block}text{fill:var(--soft);font-size:11px}
.axis{stroke:var(--line)}.a{stroke:var(--a);fill:none;stroke-width:1.6}.b{stroke:var(--b);fill:none;stroke-width:1.6}
.dot{fill:var(--a);opacity:.55}.real{fill:var(--b);opacity:.55}
"""

Steps = Sequence[tuple[float, float]]


def render(document: Mapping[str, Any], charts: Mapping[str, tuple[Day, DayMeasures]]) -> str:
    """Make the report as one HTML page. ``document``: the result (``study.document``); ``charts``: for each set of
    days, the day to draw and its measures.
    """
    tested = str(document["policy"])
    prices = document["prices"]
    parts = [
        f"<h1>{escape(tested)}: backtest</h1>",
        f"<p>Set-up {document['setup_min']:g} min. J = {prices['wait']:g} per minute waited + {prices['excess']:g} per "
        f"minute above {prices['target_min']:g} + {prices['staff']:g} per staff minute + {prices['opening']:g} per "
        "opening. J/best: against the plan of somebody who knows the whole day. Waits in minutes; staff minutes and "
        "openings per day; the last column is paired over days with its 95 % interval.</p>",
        "<p>等候以分钟计，人分钟与启用次数为每日平均；J/best 与预知全天的方案相比，末列为按日配对差值及95%区间。</p>",
        f"<p>{escape(document['rule']['zh'])}<br>{escape(document['rule']['en'])}</p>",
    ]
    if len(document["sets"]) != 1:
        parts += ["<h2>All sets</h2>", _table(document["policies"], tested)]
    for name, policies in document["sets"].items():
        parts += [f"<h2>{escape(name)}</h2>", _table(policies, tested)]
        if name in charts:
            parts.append(_charts(*charts[name], prices["target_min"]))
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>edged backtest: {escape(tested)}</title><style>{STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _table(policies: Mapping[str, Mapping[str, Any]], tested: str) -> str:
    heads = "".join(f"<th>{escape(heading).replace(' ', '<br>')}</th>" for heading, _, _ in COLUMNS)
    rows = []
    for policy, figures in policies.items():
        cells = "".join(
            f"<td>{'–' if figures.get(key) is None else form.format(figures[key])}</td>"
            for _, key, form in COLUMNS
        )
        marked = ' class="tested"' if policy == tested else ""
        last = escape(difference(figures.get("tested_minus_this")))
        rows.append(f"<tr{marked}><td>{escape(policy)}</td>{cells}<td>{last}</td></tr>")
    return (
        f'<div class="wide"><table><thead><tr><th>policy</th>{heads}<th>{escape(tested)} minus this, J/day</th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _charts(day: Day, outcome: DayMeasures, target_min: float) -> str:
    curves = outcome.curves
    end = max([at for at, _ in (*curves.waiting, *curves.staff)] + [at for at, _, _ in curves.waits] + [60.0])
    predicted = [(at, predicted_s) for at, predicted_s, _ in curves.waits if predicted_s is not None]
    real = [(at, wait) for at, _, wait in curves.waits]
    name = escape(f"{day.hall} {day.name}")
    return "\n".join(
        (
            _figure(f"{name}: people waiting", end, [("a", _stairs(curves.waiting, end))]),
            _figure(
                f"{name}: windows serving (blue), +1 staff called out (orange)",
                end,
                [("a", _stairs(curves.windows, end)), ("b", _stairs(curves.staff, end))],
            ),
            _scatter(
                f"{name}: wait in minutes by time of arrival: told (blue), real (orange)",
                end,
                predicted,
                real,
            ),
            _against(
                f"{name}: wait in minutes as told (across) and as it was (up); on the line, the prediction was right",
                curves.waits,
                target_min,
            ),
        )
    )


def _stairs(steps: Sequence[tuple[float, int]], end: float) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    for at, value in steps:
        if points:
            points.append((at, points[-1][1]))
        points.append((at, float(value)))
    if points:
        points.append((end, points[-1][1]))
    return points


def _x(minute: float, end: float) -> str:
    return f"{LEFT + minute / end * (WIDTH - LEFT - RIGHT):.1f}"


def _y(value: float, top: float) -> str:
    return f"{HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM):.1f}"


def _frame(end: float, top: float, unit: str = "min") -> str:
    hours = max(1, round(end / 60 / 9)) * 60 if unit == "h" else max(1, round(end / 8))
    marks = []
    for step in range(int(end // hours) + 1):
        label = f"{step * hours / 60:g} h" if unit == "h" else f"{step * hours:g}"
        marks.append(
            f'<text x="{_x(step * hours, end)}" y="{HEIGHT - 6}" text-anchor="middle">{label}</text>'
        )
    for share in (0.0, 0.5, 1.0):
        y = _y(share * top, top)
        marks.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        marks.append(f'<text x="{LEFT - 5}" y="{y}" dy="4" text-anchor="end">{share * top:g}</text>')
    return "".join(marks)


def _svg(caption: str, inside: str) -> str:
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{caption}">{inside}</svg>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _top(values: Iterable[float]) -> float:
    highest = max([*values, 1.0])
    return float(-(-highest // 2) * 2)


def _figure(caption: str, end: float, lines: Sequence[tuple[str, Steps]]) -> str:
    top = _top(value for _, points in lines for _, value in points)
    drawn = "".join(
        f'<polyline class="{colour}" points="{" ".join(f"{_x(at, end)},{_y(value, top)}" for at, value in points)}"/>'
        for colour, points in lines
    )
    return _svg(caption, _frame(end, top, "h") + drawn)


def _scatter(caption: str, end: float, predicted_s: Steps, real: Steps) -> str:
    top = _top(value for _, value in (*predicted_s, *real))
    return _svg(
        caption, _frame(end, top, "h") + _dots("dot", predicted_s, end, top) + _dots("real", real, end, top)
    )


def _against(caption: str, waits: Sequence[tuple[float, float | None, float]], target_min: float) -> str:
    pairs = [(predicted_s, real) for _, predicted_s, real in waits if predicted_s is not None]
    top = _top([value for pair in pairs for value in pair] + [target_min])
    line = f'<line class="b" x1="{_x(0, top)}" y1="{_y(0, top)}" x2="{_x(top, top)}" y2="{_y(top, top)}"/>'
    return _svg(caption, _frame(top, top) + line + _dots("dot", pairs, top, top))


def _dots(colour: str, points: Steps, end: float, top: float) -> str:
    return "".join(
        f'<circle class="{colour}" cx="{_x(at, end)}" cy="{_y(value, top)}" r="2"/>' for at, value in points
    )
