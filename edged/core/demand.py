"""What an area is up against: who waits, which windows work, how long the next one would wait.

Windows that serve several areas count for this one with a fair share: one over the areas that have somebody waiting.
Paused and draining windows do not count: they call nobody.
"""

from __future__ import annotations

from edged.core import forecast, staffing
from edged.core.forecast import Load, Range, Stream
from edged.core.ordering import STAFFED, WORKING, ahead
from edged.core.policy import Pw
from edged.core.state import Ticket, WindowState, WindowStateName
from edged.core.turn import Turn

COMMANDED: tuple[WindowStateName, ...] = ("ACTIVATING", *STAFFED)
MINUTE_MS = 60_000
DAY_MIN = 1440
DEFAULT_MEAN_S = 900  # of an area that has no service: nobody will ever wait there


def commanded(turn: Turn, area: str) -> tuple[str, ...]:
    """Tidal windows of the area that serve it or are about to; draining ones do not count."""
    states = turn.state.windows
    return tuple(
        window
        for window in turn.lookup.area_tidal[area]
        if states[window].area == area and states[window].state in COMMANDED
    )


def setup_s(turn: Turn, pw: Pw) -> float:
    """From the page to somebody at the window: learnt, else the policy's guess."""
    return float(pw.setup_s) if turn.state.setup_s is None else turn.state.setup_s


def means_s(turn: Turn, area: str, pw: Pw) -> tuple[dict[str, float], float]:
    """Mean service per service of the area, and of its average visitor."""
    learnt = turn.area(area).learnt
    services = turn.lookup.area_services[area]
    if not services:
        return {}, float(DEFAULT_MEAN_S)
    priors_s = {service: float(turn.lookup.services[service].mean_s) for service in services}
    mix = forecast.mix_of(learnt, services, pw.mix)
    if not pw.typed:
        prior_s = (
            next(iter(priors_s.values()))
            if len(priors_s) == 1
            else sum(mix[s] * priors_s[s] for s in services)
        )
        mean_s = forecast.overall_mean_s(learnt, prior_s, pw.prior_weight)
        return dict.fromkeys(services, mean_s), mean_s
    each_s = forecast.service_means_s(learnt, priors_s, pw.prior_weight)
    return each_s, sum(mix[service] * each_s[service] for service in services)


def load_of(turn: Turn, area: str) -> Load:
    """Who is present and what works for them, now."""
    known = turn.loads.get(area)
    if known is None:
        known = turn.loads[area] = _load(turn, area)
    return known


def _load(turn: Turn, area: str) -> Load:
    pw = turn.pw(area)
    each_s, mean_s = means_s(turn, area, pw)
    busy, windows, opening = _windows(turn, area, pw, each_s)
    return Load(_work(turn, area, pw, each_s, mean_s), busy, windows, mean_s, tuple(opening))


def _work(turn: Turn, area: str, pw: Pw, each_s: dict[str, float], mean_s: float) -> float:
    if not pw.typed:
        return float(turn.area(area).waiting)
    queues = turn.state.queues
    total_s = 0.0
    for service, service_s in each_s.items():
        by_class = queues.get(service)
        if by_class:
            total_s += sum(map(len, by_class.values())) * service_s
    return total_s / mean_s


def _windows(turn: Turn, area: str, pw: Pw, each_s: dict[str, float]) -> tuple[float, float, list[float]]:
    """Busy windows, all windows, and in how many seconds each of those being staffed is ready."""
    busy = windows = 0.0
    opening: list[float] = []
    states, serves = turn.state.windows, turn.lookup.window_areas
    shares: dict[tuple[str, ...], float] = {}  # of windows that are nobody's in particular
    for window in turn.lookup.area_windows[area]:
        state = states[window]
        if state.state in WORKING:
            if state.area is None and state.lent_to is None:
                areas = serves[window]
                share = shares.get(areas, 0.0)
                if not share:
                    share = shares[areas] = share_of(turn, area, window)
            else:
                share = share_of(turn, area, window)
            if state.helpers:
                share *= staffing.pace(turn, state)
            windows += share
            if state.ticket is not None and _still_there(turn, state, pw, each_s):
                busy += share
        elif state.state == "ACTIVATING" and state.area == area:
            windows += 1
            asked_ms = turn.at_ms if state.requested_ms is None else state.requested_ms
            opening.append(max(0.0, setup_s(turn, pw) - turn.seconds_since(asked_ms)))
    return busy, windows, opening


def share_of(turn: Turn, area: str, window: str) -> float:
    """How much of a working window the area has."""
    state = turn.window(window)
    if state.area is not None:
        return 1.0 if state.area == area else 0.0
    if state.lent_to is not None:
        return 1.0 if state.lent_to == area else 0.0
    areas = turn.lookup.window_areas[window]
    if len(areas) == 1:
        return 1.0
    return 1 / (1 + sum(1 for other in areas if other != area and turn.area(other).waiting > 0))


def _still_there(turn: Turn, state: WindowState, pw: Pw, each_s: dict[str, float]) -> bool:
    """A visitor who is served far longer than usual has left, and the end was never heard."""
    ticket = turn.state.tickets[state.ticket] if state.ticket is not None else None
    if ticket is None or ticket.serving_ms is None or not pw.lost_finish_means:
        return True
    mean_s = each_s.get(ticket.service)
    return mean_s is None or turn.seconds_since(ticket.serving_ms) <= pw.lost_finish_means * mean_s


def lost_finish_s(turn: Turn, ticket: Ticket) -> float | None:
    """A service longer than this has ended unheard; None where the policy never assumes that."""
    area = turn.lookup.area_of(ticket.service)
    pw = turn.pw(area)
    if not pw.lost_finish_means:
        return None
    each_s, _ = means_s(turn, area, pw)
    return pw.lost_finish_means * each_s[ticket.service]


def minute_of_day(turn: Turn) -> float | None:
    """Minutes after the hall's midnight; None before the clock was ever set."""
    if turn.state.wall_offset_ms is None:
        return None
    local_ms = turn.at_ms + turn.state.wall_offset_ms + turn.state.utc_offset_min * MINUTE_MS
    return local_ms / MINUTE_MS % DAY_MIN


def plain_stream(turn: Turn, area: str, load: Load) -> Stream:
    """What the area's profile expects; without one (or without a clock) a steady stream for its regular windows."""
    pw = turn.pw(area)
    profile = tuple(pw.profile.get(area, ()))
    minute = minute_of_day(turn)
    if profile and minute is not None:
        return Stream(minute - pw.profile_start_min, profile, 0.0)
    helping = sum(staffing.pace(turn, turn.window(window)) - 1 for window in turn.lookup.area_windows[area])
    regular = max(1.0, load.windows - helping - len(commanded(turn, area)))
    steady = forecast.STEADY_LOAD * regular * 60 / load.mean_s
    return Stream((turn.at_ms - turn.state.day_start_ms) / MINUTE_MS, (), steady)


def newcomer_range(turn: Turn, area: str) -> Range | None:
    """What somebody who takes a ticket now is told; None while nobody can know."""
    if turn.area(area).stale is not None:
        return None
    load = load_of(turn, area)
    if load.windows <= len(load.opening):
        return None  # nobody serves: staffed windows that are only lit are a hope, not a prediction
    return forecast.wait_range(load, load.work)


def ticket_range(turn: Turn, ticket: Ticket) -> Range | None:
    """What a waiting ticket may expect: everybody whom the ordering function calls before it goes first."""
    area = turn.lookup.area_of(ticket.service)
    if turn.area(area).stale is not None:
        return None
    load = load_of(turn, area)
    if load.windows <= len(load.opening):
        return None
    return forecast.wait_range(load, work_ahead(turn, ticket, load.mean_s))


def work_ahead(turn: Turn, ticket: Ticket, mean_s: float) -> float:
    """Everybody whom the ordering function calls before ``ticket``, in units of ``mean_s``."""
    area = turn.lookup.area_of(ticket.service)
    each_s, _ = means_s(turn, area, turn.pw(area))
    return sum(count * each_s[service] for service, count in ahead(turn, ticket).items()) / mean_s
