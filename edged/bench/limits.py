"""The limits stated in the README, and whether a bench kept them. A figure that was not measured has no verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edged.bench.slow_line import POLL_MS, WIRE_MS

LAMP_SPARE_MS = 10.0  # permitted on a slow line in addition to the transmission time of the lamp's own frames
LAG_LEAST_MS = 5.0  # a lag below this is ignored
STALL_US = 20_000.0  # half of the 40 ms that a delayed ACK costs: a median above it is a stall
START_RATIO = 5.0  # for instance half a second if the echo takes a tenth
PROGRAM_RATIOS = {"p50_us": 4.0, "p99_us": 5.0}  # against an echo in C
BESIDE_RATIO = 1.2  # a reader has idle priority and should hardly be noticed
PRESSES_MIN = 1_000  # ten of them are beyond the p99; with fewer it is nearly the slowest one
LATENCIES = ("mqtt_mqtt", "mqtt_modbus_tcp", "mqtt_modbus_rtu", "serial_serial")


@dataclass(frozen=True, slots=True)
class LimitVerdict:
    """One limit and whether it was kept. ``what``: its subject; ``found``: the measured figure; ``bound``: the greatest
    permitted value, or the least permitted one if ``least`` is set.
    """

    what: str
    found: float
    bound: float
    unit: str
    least: bool = False

    @property
    def kept(self) -> bool:
        """Whether the measured figure keeps the limit."""
        return self.found >= self.bound if self.least else self.found <= self.bound

    def to_json(self) -> dict[str, Any]:
        """The verdict as JSON values, for ``--json``."""
        sign = ">=" if self.least else "<="
        found = {"what": self.what, "found": self.found, "limit": f"{sign} {self.bound:g}", "unit": self.unit}
        return found | {"kept": self.kept}


def verdicts(found: Mapping[str, Any]) -> list[LimitVerdict]:
    """Judge every limit whose figure is in ``found``, the result of a bench."""
    parts = (_latencies, _slow_line, _decisions, _beside_the_echo, _plain, _pages, _age)
    return [verdict for part in parts for verdict in part(found)]


def cells(figures: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every latency cell in the figures of one pair of lines, with a name such as "every 20 ms" or "200/s around"
    (other messages a second).
    """
    for spacing, one in figures.get("spacing", {}).items():
        yield f"every {spacing} ms", one
    for rate, one in figures.get("background", {}).items():
        yield f"{rate}/s around", one


def ratio(cell: Mapping[str, Any], which: str, of: str) -> float | None:
    """Divide a figure of the daemon in a cell (``which``: ``p50_us`` or ``p99_us``) by the same figure of the peer
    ``of``; None if either is missing.
    """
    mine, theirs = cell.get(which), cell.get(f"{of}_{which}")
    return round(mine / theirs, 2) if mine is not None and theirs else None


def _latencies(found: Mapping[str, Any]) -> Iterator[LimitVerdict]:
    for key in LATENCIES:
        for name, cell in cells(found.get(key) or {}):
            title = f"{key.replace('_', ' ')}, {name}"
            yield LimitVerdict(f"{title}: outputs lost", cell["lost"], 0, "")
            if cell["p50_us"] is not None:
                yield LimitVerdict(f"{title}: no 40 ms stall, p50", cell["p50_us"], STALL_US, "us")
            for which in ("p50_us", "p99_us"):
                against = ratio(cell, which, "aiomqtt")
                if against is not None:
                    yield LimitVerdict(f"{title}: {which[:3]} / bare aiomqtt", against, 1.0, "x")
                against = ratio(cell, which, "program")
                if against is not None:
                    bound = PROGRAM_RATIOS[which]
                    yield LimitVerdict(f"{title}: {which[:3]} / the echo program", against, bound, "x")


def _slow_line(found: Mapping[str, Any]) -> Iterator[LimitVerdict]:
    line = found.get("rtu_9600")
    if not line or line["healthy"]["p99_ms"] is None or line["one_dead"]["p99_ms"] is None:
        return
    healthy, dead = line["healthy"], line["one_dead"]
    bound = round(WIRE_MS + LAMP_SPARE_MS, 1)
    yield LimitVerdict("9600 baud, 8 others polled: lamp p50", healthy["p50_ms"], bound, "ms")
    yield LimitVerdict(
        "the same: p99, one poll under way", healthy["p99_ms"], round(bound + POLL_MS, 1), "ms"
    )
    yield LimitVerdict(
        "one module dead: p99 of the others", round(dead["p99_ms"] / healthy["p99_ms"], 2), 1.2, "x"
    )
    yield LimitVerdict("9600 baud: lamps lost", healthy["lost"] + dead["lost"], 0, "")


def _decisions(found: Mapping[str, Any]) -> Iterator[LimitVerdict]:
    decisions = found.get("decision_us") or {}
    for windows, bound in (("60", 1000.0), ("1000", 2000.0)):
        if windows in decisions:
            waiting = decisions[windows]["waiting"]
            what = f"decision, {windows} windows, {waiting} waiting: p99"
            yield LimitVerdict(what, decisions[windows]["p99"], bound, "us")


def _beside_the_echo(found: Mapping[str, Any]) -> Iterator[LimitVerdict]:
    """Judge figures that depend on the machine, by their ratio to those of the aiomqtt echo (a bare program that only
    answers) in the same run.
    """
    listed = (
        ("messages a second, sustained", "throughput_msg_s", "aiomqtt_throughput_msg_s", 1.0, True),
        ("processor time of a ticket", "cpu_us_per_ticket", "aiomqtt_cpu_us_per_ticket", 1.0, False),
        ("start to READY", "ready_ms", "aiomqtt_first_ms", START_RATIO, False),
        ("start to the first lit lamp", "first_decision_ms", "aiomqtt_first_ms", START_RATIO, False),
    )
    for what, mine, theirs, bound, least in listed:
        if found.get(mine) is not None and found.get(theirs):
            ratio = round(found[mine] / found[theirs], 2)
            yield LimitVerdict(f"{what} / bare aiomqtt", ratio, bound, "x", least)


def _age(found: Mapping[str, Any]) -> Iterator[LimitVerdict]:
    listed = (
        ("READY from a cold disk", "ready_cold_ms", 2000, "ms"),
        ("why --last 5, beyond the command's own start", "why_ms", 500, "ms"),
        ("reading all days", "read_s", 6, "s"),
        ("journal", "journal_mib", 700, "MiB"),
        ("replay of the last day", "replay_last_day_s", 5, "s"),
    )
    for days, one in (found.get("age") or {}).items():
        for what, key, bound, unit in listed:
            if days.isdigit():
                yield LimitVerdict(f"a journal of {days} days: {what}", one[key], bound, unit)
    beside = (found.get("age") or {}).get("beside_a_reader")
    if beside and beside["p99_us"] is not None and beside["alone_p99_us"]:
        what = "key to lamp beside a rehearsal on the journal"
        yield LimitVerdict(f"{what}: outputs lost", beside["lost"], 0, "")
        if beside["presses"] >= PRESSES_MIN:
            times = round(beside["p99_us"] / beside["alone_p99_us"], 2)
            yield LimitVerdict(f"{what} / without: p99", times, BESIDE_RATIO, "x")


def _pages(found: Mapping[str, Any]) -> Iterator[LimitVerdict]:
    one = found.get("pages")
    if not one:
        return
    for path, kib in one["weight_kib"].items():
        yield LimitVerdict(f"page {path}, compressed", kib, 100, "KiB")
    changes, phones, lag = one["changes"], one["phones"], one["loop_lag_p99_ms"]
    what = f"edged web: {changes['windows']} windows change {changes['per_s']} times a second"
    yield LimitVerdict(what, changes["cpu_percent"], 10, "%")
    yield LimitVerdict(f"edged web: {phones['phones']} phones", phones["cpu_percent"], 25, "%")
    if lag["beside_readers"] is not None and lag["alone"] is not None:
        times = round(lag["beside_readers"] / max(lag["alone"], LAG_LEAST_MS), 2)
        yield LimitVerdict(f"loop late, p99: beside {lag['readers']} readers / alone", times, 2.0, "x")


def _plain(found: Mapping[str, Any]) -> Iterator[LimitVerdict]:
    rss, percent = found.get("rss_mib") or {}, found.get("cpu_percent") or {}
    listed: tuple[tuple[str, Any, float, str], ...] = (
        ("restart with a day's journal", found.get("restart_ms"), 2000, "ms"),
        ("memory after start", rss.get("start"), 45, "MiB"),
        ("memory after 100,000 tickets", rss.get("after_100k"), 60, "MiB"),
        ("processor, idle", percent.get("idle"), 1, "%"),
        ("event loop late, p99", found.get("loop_lag_p99_ms"), 10, "ms"),
        ("lamps right after a 3 s outage of the broker", found.get("broker_back_ms"), 1000, "ms"),
    )
    for what, value, bound, unit in listed:
        if value is not None:
            yield LimitVerdict(what, value, bound, unit)
