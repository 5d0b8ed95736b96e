"""What the rest of the hall asks about its hours: may a number be given, may the tide run, when does it close.

``hours.py`` keeps the answers up to date. Where nobody knows the hours (no policy, or a clock that was never set) the
hall counts as open, and as empty after an hour without a key or a ticket.
"""

from __future__ import annotations

from typing import Literal

from edged.core.calendar.day_spans import SERVING
from edged.core.model.events import Priority
from edged.core.model.state import AreaHours
from edged.core.model.turn import Turn

QUIET_MS = 3_600_000  # an hour without a key or a ticket: whoever still stands in a queue has gone home
Why = Literal["paused", "closed", "self-service", "online", "noon", "stopped", "draining"]


def quiet(turn: Turn) -> bool:
    """Whether nobody has pressed a key or taken a ticket for so long that the hall must be empty."""
    return turn.at_ms - turn.state.active_ms > QUIET_MS


def of(turn: Turn, area: str) -> AreaHours:
    """The hours of an area now."""
    known = turn.state.hours.get(area)
    return AreaHours() if known is None else known


def attended(turn: Turn, area: str) -> bool:
    """Whether people are in the hall and somebody ought to serve them in this area."""
    return _attended(turn, area, of(turn, area))


def _attended(turn: Turn, area: str, own: AreaHours) -> bool:
    if own.phase == "closed" or quiet(turn):
        return False
    return own.phase != "noon" or bool(noon_windows(turn, area))


def tide_runs(turn: Turn, area: str) -> bool:
    """Whether "+1" windows may be asked for: in assisted hours no standby staff are there to be paged."""
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
    """Whether somebody ought to be at this window now: an area of it is open, and at noon it is on the roster."""
    phases = {of(turn, area).phase for area in turn.lookup.window_areas[window]}
    if phases - {"closed", "noon"}:
        return True
    return "noon" in phases and window in turn.state.policy.hours.noon.windows


def refusal(turn: Turn, service: str, priority: Priority = "normal") -> Why | None:
    """Why no number is given for a service now; None if one is given. Who has an appointment gets one whenever the
    area is open.

    What could not be done (办不成事) is taken also while only machines or the network serve: a case outlives the day.
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
