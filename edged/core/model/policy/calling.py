"""Section ``calling``: who is called next, how visitors are called, and what a silent panel is taken to mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from edged.core.model.policy.words import AreaId, ServiceId, Text, WindowId, Word
from edged.core.model.value import value


@value
class CallRule:
    """Whom to prefer. Every condition that is given must hold; none given fits everybody.

    ``windows``: where the rule is tried. ``priorities``: classes, also ``returning`` (back with the missing papers).
    ``min_wait_s``: only who has waited that long. ``name`` stands in the explanation of a call.
    """

    name: Word | None = None
    windows: tuple[WindowId, ...] = ()
    areas: tuple[AreaId, ...] = ()
    services: tuple[ServiceId, ...] = ()
    priorities: tuple[Word, ...] = ()
    min_wait_s: int = 0


@value
class PriorityClass:
    """A priority class; what is not given is as for every class. A ``needs_reason`` class without one is normal."""

    head_start_s: int | None = None
    streak: int | None = None
    needs_reason: bool = False
    label: Text | None = None
    label_en: Text | None = None


@value
class Calling:
    """Calls: in which order, how often, how long, and what a silent panel is taken to mean.

    ``prepare_s``: who was prepared and not announced for so long waits for any window again (0: no two-step calls).
    """

    max_calls: int = 3
    call_timeout_s: int = 180
    revive_within_s: int = 1800
    infer_arrival_s: int = 20
    double_press_ms: int = 300
    priority_streak: int = 3
    priority_head_start_s: int = 900
    return_head_start_s: int = 7200
    classes: Mapping[Word, PriorityClass] = field(default_factory=dict)
    rules: tuple[CallRule, ...] = ()
    last_calls: int = 4
    prepare_s: int = 120


BOUNDS: Mapping[str, tuple[int, int]] = {
    "Calling.max_calls": (1, 10),
    "Calling.call_timeout_s": (30, 900),
    "Calling.revive_within_s": (0, 14400),
    "Calling.infer_arrival_s": (0, 300),
    "Calling.double_press_ms": (0, 2000),
    "Calling.priority_streak": (1, 20),
    "Calling.priority_head_start_s": (0, 7200),
    "Calling.return_head_start_s": (0, 14400),
    "Calling.last_calls": (1, 8),
    "Calling.prepare_s": (0, 900),
    "CallRule.min_wait_s": (0, 14400),
    "PriorityClass.head_start_s": (0, 7200),
    "PriorityClass.streak": (1, 20),
}
