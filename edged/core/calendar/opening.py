"""Answers to questions about opening hours: are numbers given, may "+1" windows open, when does the area close?

``hours/phases.py`` keeps the underlying state up to date. Where the hours are unknown (no policy, or the clock was
never set) the hall counts as open. It then counts as empty after an hour without a key or a ticket.
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
    """Whether staff have to serve in this area now. They do not if it is closed, if the hall counts as empty (see
    ``quiet``), or at noon if no window of the area serves through the break.
    """
    return _attended(turn, area, of(turn, area))


def _attended(turn: Turn, area: str, own: AreaHours) -> bool:
    if own.phase == "closed" or quiet(turn):
        return False
    return own.phase != "noon" or bool(noon_windows(turn, area))


def tide_runs(turn: Turn, area: str) -> bool:
    """Whether "+1" windows may be asked for in this area now. They may not in hours of mode "assisted" (帮办): no
    standby staff, who could be paged, are in the hall then.
    """
    own = of(turn, area)
    return own.mode != "assisted" and _attended(turn, area, own)


def closes_in_s(turn: Turn, area: str) -> float | None:
    """Seconds until the area's windows stop serving; negative if closing time is past and visitors with a number are
    still served. None if the area is closed or its hours are unknown.
    """
    closes_ms = of(turn, area).closes_ms
    return None if closes_ms is None else (closes_ms - turn.at_ms) / 1000


def noon_windows(turn: Turn, area: str) -> list[str]:
    """Return the ids of the area's windows that serve through the noon break (午间不断岗)."""
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

    A visitor with an appointment still gets a number when others get none because closing time is near ("stopped").
    Numbers for cases (办不成事) are also given during self-service and online hours, because a case may be answered on
    a later day.
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
