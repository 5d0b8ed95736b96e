"""Formats the comparison of policies as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

COLUMNS = (  # as halls are judged: 平均等候、超时比例、最长等候、优先人员、支援人分钟、启用次数
    ("mean 平均", "mean_wait", "{:.2f}"),
    ("p90", "p90_wait", "{:.1f}"),
    ("> target 超目标", "share_over_target", "{:.1%}"),
    ("> 15", "share_over_15", "{:.1%}"),
    ("> 20", "share_over_20", "{:.1%}"),
    ("> 30", "share_over_30", "{:.1%}"),
    ("longest 最长", "longest_wait", "{:.0f}"),
    ("priority 优先", "priority_mean_wait", "{:.1f}"),
    ("staff min 人分钟", "staff_min_per_day", "{:.0f}"),
    ("opens 启用", "openings_per_day", "{:.1f}"),
    ("short 过短", "short_openings", "{:.0f}"),
    ("J", "J", "{:.0f}"),
    ("J/best", "ratio_to_clairvoyant", "{:.3f}"),
)


def table(name: str, policies: Mapping[str, Mapping[str, Any]], tested: str) -> Table:
    """Make the table of one set of days, with a row for each policy. Waits are in minutes, staff minutes and openings
    per day. The last column is the difference in cost per day: the policy ``tested`` minus the row's.
    """
    count = int(next(iter(policies.values()))["days"])
    found = Table(title=f"{name}: {count} days", title_justify="left")
    found.add_column("policy")
    for heading, _, _ in COLUMNS:
        found.add_column(heading, justify="right")
    found.add_column(f"{tested} minus this, J/day", justify="right")
    for policy, figures in policies.items():
        cells = ["-" if figures.get(key) is None else form.format(figures[key]) for _, key, form in COLUMNS]
        found.add_row(policy, *cells, difference(figures.get("tested_minus_this")))
    return found


def difference(paired: Mapping[str, float | None] | None) -> str:
    """Format how much more a policy costs than the one under test on the same days, as ``+1.2 ± 0.3 (+4.0%)``: mean per
    day, half the width of its 95 % interval, share of the cost. "" for None, the policy under test itself. ``paired``
    has the keys ``J_per_day``, ``half_width_95`` and ``share``.
    """
    if paired is None:
        return ""
    half, share = paired["half_width_95"], paired["share"]
    text = f"{paired['J_per_day']:+.1f}"
    if half is not None:
        text += f" ± {half:.1f}"
    return text if share is None else f"{text} ({share:+.1%})"
