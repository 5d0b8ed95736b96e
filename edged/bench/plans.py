"""How long and how often: the full bench (about ten minutes) and the quick one (about a minute)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """One latency cell: ``rounds`` of ``count`` presses every ``spacing_ms``, with ``background`` messages a second."""

    spacing_ms: int
    background: int
    rounds: int
    count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a bench does. The first cell of each list is the headline; seconds are real."""

    mqtt: tuple[Cell, ...]
    tcp: tuple[Cell, ...]
    rtu: tuple[Cell, ...]
    line: tuple[Cell, ...]
    decisions: int  # per size of hall
    load_s: float  # per rate
    cost_s: float


FULL = Plan(
    mqtt=(
        Cell(20, 0, 10, 100),
        Cell(60, 0, 4, 50),
        Cell(120, 0, 4, 25),
        Cell(240, 0, 4, 12),
        Cell(1_000, 0, 2, 10),
        Cell(20, 200, 6, 80),
        Cell(20, 500, 6, 80),
    ),
    tcp=(Cell(20, 0, 6, 100), Cell(20, 200, 6, 80)),
    rtu=(Cell(40, 0, 4, 80), Cell(40, 200, 4, 80)),
    line=(Cell(60, 0, 4, 80), Cell(60, 200, 4, 80)),
    decisions=5_000,
    load_s=4.0,
    cost_s=6.0,
)
QUICK = Plan(
    mqtt=(Cell(20, 0, 2, 40), Cell(60, 0, 2, 10), Cell(20, 200, 2, 40)),
    tcp=(Cell(20, 0, 2, 30), Cell(20, 200, 2, 30)),
    rtu=(Cell(40, 0, 2, 20), Cell(40, 200, 2, 20)),
    line=(Cell(60, 0, 2, 20), Cell(60, 200, 2, 20)),
    decisions=600,
    load_s=1.5,
    cost_s=2.0,
)
