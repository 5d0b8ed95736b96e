"""The load of an area: who waits, which windows work, how long somebody who came now would wait.

The time of a window that serves several areas is divided equally among those where somebody waits. Paused and draining
windows do not count, because they call nobody; nor does one with the alarm "unmanned" (空岗), until a key is pressed
there. If all windows are unmanned no wait is predicted for visitors, and the tide is evaluated as if they were staffed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import floor
from typing import NamedTuple

from edged.core.calendar import opening
from edged.core.model import forecast
from edged.core.model.forecast import Load, Range, Stream
from edged.core.model.policy import Pw
from edged.core.model.state import Ticket, WindowStateName
from edged.core.model.turn import AreaLoad, Turn
from edged.core.people import alarms, staffing
from edged.core.queue.ordering import STAFFED, WORKING, ahead, queued_since_ms

COMMANDED: tuple[WindowStateName, ...] = ("ACTIVATING", *STAFFED)
MINUTE_MS = 60_000
DAY_MIN = 1440
FOR_EVER_MS = 1 << 62
DEFAULT_MEAN_S = 900  # of an area without services, where nobody can wait


def commanded(turn: Turn, area: str) -> tuple[str, ...]:
    """The tidal windows that serve the area or are asked to; draining ones do not count."""
    return area_load(turn, area).commanded


def means_s(turn: Turn, area: str, pw: Pw) -> tuple[dict[str, float], float]:
    """The mean service time in seconds: of each service of the area, and of its average visitor."""
    learnt = turn.area(area).learnt
    services = turn.lookup.area_services[area]
    if not services:
        return {}, float(DEFAULT_MEAN_S)
    priors_s = {service: float(turn.lookup.services[service].mean_s) for service in services}
    if not pw.typed:
        prior_s = priors_s[services[0]]
        if len(priors_s) > 1:
            mix = forecast.mix_of(learnt, services, pw.mix)
            prior_s = sum([mix[s] * priors_s[s] for s in services])
        mean_s = forecast.overall_mean_s(learnt, prior_s, pw.prior_weight)
        return dict.fromkeys(services, mean_s), mean_s
    each_s = forecast.service_means_s(learnt, priors_s, pw.prior_weight)
    if len(each_s) == 1:
        return each_s, each_s[services[0]]
    mix = forecast.mix_of(learnt, services, pw.mix)
    return each_s, sum([mix[service] * each_s[service] for service in services])


def load_of(turn: Turn, area: str) -> Load:
    """The people who wait and are served in the area, and the windows that work for them now."""
    return area_load(turn, area).load


def area_load(turn: Turn, area: str) -> AreaLoad:
    """The load of an area, cached until something in the area changes or its ``until_ms`` is over."""
    load = turn.loads.get(area)
    if load is None or turn.at_ms > load.until_ms:
        load = turn.loads[area] = work_out(turn, area)
    return load


def work_out(turn: Turn, area: str) -> AreaLoad:
    """Compute the load of an area from the state."""
    pw, states = turn.pw(area), turn.state.windows
    each_s, mean_s = means_s(turn, area, pw)
    working = _windows(turn, area, pw, each_s)
    work = _work(turn, area, pw, each_s, mean_s)
    load = Load(
        work, working.busy, working.windows, mean_s, tuple(working.opening), hoped=tuple(working.hoped)
    )
    oldest_ms, priority_ms = queued_since_ms(turn, area)
    unknown = turn.area(area).stale is not None or not working.manned
    wait, until_ms = None if unknown else _newcomer(load), working.until_ms
    if working.leaving:
        leaving = tuple(sorted(working.leaving))
        ahead_s = max(staffing.setup_s(turn, pw), 0.0 if wait is None else wait.high_s)
        if leaving[0][0] <= ahead_s:  # within the predicted wait, or before another clerk could be there
            load, until_ms = load._replace(leaving=leaving), turn.at_ms
            wait = None if unknown else _newcomer(load)
        else:
            until_ms = min(until_ms, turn.at_ms + floor((leaving[0][0] - ahead_s) * 1000))
    wait = None if wait is None else through_rest(turn, area, wait)
    ordered = tuple(
        window
        for window in turn.lookup.area_tidal[area]
        if states[window].area == area and states[window].state in COMMANDED
    )
    wait_range_s = None if wait is None else wait.rounded_to_minutes_s()
    rest = opening.of(turn, area).rest_ms
    if wait is not None and rest is not None:  # later the same wait reaches into noon
        until_ms = min(until_ms, max(turn.at_ms, rest[0] - round(wait.high_s * 1000)))
    return AreaLoad(
        load,
        each_s,
        ordered,
        oldest_ms,
        priority_ms,
        wait_range_s,
        until_ms,
        working.manned,
        working.unmanned,
    )


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


class _Working(NamedTuple):
    """The windows that work for an area; one that serves several areas counts as a fraction. ``busy`` of ``windows``
    have a visitor; ``opening``: in how many seconds each window that waits for its staff is ready; ``until_ms``: the
    last stamp at which these figures are true.

    ``manned``: somebody is at one of them. ``unmanned``: further windows, not counted. ``hoped``, ``leaving``: as in
    ``Load``.
    """

    busy: float
    windows: float
    opening: list[float]
    hoped: list[float]
    leaving: list[tuple[float, float]]
    until_ms: int
    manned: bool = True
    unmanned: float = 0.0


def _windows(turn: Turn, area: str, pw: Pw, each_s: Mapping[str, float]) -> _Working:
    if not turn.state.alarms:
        return _count(turn, area, pw, each_s, ())
    unmanned = [
        window
        for window in turn.lookup.area_windows[area]
        if turn.window(window).state in WORKING and alarms.is_raised(turn, alarms.UNMANNED, window)
    ]
    found = _count(turn, area, pw, each_s, unmanned)
    if not unmanned or found.windows > len(found.opening):
        return found
    return _count(turn, area, pw, each_s, ())._replace(manned=False)


def _count(turn: Turn, area: str, pw: Pw, each_s: Mapping[str, float], unmanned: Collection[str]) -> _Working:
    busy = windows = 0.0
    opening: list[float] = []
    hoped: list[float] = []
    leaving: list[tuple[float, float]] = []
    until_ms = FOR_EVER_MS
    states, serves = turn.state.windows, turn.lookup.window_areas
    shares: dict[tuple[str, ...], float] = {}  # shares of windows that are neither activated nor lent
    missing = 0.0
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
            if window in unmanned:
                missing += share
                continue
            windows += share
            leaving += _leaving(turn, area, [state.staff, *state.helpers], share)
            if state.ticket is not None:
                gone_ms = _gone_ms(turn, state.ticket, pw, each_s)
                if turn.at_ms < gone_ms:
                    busy += share
                    until_ms = min(until_ms, gone_ms - 1)
        elif state.state == "ACTIVATING" and state.area == area:
            until_ms = turn.at_ms  # the time until it is ready shrinks
            asked_ms = turn.at_ms if state.requested_ms is None else state.requested_ms
            ready_s = max(0.0, staffing.setup_s(turn, pw) - turn.seconds_since(asked_ms))
            paged = state.paged_staff
            # a member whose shift ends before that will not serve
            if paged not in turn.lookup.staff or staffing.on_shift(turn, paged, ready_s):
                windows += 1
                opening.append(ready_s)
                leaving += _leaving(turn, area, [paged], 1.0)
                if paged is None and staffing.has_standby(turn, area):
                    hoped.append(ready_s)
    return _Working(busy, windows, opening, hoped, leaving, until_ms, unmanned=missing)


def _leaving(turn: Turn, area: str, people: list[str | None], share: float) -> list[tuple[float, float]]:
    """Return a pair for each person whose shift ends at a window: in how many seconds, and how much of the window's
    ``share`` ends then. If everybody leaves, the parts add up to ``share``.

    Left out are those who are back on shift when the noon break ends, and those who stay until closing time.
    """
    if people == [None]:
        return []
    own, ends = opening.of(turn, area), []
    for staff in people:
        left_s = None if staff is None else staffing.leaves_in_s(turn, staff)
        if staff is None or left_s is None:
            continue
        end_ms = turn.at_ms + round(left_s * 1000)
        if own.closes_ms is not None and end_ms >= own.closes_ms:
            continue
        if own.rest_ms is not None and own.rest_ms[0] <= end_ms <= own.rest_ms[1]:
            back = staffing.on_shift(turn, staff, (own.rest_ms[1] - turn.at_ms) / 1000)
        else:
            back = False
        if not back:
            ends.append(left_s)
    if not ends:
        return []
    each = turn.state.policy.staffing.helper_percent / 100
    each *= share / (1 + (len(people) - 1) * each)
    shares = [each] * len(ends)
    if len(ends) == len(people):
        shares[-1] = share - each * (len(people) - 1)
    return list(zip(sorted(ends), shares, strict=True))


def share_of(turn: Turn, area: str, window: str) -> float:
    """The share, from 0 to 1, of the time of the working window ``window`` that ``area`` gets."""
    state = turn.window(window)
    if state.area is not None:
        return 1.0 if state.area == area else 0.0
    if state.lent_to is not None:
        return 1.0 if state.lent_to == area else 0.0
    areas = turn.lookup.window_areas[window]
    if len(areas) == 1:
        return 1.0
    return 1 / (1 + sum(1 for other in areas if other != area and turn.area(other).waiting > 0))


def _gone_ms(turn: Turn, ticket_id: int, pw: Pw, each_s: Mapping[str, float]) -> int:
    """Return the stamp from which the visitor counts as gone: they have been served far longer than usual and no end
    was reported. ``FOR_EVER_MS`` if they are not served yet or the policy never assumes it.
    """
    ticket = turn.state.tickets[ticket_id]
    mean_s = each_s.get(ticket.service)
    if ticket.serving_ms is None or not pw.lost_finish_means or mean_s is None:
        return FOR_EVER_MS
    return ticket.serving_ms + floor(pw.lost_finish_means * mean_s * 1000) + 1


def lost_finish_s(turn: Turn, ticket: Ticket) -> float | None:
    """Return after how many seconds of service a visitor counts as gone although no end was reported; None if the
    policy never assumes that.
    """
    area = turn.lookup.area_of(ticket.service)
    pw = turn.pw(area)
    if not pw.lost_finish_means:
        return None
    return pw.lost_finish_means * area_load(turn, area).each_s[ticket.service]


def minute_of_day(turn: Turn) -> float | None:
    """The hall's local time, in minutes after midnight with fractions; None before the clock was ever set."""
    if turn.state.wall_offset_ms is None:
        return None
    local_ms = turn.at_ms + turn.state.wall_offset_ms + turn.state.utc_offset_min * MINUTE_MS
    return local_ms / MINUTE_MS % DAY_MIN


def plain_stream(turn: Turn, area: str, load: Load) -> Stream:
    """The arrivals that the area's profile expects. Without a profile, or before the clock was ever set: a steady
    stream that keeps the area's regular windows busy.
    """
    pw = turn.pw(area)
    profile = tuple(pw.profile.get(area, ()))
    minute = minute_of_day(turn)
    if profile and minute is not None:
        return Stream(minute - pw.profile_start_min, profile, 0.0)
    states = map(turn.state.windows.__getitem__, turn.lookup.area_windows[area])
    helping = sum(staffing.pace(turn, state) - 1 for state in states if state.helpers)
    now = area_load(turn, area)
    regular = max(1.0, load.windows + now.unmanned - helping - len(now.commanded))
    steady = forecast.STEADY_LOAD * regular * 60 / load.mean_s
    return Stream((turn.at_ms - turn.state.day_start_ms) / MINUTE_MS, (), steady)


def newcomer_range(turn: Turn, area: str) -> Range | None:
    """The predicted wait of somebody who takes a ticket now; None while no prediction is possible."""
    unknown = turn.area(area).stale is not None or not area_load(turn, area).manned
    found = None if unknown else _newcomer(load_of(turn, area))
    return None if found is None else through_rest(turn, area, found)


def _newcomer(load: Load) -> Range | None:
    if load.windows <= len(load.opening):
        return None  # nobody serves yet: no prediction from windows that are only lit
    return forecast.wait_range(load, load.work)


def ticket_range(turn: Turn, ticket: Ticket) -> Range | None:
    """The predicted wait of a waiting ticket, after everybody whom the order of calling puts before it; None while no
    prediction is possible.
    """
    area = turn.lookup.area_of(ticket.service)
    if turn.area(area).stale is not None or not area_load(turn, area).manned:
        return None
    load = load_of(turn, area)
    if load.windows <= len(load.opening):
        return None
    found = forecast.wait_range(load, work_ahead(turn, ticket))
    return None if found is None else through_rest(turn, area, found)


def through_rest(turn: Turn, area: str, wait: Range) -> Range | None:
    """The predicted wait ``wait`` lengthened by today's noon break if it reaches into it; None during the break and
    while the area is closed.

    Nobody is called then, so visitors are told when the break ends or the area opens instead of a wait.
    """
    own = opening.of(turn, area)
    if own.known and own.phase == "closed":
        return None
    if own.rest_ms is None or turn.at_ms >= own.rest_ms[1]:
        return wait
    starts_ms, ends_ms = own.rest_ms
    if turn.at_ms >= starts_ms:
        return None
    before_s, rest_s = (starts_ms - turn.at_ms) / 1000, (ends_ms - starts_ms) / 1000
    return Range(*(wait_s if wait_s < before_s else wait_s + rest_s for wait_s in wait))


def work_ahead(turn: Turn, ticket: Ticket) -> float:
    """How much work waits before ``ticket``, in units of the area's mean service time."""
    now = area_load(turn, turn.lookup.area_of(ticket.service))
    return (
        sum(count * now.each_s[service] for service, count in ahead(turn, ticket).items()) / now.load.mean_s
    )
