"""Decodes the reports of Milesight people counters; no I/O.

A report may contain cumulative totals, the counts of a time window, and single crossings, also together; the driver
decides which of them count. There are two formats: the VS125 nests ``total: {in_counted, out_counted}`` (sources:
Milesight, VS125 recipient and API guide; a captured report of firmware V_125-LW.1.0.3-r2), the VS133 and VS135 put
``in_counted, out_counted`` on the line itself (firmware V_135.1.0.7). Device clocks freeze in the field, so no time in
a report is used, except a window's start to recognise a repetition.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from edged.driver import Garbled
from edged.strict_json import NotStrictJson, parse

SIZE_MAX_BYTES = 16 * 1024  # wire contract; a VS135 with eight lines stays under 6 KiB
LINES_MAX = 16  # a device has four lines; more is not one of these devices
COUNT_MAX = 2**32 - 1  # the device counts in 32 bits
TEXT_MAX_CHARS = 64  # a line's uuid (36) or a start time (25)

# The three arrays of a report, what their numbers mean, and how they are spelled on a line item.
_ARRAYS: tuple[tuple[str, Literal["total", "window", "crossing"], tuple[str, str]], ...] = (
    ("line_total_data", "total", ("in_counted", "out_counted")),
    ("line_periodic_data", "window", ("in", "out")),
    ("line_trigger_data", "crossing", ("in", "out")),
)


@dataclass(frozen=True, slots=True)
class CountedLine:
    """The counts of one counting line (an entrance, say) in a report: people who ``entered`` and ``left``, in total, in
    a window of time or in a single crossing (``kind``). ``start``: when the window began, as the device's clock writes
    it; "" if the report does not say.
    """

    kind: Literal["total", "window", "crossing"]
    uuid: str
    entered: int
    left: int
    start: str


def decode(payload: bytes) -> tuple[CountedLine, ...]:
    """Decode the counts of every counting line in a report. Raises ``Garbled`` if it cannot be read; the error's text
    is a single fixed word for the log ("no_lines").
    """
    report = _object(payload)
    times = report.get("time_info")
    start = _text(times.get("start_time")) if isinstance(times, dict) else ""
    lines: list[CountedLine] = []
    seen_array = False
    for array, kind, names in _ARRAYS:
        items = report.get(array)
        if items is None:
            continue
        if not isinstance(items, list) or len(items) > LINES_MAX:
            raise Garbled("invalid")
        seen_array = True
        lines.extend(_line(kind, item, names, start) for item in items)
    if not seen_array:
        raise Garbled("no_lines")  # region reports of other models: their numbers mean something else
    return tuple(lines)


def _object(payload: bytes) -> dict[str, Any]:
    try:
        return parse(payload.rstrip(b"\0"), SIZE_MAX_BYTES, None)
    except NotStrictJson as error:
        raise Garbled(error.reason) from None


def _line(
    kind: Literal["total", "window", "crossing"], item: Any, names: tuple[str, str], start: str
) -> CountedLine:
    if not isinstance(item, dict):
        raise Garbled("invalid")
    counts = item.get("total")
    if not isinstance(counts, dict):
        counts = item
    entered, left = (_count(counts, name) for name in names)
    uuid = _text(item.get("line_uuid")) or f"line-{_text(str(item.get('line', '')))}"
    return CountedLine(kind, uuid, entered, left, start)


def _count(counts: dict[str, Any], name: str) -> int:
    """The number of people under ``name``. Raises ``Garbled`` unless it is a whole number, not negative."""
    value = counts.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Garbled("invalid")
    if value != int(value) or not 0 <= value <= COUNT_MAX:
        raise Garbled("invalid")
    return int(value)


def _text(value: Any) -> str:
    return value[:TEXT_MAX_CHARS] if isinstance(value, str) else ""
