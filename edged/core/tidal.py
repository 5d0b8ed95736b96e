"""The tidal loop (潮汐): when an area asks for a "+1" window, who gets it, and when it is given back.

``evaluate`` looks at one area after anything changed there or its due time came; it does at most one thing. A request
lights the window (blink) and pages one member of staff; only their arrival at the window opens it. No answer in time:
the next member, then the duty manager, then again after ``retry_s``.

Giving back drains: the visitor at the window is served, no
new one is called. Every step leaves a note with rule, inputs, threshold and choice.
"""

from __future__ import annotations

from dataclasses import dataclass

from edged.core import staffing
from edged.core.activation import drain, forget_tries, opened, stand_by
from edged.core.ordering import STAFFED, oldest_issued_ms
from edged.core.turn import Turn
from edged.core.windows import move_window

ACTION_GAP_MS = (
    30_000  # at most one opening or closing per area in 30 s: the next decision sees the effect of the last
)
QUIET_MS = 3_600_000  # an hour without a key or a ticket: whoever still stands in a queue has gone home
HALL_QUIET = "hall_quiet"  # this refusal ends with the next key or ticket; nothing is looked at until then


@dataclass(frozen=True, slots=True)
class Demand:
    """What the rule looks at, and what it found."""

    waiting: int
    oldest_wait_s: float
    commanded: tuple[str, ...]
    threshold: int
    rule: str | None


def commanded(turn: Turn, area: str) -> tuple[str, ...]:
    """Tidal windows of the area that serve it or are about to; draining ones do not count."""
    return tuple(
        window
        for window in turn.lookup.area_windows[area]
        if turn.window(window).area == area
        and (turn.window(window).state == "ACTIVATING" or turn.window(window).state in STAFFED)
    )


def demand(turn: Turn, area: str) -> Demand:
    """Callable demand of the area against its band."""
    band = turn.band(area)
    oldest = oldest_issued_ms(turn, area)
    oldest_wait_s = 0.0 if oldest is None else turn.seconds_since(oldest)
    waiting = turn.area(area).waiting
    windows = commanded(turn, area)
    threshold = band.open_above + band.open_step * len(windows)
    rule = None
    if waiting > threshold:
        rule = "queue"
    elif oldest_wait_s >= band.open_oldest_wait_s:
        rule = "oldest-wait"
    return Demand(waiting, oldest_wait_s, windows, threshold, rule)


def evaluate(turn: Turn, area: str) -> None:
    """Open, close or wait; then say when to look again (``due_ms``)."""
    state = turn.area(area)
    band = turn.band(area)
    now = demand(turn, area)
    lit = any(turn.window(window).state == "ACTIVATING" for window in now.commanded)
    if now.rule is not None:
        state.over_since_ms = turn.at_ms if state.over_since_ms is None else state.over_since_ms
    elif not lit:  # a lit window counts as if it served: that alone does not end the request that lit it
        state.over_since_ms = state.refused = None
        forget_tries(turn, area)
    if now.rule is not None or now.waiting > band.close_at:
        state.under_since_ms = None
    elif state.under_since_ms is None:
        state.under_since_ms = turn.at_ms
    if now.rule is not None:
        _maybe_open(turn, area, now)
    elif state.under_since_ms is not None:
        _maybe_close(turn, area, now)
    state.due_ms = _next_look(turn, area)


def _maybe_open(turn: Turn, area: str, now: Demand) -> None:
    state = turn.area(area)
    band = turn.band(area)
    tidal = turn.state.policy.tidal
    if any(turn.window(window).state == "ACTIVATING" for window in now.commanded):
        return
    if not tidal.enabled:
        state.refused = None
        return
    if turn.at_ms - turn.state.active_ms > QUIET_MS:
        _refuse(turn, area, HALL_QUIET, now)
        return
    if state.escalated_ms is not None:
        if turn.at_ms >= state.escalated_ms + tidal.retry_s * 1000:
            forget_tries(turn, area)
        elif not _somebody_sits_ready(turn, area):
            return
    if turn.at_ms < _earliest_open_ms(turn, area):
        return
    if len(now.commanded) >= band.max_windows:
        _refuse(turn, area, "max_windows", now)
    elif _pool_used(turn) >= tidal.pool:
        _refuse(turn, area, "pool", now)
    else:
        _request(turn, area, now)


def _earliest_open_ms(turn: Turn, area: str) -> int:
    state = turn.area(area)
    band = turn.band(area)
    stamps = [0 if state.over_since_ms is None else state.over_since_ms + band.open_sustain_s * 1000]
    if not (state.tried_staff or state.tried_windows):  # a request nobody answered moves on at once
        if state.last_open_ms is not None:
            stamps.append(state.last_open_ms + band.cooldown_s * 1000)
        if state.last_action_ms is not None:
            stamps.append(state.last_action_ms + ACTION_GAP_MS)
    return max(stamps)


def _pool_used(turn: Turn) -> int:
    return sum(1 for window in turn.state.windows.values() if window.area is not None)


def _request(turn: Turn, area: str, now: Demand) -> None:
    window = _choose_window(turn, area)
    if window is None:
        _refuse(turn, area, "no_window", now)
        return
    state = turn.window(window)
    staffed = state.staff is not None
    staff = state.staff if staffed else staffing.pick(turn, area)
    if staff is None and (staffing.roster(turn, area) or window in turn.area(area).tried_windows):
        _escalate(turn, area, window)
        return
    area_state = turn.area(area)
    area_state.last_open_ms = area_state.last_action_ms = turn.at_ms
    area_state.refused = None
    state.area, state.rule, state.requested_ms = area, now.rule, turn.at_ms
    state.reason = (
        f"{now.rule}: {now.waiting} waiting, limit {now.threshold}, oldest {int(now.oldest_wait_s)} s"
    )
    turn.note(
        "tidal.requested",
        window,
        area=area,
        rule=now.rule,
        waiting=now.waiting,
        threshold=now.threshold,
        oldest_wait_s=now.oldest_wait_s,
        already_open=len(now.commanded),
        chosen_because=_why(turn, window),
        staff=staff,
    )
    if staffed:
        move_window(turn, window, "activate-staffed")
        opened(turn, window)
        return
    move_window(turn, window, "activate")
    state.acknowledged = False
    state.paged_staff = staff
    tidal = turn.state.policy.tidal
    wait_s = tidal.staff_ack_s + (0 if staff else tidal.staff_arrive_s)  # nobody to page: the lamp must do
    state.due_ms = turn.at_ms + wait_s * 1000
    if staff is not None:
        staffing.page(turn, staff, area, window)


def _choose_window(turn: Turn, area: str) -> str | None:
    """An idle tidal window: staffed first, untried first, then fewest turns, longest rest, configuration order."""
    tried = turn.area(area).tried_windows
    idle = [
        window
        for window in turn.lookup.area_windows[area]
        if turn.lookup.windows[window].tidal and turn.window(window).state == "STANDBY"
    ]

    def rank(window: str) -> tuple[bool, bool, int, int]:
        state = turn.window(window)
        return (state.staff is None, window in tried, state.activations, state.last_used_ms)

    return min(idle, key=rank, default=None)


def _somebody_sits_ready(turn: Turn, area: str) -> bool:
    window = _choose_window(turn, area)
    return window is not None and turn.window(window).staff is not None


def _why(turn: Turn, window: str) -> str:
    state = turn.window(window)
    kind = "staffed" if state.staff is not None else "standby"
    return f"{kind}, used {state.activations} times today"


def _refuse(turn: Turn, area: str, reason: str, now: Demand) -> None:
    state = turn.area(area)
    if state.refused != reason:  # once per reason, not once per look
        state.refused = reason
        turn.note("tidal.refused", area, reason=reason, rule=now.rule, waiting=now.waiting)


def _escalate(turn: Turn, area: str, window: str) -> None:
    turn.area(area).escalated_ms = turn.at_ms
    turn.note("tidal.escalated", area, window=window, tried=",".join(turn.area(area).tried_staff))
    staffing.page(turn, staffing.DUTY_MANAGER, area, window)


def _maybe_close(turn: Turn, area: str, now: Demand) -> None:
    state = turn.area(area)
    for window in now.commanded:  # the tide fell before anybody came: put the lamp out
        if turn.window(window).state == "ACTIVATING" and now.waiting == 0:
            turn.note("tidal.released", window, area=area, reason="tide fell before it was staffed", open_s=0)
            stand_by(turn, window)
            forget_tries(turn, area)
            state.over_since_ms = None  # the next queue has to stand its own time
            state.last_action_ms = turn.at_ms
            return
    windows = [w for w in now.commanded if turn.window(w).state in STAFFED]
    if windows and turn.at_ms >= _earliest_close_ms(turn, area):
        state.last_action_ms = turn.at_ms
        band = turn.band(area)
        drain(turn, _choose_release(turn, windows), f"{now.waiting} waiting, limit {band.close_at}")


def _earliest_close_ms(turn: Turn, area: str) -> int:
    state = turn.area(area)
    band = turn.band(area)
    stamps = [0 if state.under_since_ms is None else state.under_since_ms + band.close_sustain_s * 1000]
    for window in commanded(turn, area):
        opened_ms = turn.window(window).opened_ms
        if opened_ms is not None:
            stamps.append(opened_ms + band.min_open_s * 1000)
    if state.last_action_ms is not None:
        stamps.append(state.last_action_ms + ACTION_GAP_MS)
    return max(stamps)


def _choose_release(turn: Turn, windows: list[str]) -> str:
    """An idle window first, else the one open longest."""
    return min(
        windows,
        key=lambda w: (turn.window(w).ticket is not None, turn.window(w).opened_ms or 0, windows.index(w)),
    )


def _next_look(turn: Turn, area: str) -> int | None:
    """The earliest future stamp at which this area could open or close without anything else happening."""
    state = turn.area(area)
    band = turn.band(area)
    stamps: list[int] = []
    if state.over_since_ms is not None and state.refused != HALL_QUIET:
        stamps.append(
            _earliest_open_ms(turn, area) if state.refused is None else _retry_refused_ms(turn, area)
        )
        if state.escalated_ms is not None:
            stamps.append(state.escalated_ms + turn.state.policy.tidal.retry_s * 1000)
    if state.under_since_ms is not None and commanded(turn, area):
        stamps.append(_earliest_close_ms(turn, area))
    oldest = oldest_issued_ms(turn, area)
    if oldest is not None:
        stamps.append(oldest + band.open_oldest_wait_s * 1000)
    return min((stamp for stamp in stamps if stamp > turn.at_ms), default=None)


def _retry_refused_ms(turn: Turn, area: str) -> int:
    """A window or a place in the pool may come free elsewhere: look every ``ACTION_GAP_MS``, not after every event."""
    planned_ms = turn.area(area).due_ms
    latest_ms = turn.at_ms + ACTION_GAP_MS
    return planned_ms if planned_ms is not None and turn.at_ms < planned_ms < latest_ms else latest_ms
