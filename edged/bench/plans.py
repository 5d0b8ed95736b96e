"""Durations and repetitions of the full bench (half an hour) and the quick one (about two minutes)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """One latency measurement: ``rounds`` of ``count`` presses, one every ``spacing_ms``, while ``background`` other
    messages a second are sent.
    """

    spacing_ms: int
    background: int
    rounds: int
    count: int


@dataclass(frozen=True, slots=True)
class Age:
    """Parameters for the measurement of an old journal: ``days`` business days of ``tickets`` visitors; each figure is
    measured ``times`` times. To see what a reader of the journal costs a key press, ``rounds`` rounds are run, each of
    ``presses`` key presses while a program reads and as many while none does.
    """

    days: int
    tickets: int
    times: int
    rounds: int
    presses: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Parameters of a bench run. If a pair of lines has several cells, its main figure is that of the first. Durations
    are in real seconds.
    """

    mqtt: tuple[Cell, ...]
    tcp: tuple[Cell, ...]
    rtu: tuple[Cell, ...]
    line: tuple[Cell, ...]
    decisions: int  # per size of hall
    rates: tuple[int, ...]  # messages a second to try
    load_s: float  # for each
    halvings: int  # between the best rate that was sustained and the first that was not
    cost_s: float
    slow_line: tuple[int, int]  # rounds, presses
    commits: int
    starts: int
    quiet_s: float  # for each of three loads
    day_tickets: int
    age: Age


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
    rates=(100, 250, 500, 1_000, 1_500, 2_000, 3_000, 4_000, 6_000, 8_000, 10_000, 12_000, 15_000, 20_000),
    load_s=4.0,
    halvings=2,
    cost_s=6.0,
    slow_line=(4, 250),
    commits=1_000,
    starts=5,
    quiet_s=30.0,
    day_tickets=100_000,
    age=Age(days=90, tickets=1_920, times=3, rounds=30, presses=50),
)
QUICK = Plan(
    mqtt=(Cell(20, 0, 2, 30), Cell(60, 0, 2, 10), Cell(20, 200, 2, 30)),
    tcp=(Cell(20, 0, 2, 20), Cell(20, 200, 2, 20)),
    rtu=(Cell(40, 0, 2, 10), Cell(40, 200, 2, 10)),
    line=(Cell(60, 0, 2, 10), Cell(60, 200, 2, 10)),
    decisions=600,
    rates=(250, 1_000, 4_000, 10_000),
    load_s=1.5,
    halvings=1,
    cost_s=1.5,
    slow_line=(2, 20),
    commits=100,
    starts=1,
    quiet_s=2.0,
    day_tickets=200,
    age=Age(days=2, tickets=480, times=1, rounds=3, presses=25),
)
