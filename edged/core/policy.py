"""What the city may push: thresholds and limits, with the default and the hard bound of each beside it.

``BOUNDS`` maps ``Class.field`` to the inclusive range that the code accepts whoever signed it; the parser in
``edged/central/policies.py`` turns a violation into a refusal with path and remedy. Defaults: field reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Band:
    """When an area asks for a "+1" window and when it gives it back (hysteresis band on callable demand).

    Open: ``waiting > open_above + open_step * n`` (n "+1" windows of the area commanded already) or the oldest visitor
    waited ``open_oldest_wait_s``, for ``open_sustain_s`` and ``cooldown_s`` after the last opening.
    Close: ``waiting <= close_at`` for ``close_sustain_s`` and open for at least ``min_open_s``.
    """

    open_above: int = 8
    open_step: int = 4
    open_oldest_wait_s: int = 1800
    open_sustain_s: int = 0
    close_at: int = 2
    close_sustain_s: int = 180
    min_open_s: int = 900
    cooldown_s: int = 60
    max_windows: int = 4


@dataclass(frozen=True, slots=True)
class Tidal:
    """The tidal loop. ``areas`` overrides ``band`` per area id; ``pool`` caps "+1" windows open at once."""

    enabled: bool = True
    band: Band = Band()
    areas: Mapping[str, Band] = field(default_factory=dict)
    pool: int = 8
    staff_ack_s: int = 60
    staff_arrive_s: int = 300
    retry_s: int = 180


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


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything pushable. The default is what a hall runs before the centre ever spoke."""

    tidal: Tidal = Tidal()
    calling: Calling = Calling()


BOUNDS: Mapping[str, tuple[int, int]] = {
    "Band.open_above": (1, 200),
    "Band.open_step": (0, 100),
    "Band.open_oldest_wait_s": (60, 7200),
    "Band.open_sustain_s": (0, 600),
    "Band.close_at": (0, 100),
    "Band.close_sustain_s": (0, 600),
    "Band.min_open_s": (300, 3600),
    "Band.cooldown_s": (60, 600),
    "Band.max_windows": (1, 50),
    "Tidal.pool": (1, 100),
    "Tidal.staff_ack_s": (15, 600),
    "Tidal.staff_arrive_s": (30, 1800),
    "Tidal.retry_s": (30, 3600),
    "Calling.max_calls": (1, 10),
    "Calling.call_timeout_s": (30, 900),
    "Calling.revive_within_s": (0, 14400),
    "Calling.infer_arrival_s": (0, 300),
    "Calling.double_press_ms": (0, 2000),
    "Calling.priority_streak": (1, 20),
    "Calling.priority_head_start_s": (0, 7200),
    "Calling.last_calls": (1, 8),
}
