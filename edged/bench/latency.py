"""Measures latency cells (one cell: one pair of input and output lines at one rate): the daemon and its peers
alternately, in rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from edged.bench.meter import Samples
from edged.bench.plans import Cell
from edged.bench.sides import BenchCell, Place, Side, figures, pooled

Build = Callable[[BenchCell], list[Side]]
Progress = Callable[[str], None]


def latency(place: Place, build: Build, cells: Sequence[Cell], progress: Progress) -> dict[str, Any]:
    """Measure every cell of one pair of input and output lines; ``build`` starts the daemon and its peers on these
    lines. The figures of the first cell are at the top level of the result. Cells with other messages in the
    background are also under ``background``, by messages per second; the others under ``spacing``, by ms between
    presses.
    """
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        sides = build(BenchCell(place, stack))
        for n, cell in enumerate(cells):
            progress(f"{cell.spacing_ms} ms" + (f", {cell.background}/s around" if cell.background else ""))
            one = figures(pooled(_rounds(sides, cell)))
            if n == 0:
                found = {**one, "spacing_ms": cell.spacing_ms, "background": {}, "spacing": {}}
            if cell.background:
                found["background"][str(cell.background)] = one
            else:
                found["spacing"][str(cell.spacing_ms)] = one
    return found


def _rounds(sides: Sequence[Side], cell: Cell) -> list[dict[str, Samples]]:
    """Measure all sides (the daemon and its peers) in each round: forwards in one, backwards in the next, so that a
    noisy minute of the machine affects all of them.
    """
    rounds = []
    for n in range(cell.rounds):
        one: dict[str, Samples] = {}
        for side in sides if n % 2 == 0 else reversed(sides):
            with side.traffic.flowing(cell.background):
                one[side.name] = side.measure(cell.count, cell.spacing_ms / 1000)
        rounds.append(one)
    return rounds
