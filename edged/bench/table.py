"""Formats the results of a bench for a terminal: latencies next to those of the peers, other figures, and which limits
were kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from edged.bench.limits import LATENCIES, LimitVerdict, cells, ratio


def report(found: Mapping[str, Any], verdicts: Sequence[LimitVerdict]) -> RenderableType:
    """Make the whole report, as something that the library rich can print, from the result of a bench and the verdicts
    on its limits.
    """
    parts: list[RenderableType] = [_machine(found)]
    if any(found.get(key) for key in LATENCIES):
        parts.append(_latencies(found))
    parts += [_others(found), _verdict(verdicts)]
    return Group(*parts)


def _machine(found: Mapping[str, Any]) -> str:
    load = ", ".join(map(str, found["load_average"]))
    return (
        f"edged {found['edged']}, Python {found['python']}, {found['machine']}, kernel {found['kernel']}\n"
        f"load average {load} at the start; broker: {found['broker']}; reference: {found['reference_broker']}"
    )


def _latencies(found: Mapping[str, Any]) -> Table:
    table = Table(title="From a device's byte to the output's (us)", title_justify="left")
    table.add_column("wires")
    for head in ("p50", "p99", "p99.9", "bare socket p50", "p99", "bare asyncio p50", "aiomqtt p50", "p99"):
        table.add_column(head, justify="right")
    for head in ("x socket", "x aiomqtt", "x program"):
        table.add_column(head, justify="right")
    for key in LATENCIES:
        for name, cell in cells(found.get(key) or {}):
            keys = (
                "p50",
                "p99",
                "p999",
                "limit_p50",
                "limit_p99",
                "asyncio_p50",
                "aiomqtt_p50",
                "aiomqtt_p99",
            )
            row = [_number(cell.get(f"{one}_us")) for one in keys]
            ratios = [_ratio(cell, of) for of in ("limit", "aiomqtt", "program")]
            table.add_row(f"{key.replace('_', ' ')}, {name}", *row, *ratios)
    return table


def _ratio(cell: Mapping[str, Any], of: str) -> str:
    pair = [ratio(cell, which, of) for which in ("p50_us", "p99_us")]
    return " / ".join("-" if one is None else f"{one:.2f}" for one in pair)


def _others(found: Mapping[str, Any]) -> Table:
    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column()
    for name, text in _lines(found):
        table.add_row(name, text)
    return table


def _lines(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for windows, one in (found.get("decision_us") or {}).items():
        yield (
            f"decision, {windows} windows",
            f"p50 {one['p50']} us, p99 {one['p99']} us ({one['cpu_p99']} us of processor), {one['waiting']} waiting",
        )
    if found.get("throughput_msg_s") is not None:
        text = f"{found['throughput_msg_s']} messages/s; bare aiomqtt {found['aiomqtt_throughput_msg_s']}"
        yield "sustained", text
    if "cpu_us_per_ticket" in found:
        text = f"{found['cpu_us_per_ticket']} us; bare aiomqtt {found['aiomqtt_cpu_us_per_ticket']} us"
        yield "processor time of a ticket", text
    if found.get("commit_ms"):
        one = found["commit_ms"]
        yield (
            "commit",
            f"p50 {one['p50']} ms, p99 {one['p99']} ms; bare sync {one['limit_p50']}, {one['limit_p99']} ms",
        )
    for days, one in (found.get("age") or {}).items():
        if days.isdigit():
            text = f"{one['journal_mib']} MiB, READY cold {one['ready_cold_ms']} ms, why {one['why_ms']} ms"
            yield (
                f"journal of {days} days",
                f"{text}, read {one['read_s']} s, last day replayed {one['replay_last_day_s']} s",
            )
    if found.get("age"):
        yield "written for a visitor", f"{found['age']['written']['bytes_per_visitor']} bytes"
        one = found["age"]["beside_a_reader"]
        text = f"p50 {_number(one['p50_us'])} us, p99 {_number(one['p99_us'])} us"
        alone = f"without p50 {_number(one['alone_p50_us'])}, p99 {_number(one['alone_p99_us'])}"
        alone += f" ({one['presses']} presses each)"
        yield "key to lamp beside a rehearsal", f"{text}; {alone}"
    if found.get("ready_ms") is not None:
        echo = f"bare aiomqtt {found['aiomqtt_first_ms']} ms"
        yield "start", f"READY {found['ready_ms']} ms, first lit lamp {found['first_decision_ms']} ms; {echo}"
    if found.get("restart_ms") is not None:
        after = found["rss_after"]
        text = (
            f"{found['restart_ms']} ms, {after['tickets']} tickets in the journal, memory {after['mib']} MiB"
        )
        yield "restart after kill -9", text
    if "cpu_percent" in found:
        one = found["cpu_percent"]
        text = f"idle {one['idle']} %, {one['hall_rate']:g}/s {one['hall']} %, {one['busy_rate']:g}/s {one['busy']} %"
        yield "processor", f"{text}; memory after start {found['rss_mib']['start']} MiB"
    if found.get("pages"):
        yield "pages", _pages(found["pages"])
    if "broker_back_ms" in found:
        one = found["broker_back"]
        yield "broker back after 3 s", f"lamps stand {one['lamp_ms']} ms, keys work {one['key_ms']} ms"
    if "rtu_9600" in found:
        line = found["rtu_9600"]
        for name in ("healthy", "one_dead"):
            text = f"p50 {line[name]['p50_ms']} ms, p99 {line[name]['p99_ms']} ms; its frames take {line['wire_ms']} ms"
            yield f"lamp at 9600 baud, {name.replace('_', ' ')}", text
    if found.get("seconds"):
        took = ", ".join(f"{name} {seconds:.0f}" for name, seconds in found["seconds"].items())
        yield "seconds of each section", took


def _pages(one: Mapping[str, Any]) -> str:
    changes, phones, lag = one["changes"], one["phones"], one["loop_lag_p99_ms"]
    page_lines = f"{changes['windows']} windows at {changes['per_s']}/s {changes['cpu_percent']} %"
    asked = f"{phones['answers_per_s']}/s {phones['cpu_percent']} %, p99 {phones['p99_ms']} ms"
    late = f"alone {lag['alone']} ms, beside {lag['readers']} readers {lag['beside_readers']} ms"
    return f"{page_lines}; {phones['phones']} phones {asked}; loop late p99 {late}"


def _verdict(verdicts: Sequence[LimitVerdict]) -> Table:
    broken = sum(not one.kept for one in verdicts)
    table = Table(title=f"Limits: {len(verdicts) - broken} kept, {broken} broken", title_justify="left")
    for head in ("limit", "found", "must be", ""):
        table.add_column(head, justify="right" if head in ("found", "must be") else "left")
    for one in sorted(verdicts, key=lambda verdict: verdict.kept):
        sign = ">=" if one.least else "<="
        word = "kept" if one.kept else "[bold]broken[/bold]"
        table.add_row(one.what, f"{one.found:g} {one.unit}", f"{sign} {one.bound:g} {one.unit}", word)
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
