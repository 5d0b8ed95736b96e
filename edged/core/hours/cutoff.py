"""When a service stops giving numbers for the day, because windows could not serve more visitors before closing.

A service stops once a visitor who took a number now would be served until later than ``overrun_s`` after closing. The
prediction is the one that opens "+1" windows. Numbers are given again only when there are ``resume_s`` seconds to
spare, so that dispensers do not switch to and fro.
"""

from __future__ import annotations

from math import ceil, inf

from edged.core.model import forecast
from edged.core.model.state import AreaHours
from edged.core.model.turn import Turn
from edged.core.queue import demand


def is_far_off(turn: Turn, own: AreaHours) -> bool:
    """Whether every service gives numbers and closing is too far off for any to stop now. If so, ``judge`` need not be
    called.
    """
    if own.stopped:
        return False
    policy = turn.state.policy.hours.cutoff
    return own.closes_ms is None or not policy.enabled or turn.at_ms < own.closes_ms - policy.within_s * 1000


def judge(turn: Turn, area: str, own: AreaHours) -> int | None:
    """Update ``own.stopped``, the services of the area that give no more numbers today. Returns the stamp at which this
    must be judged again even if nothing else happens; None if at no time.
    """
    if own.closes_ms is None:
        own.stopped.clear()
        return None
    policy = turn.state.policy.hours.cutoff
    last_ms = own.closes_ms - policy.last_s * 1000
    left_ms = own.closes_ms + policy.overrun_s * 1000 - turn.at_ms
    stopped: list[str] = []
    from_ms = own.closes_ms - policy.within_s * 1000
    if turn.at_ms < from_ms or not policy.enabled:
        _set_stopped(turn, area, own, stopped)
        return from_ms if policy.enabled else None
    stamps: list[int] = []
    for service, need_ms in _needs_ms(turn, area).items():
        spare_ms = left_ms - need_ms
        if service in own.stopped:
            spare_ms -= policy.resume_s * 1000
        if spare_ms < 0 or turn.at_ms >= last_ms:
            stopped.append(service)
        else:
            stamps.append(min(turn.at_ms + spare_ms + 1, last_ms))
    _set_stopped(turn, area, own, stopped)
    return min(stamps, default=None)


def _needs_ms(turn: Turn, area: str) -> dict[str, int]:
    """Return, for each service, the milliseconds from now until a visitor who came now would have been served. While no
    window serves, the wait is unknown and only the service time counts.
    """
    now = demand.area_load(turn, area)
    load = now.load
    wait_s = 0.0
    if load.windows > len(load.opening):
        wait_s = forecast.newcomer_wait_s(load, load.windows)
    assert wait_s < inf
    return {service: ceil((wait_s + service_s) * 1000) for service, service_s in now.each_s.items()}


def _set_stopped(turn: Turn, area: str, own: AreaHours, stopped: list[str]) -> None:
    if stopped == own.stopped:
        return
    closes_ms = own.closes_ms
    assert closes_ms is not None
    left_s = (closes_ms - turn.at_ms) / 1000
    for service in turn.lookup.area_services[area]:
        if (service in stopped) != (service in own.stopped):
            kind = "issuing.stopped" if service in stopped else "issuing.resumed"
            turn.note(kind, service, area=area, waiting=turn.area(area).waiting, closes_in_s=left_s)
    own.stopped[:] = stopped
    turn.issuing_changed = True
    turn.touch_area(area)
