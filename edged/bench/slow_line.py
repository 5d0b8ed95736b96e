"""Measures lamps on a Modbus RTU line (RS-485) with its real transmission time, 9600 baud 8N1. The daemon polls nine
modules; on one line all of them answer, on a second line the ninth does not.

A write is eight characters and a silence of 3.5, and so is its answer: 24 ms together. A lamp may also have to wait for
the end of a poll that is under way (21 characters).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from edged.bench.meter import Samples
from edged.bench.receivers import GAP_CHARS, RTU_REQUEST_BYTES, RtuLine
from edged.bench.sides import LOST_IN_ROW_MAX, BenchCell, Place, Side, slow_line_side
from edged.clock import perf_s

BAUDRATE = 9600
CHAR_S = 10 / BAUDRATE
UNITS = 9
LIVE_UNITS = range(1, UNITS)
SPACING_S = 0.075  # between presses on one line: time for a write, its read-back and some more
WIRE_MS = 2 * (RTU_REQUEST_BYTES + GAP_CHARS) * CHAR_S * 1000
POLL_MS = (
    (RTU_REQUEST_BYTES + 6 + 2 * GAP_CHARS) * CHAR_S * 1000
)  # its answer: unit, function, count, bits, CRC


def slow_line(place: Place, rounds: int, count: int) -> dict[str, Any]:
    """Measure p50 and p99, in ms, of the lamps of eight modules: on a line with a ninth module that answers
    (``healthy``), and on one with a ninth that is dead (``one_dead``). ``rounds`` of ``count`` presses each.
    """
    with ExitStack() as stack:
        room = BenchCell(place, stack)
        lines = [RtuLine(UNITS, CHAR_S), RtuLine(UNITS, CHAR_S, dead=(UNITS,))]
        for line in lines:
            stack.callback(line.close)
        sides = [slow_line_side(room, line, LIVE_UNITS) for line in lines]
        samples = [Samples(), Samples()]
        for side in sides:
            side.measure(len(LIVE_UNITS), SPACING_S)
        for n in range(rounds):
            _round(room, sides, samples, count, (0, 1) if n % 2 == 0 else (1, 0))
    healthy, dead = samples
    return {
        "rtu_9600": {
            "baudrate": BAUDRATE,
            "wire_ms": round(WIRE_MS, 1),
            "poll_ms": round(POLL_MS, 1),
            "healthy": _figures(healthy),
            "one_dead": _figures(dead),
        }
    }


def _round(
    room: BenchCell, sides: Sequence[Side], samples: Sequence[Samples], count: int, order: tuple[int, int]
) -> None:
    """Press ``count`` times on each of two lines, alternately, so that both have the same conditions. ``order``: which
    line is first; the results are added to ``samples``. Ends early once ``LOST_IN_ROW_MAX`` outputs are missing.
    """
    next_s = perf_s()
    for _ in range(count):
        if sum(one.lost for one in samples) >= LOST_IN_ROW_MAX:
            return
        room.meter.idle(next_s)
        next_s = max(next_s + SPACING_S, perf_s())
        for which in order:
            samples[which].add(sides[which].measure(1, 0.0))


def _figures(samples: Samples) -> dict[str, Any]:
    p50, p99 = samples.us(0.5), samples.us(0.99)
    return {
        "p50_ms": None if p50 is None else round(p50 / 1000, 1),
        "p99_ms": None if p99 is None else round(p99 / 1000, 1),
        "samples": len(samples.seconds),
        "lost": samples.lost,
    }
