"""What other modules ask about opening hours: whether numbers are given, whether "+1" windows may open, when the area
closes.

``hours/phases.py`` keeps the answers up to date. Where the hours are unknown (no policy, or the clock was never set)
the hall counts as open, and as empty after an hour without a key or a ticket.
"""

from __future__ import annotations

from typing import Literal

from edged.core.calendar.day_spans import SERVING
from edged.core.model.events import Priority
from edged.core.model.state import AreaHours
from edged.core.model.turn import Turn

QUIET_MS = 3_600_000  # an hour without a key or a ticket: those still in the queue have gone home
Why = Literal["paused", "closed", "self-service", "online", "noon", "stopped", "draining"]


def quiet(turn: Turn) -> bool:
    """Whether the hall counts as empty: no key pressed and no ticket taken for ``QUIET_MS``."""
    return turn.at_ms - turn.state.active_ms > QUIET_MS


def of(turn: Turn, area: str) -> AreaHours:
    """The opening hours of an area now; the default ``AreaHours`` (open) if none are known."""
    known = turn.state.hours.get(area)
    return AreaHours() if known is None else known


def attended(turn: Turn, area: str) -> bool:
    """Whether somebody has to serve in this area now: it is not closed, the hall is not empty, and at noon it has a
    window on duty.
    """
    return _attended(turn, area, of(turn, area))


def _attended(turn: Turn, area: str, own: AreaHours) -> bool:
    if own.phase == "closed" or quiet(turn):
        return False
    return own.phase != "noon" or bool(noon_windows(turn, area))


def tide_runs(turn: Turn, area: str) -> bool:
    """Whether "+1" windows may be asked for in this area. Not in assisted hours (帮办, windows serve with a guide): no
    standby staff are there to be paged.
    """
    own = of(turn, area)
    return own.mode != "assisted" and _attended(turn, area, own)


def closes_in_s(turn: Turn, area: str) -> float | None:
    """Seconds until the area's windows stop serving (negative while it drains); None if that is not known."""
    closes_ms = of(turn, area).closes_ms
    return None if closes_ms is None else (closes_ms - turn.at_ms) / 1000


def noon_windows(turn: Turn, area: str) -> list[str]:
    """Windows of the area that stay open at noon (午间不断岗)."""
    on_duty = turn.state.policy.hours.noon.windows
    return [window for window in turn.lookup.area_windows[area] if window in on_duty]


def on_duty(turn: Turn, window: str) -> bool:
    """Whether a clerk should be at this window: one of its areas is open, or it is noon and the policy lists the window
    for noon.
    """
    phases = {of(turn, area).phase for area in turn.lookup.window_areas[window]}
    if phases - {"closed", "noon"}:
        return True
    return "noon" in phases and window in turn.state.policy.hours.noon.windows


def refusal(turn: Turn, service: str, priority: Priority = "normal") -> Why | None:
    """Why the hours allow no number for a service now; None if they do.

    A visitor with an appointment still gets one after the cut-off. Numbers for cases (办不成事) are also given during
    self-service and online hours, because a case may be answered on a later day.
    """
    area = turn.lookup.area_of(service)
    own = of(turn, area)
    if own.phase == "closed" and own.mode not in SERVING:
        return None if turn.lookup.services[service].case else _machines(own)
    if own.phase == "closed":
        return "closed"
    if own.phase == "draining":
        return "draining"
    if service in own.stopped and priority != "appointment":
        return "stopped"
    if own.phase == "noon" and not turn.state.policy.hours.noon.issue and not noon_windows(turn, area):
        return "noon"
    return None


def _machines(own: AreaHours) -> Why:
    return "online" if own.mode == "online" else "self-service"
