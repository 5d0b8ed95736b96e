"""Section ``calling``: how visitors are called, and what a silent panel is taken to mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Calling:
    """Calls: how often, how long, and what a silent panel is taken to mean."""

    max_calls: int = 3
    call_timeout_s: int = 180
    revive_within_s: int = 1800
    infer_arrival_s: int = 20
    double_press_ms: int = 300
    priority_streak: int = 3
    priority_head_start_s: int = 900
    last_calls: int = 4


BOUNDS: Mapping[str, tuple[int, int]] = {
    "Calling.max_calls": (1, 10),
    "Calling.call_timeout_s": (30, 900),
    "Calling.revive_within_s": (0, 14400),
    "Calling.infer_arrival_s": (0, 300),
    "Calling.double_press_ms": (0, 2000),
    "Calling.priority_streak": (1, 20),
    "Calling.priority_head_start_s": (0, 7200),
    "Calling.last_calls": (1, 8),
}
