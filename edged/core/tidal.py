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
from edged.core.ordering import oldest_issued_ms
from edged.core.policy import Band
from edged.core.turn import Turn
from edged.core.windows import STAFFED, move_window

ACTION_GAP_MS = (
    30_000  # at most one opening or closing per area in 30 s: the next decision sees the effect of the last
)


@dataclass(frozen=True, slots=True)
class Demand:
    """What the rule looks at, and what it found."""

    waiting: int
    oldest_wait_s: float
    commanded: tuple[str, ...]
    threshold: int
    rule: str | None


def band_of(turn: Turn, area: str) -> Band:
    """The area's own band, or the hall's."""
    tidal = turn.state.policy.tidal
    return tidal.areas.get(area, tidal.band)


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
    band = band_of(turn, area)
    oldest = oldest_issued_ms(turn.state, turn.lookup.area_services[area])
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
    band = band_of(turn, area)
    now = demand(turn, area)
    if now.rule is None:
        state.over_since_ms = None
        state.refused = None
        if state.tried_staff or state.tried_windows or state.escalated_ms is not None:
            _forget_tries(turn, area)
    elif state.over_since_ms is None:
        state.over_since_ms = turn.at_ms
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
    band = band_of(turn, area)
    tidal = turn.state.policy.tidal
    if any(turn.window(window).state == "ACTIVATING" for window in now.commanded):
        return
    if state.escalated_ms is not None:
        if turn.at_ms < state.escalated_ms + tidal.retry_s * 1000:
            return
        _forget_tries(turn, area)
    if not tidal.enabled or turn.at_ms < _earliest_open_ms(turn, area):
        return
    if len(now.commanded) >= band.max_windows:
        _refuse(turn, area, "max_windows", now)
    elif _pool_used(turn) >= tidal.pool:
        _refuse(turn, area, "pool", now)
    else:
        _request(turn, area, now)


def _earliest_open_ms(turn: Turn, area: str) -> int:
    state = turn.area(area)
    band = band_of(turn, area)
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
    if staff is None and staffing.roster(turn, area):
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


def _forget_tries(turn: Turn, area: str) -> None:
    state = turn.area(area)
    state.tried_staff.clear()
    state.tried_windows.clear()
    state.escalated_ms = None


def accept(turn: Turn, staff: str) -> None:
    """A paged member says: I am coming. The window still is only lit until they are there."""
    window = _window_paged_for(turn, staff)
    if window is None:
        turn.ignore(staff, "not_paged")
        return
    state = turn.window(window)
    state.acknowledged = True
    state.due_ms = turn.at_ms + turn.state.policy.tidal.staff_arrive_s * 1000
    turn.touch_window(window)
    turn.note("staff.answered", staff, window=window, answer="accept")
    turn.note("tidal.acknowledged", window, area=state.area, staff=staff)


def decline(turn: Turn, staff: str) -> None:
    """A paged member says no: the next one is asked at once."""
    window = _window_paged_for(turn, staff)
    if window is None:
        turn.ignore(staff, "not_paged")
        return
    turn.note("staff.answered", staff, window=window, answer="decline")
    unanswered(turn, window, reason="declined")


def _window_paged_for(turn: Turn, staff: str) -> str | None:
    member = turn.state.staff[staff]
    if member.state != "paged" or member.window is None:
        return None
    state = turn.window(member.window)
    return member.window if state.state == "ACTIVATING" and state.paged_staff == staff else None


def unanswered(turn: Turn, window: str, reason: str) -> None:
    """Nobody came to the lit window in time: it goes dark, and the area asks the next member."""
    state = turn.window(window)
    area = turn.area(state.area) if state.area is not None else None
    turn.note("tidal.unanswered", window, area=state.area, staff=state.paged_staff, reason=reason)
    if area is not None:
        area.tried_windows.append(window)
        if state.paged_staff is not None:
            area.tried_staff.append(state.paged_staff)
    _stand_by(turn, window, "give-up")


def acknowledge(turn: Turn, window: str, staff: str | None) -> None:
    """Somebody stands at the lit window (login, a key, the first call): it opens."""
    state = turn.window(window)
    paged, state.paged_staff = state.paged_staff, None
    if paged is not None and staff not in (None, paged):
        staffing.rest(turn, paged)
    if not move_window(turn, window, "acknowledge"):
        return
    who = staff or paged
    if who is not None:
        staffing.bind(turn, who, window)
    opened(turn, window)


def opened(turn: Turn, window: str) -> None:
    """Bookkeeping of a window that now serves its area as "+1"."""
    state = turn.window(window)
    state.opened_ms = state.last_used_ms = turn.at_ms
    state.activations += 1
    state.due_ms = None
    if state.staff is not None and state.staff in turn.state.staff:
        turn.state.staff[state.staff].activations += 1
    if state.area is not None:
        turn.area(state.area).last_open_ms = turn.at_ms
        _forget_tries(turn, state.area)
    to_staffed_s = 0.0 if state.requested_ms is None else turn.seconds_since(state.requested_ms)
    turn.note(
        "tidal.opened",
        window,
        area=state.area,
        rule=state.rule,
        reason=state.reason,
        staff=state.staff,
        to_staffed_s=to_staffed_s,
    )


def _maybe_close(turn: Turn, area: str, now: Demand) -> None:
    state = turn.area(area)
    for window in now.commanded:  # the tide fell before anybody came: put the lamp out
        if turn.window(window).state == "ACTIVATING" and now.waiting == 0:
            turn.note("tidal.released", window, area=area, reason="tide fell before it was staffed", open_s=0)
            _stand_by(turn, window, "give-up")
            state.last_action_ms = turn.at_ms
            return
    windows = [w for w in now.commanded if turn.window(w).state in STAFFED]
    if windows and turn.at_ms >= _earliest_close_ms(turn, area):
        state.last_action_ms = turn.at_ms
        band = band_of(turn, area)
        drain(turn, _choose_release(turn, windows), f"{now.waiting} waiting, limit {band.close_at}")


def _earliest_close_ms(turn: Turn, area: str) -> int:
    state = turn.area(area)
    band = band_of(turn, area)
    stamps = [0 if state.under_since_ms is None else state.under_since_ms + band.close_sustain_s * 1000]
    if state.last_open_ms is not None:
        stamps.append(state.last_open_ms + band.min_open_s * 1000)
    if state.last_action_ms is not None:
        stamps.append(state.last_action_ms + ACTION_GAP_MS)
    return max(stamps)


def _choose_release(turn: Turn, windows: list[str]) -> str:
    """An idle window first, else the one open longest."""
    return min(
        windows,
        key=lambda w: (turn.window(w).ticket is not None, turn.window(w).opened_ms or 0, windows.index(w)),
    )


def drain(turn: Turn, window: str, reason: str) -> None:
    """Give the window back: serve whoever is there, call nobody new."""
    state = turn.window(window)
    if state.state == "PAUSED" and state.ticket is not None:
        move_window(turn, window, "unpause-serving")
    if move_window(turn, window, "drain"):
        turn.note("tidal.draining", window, area=state.area, reason=reason)


def settle(turn: Turn, window: str) -> None:
    """A drained window is released: staff rest, the window cools down, then stands by."""
    state = turn.window(window)
    if state.state != "COOLDOWN" or state.area is None:
        return
    open_s = 0.0 if state.opened_ms is None else turn.seconds_since(state.opened_ms)
    turn.note("tidal.released", window, area=state.area, staff=state.staff, open_s=open_s)
    band = band_of(turn, state.area)
    turn.touch_area(state.area)
    staffing.unbind_window(turn, window)
    _clear(turn, window)
    state.due_ms = turn.at_ms + band.cooldown_s * 1000


def _stand_by(turn: Turn, window: str, trigger: str) -> None:
    state = turn.window(window)
    if state.paged_staff is not None:
        staffing.rest(turn, state.paged_staff)
    if move_window(turn, window, trigger):
        _clear(turn, window)


def _clear(turn: Turn, window: str) -> None:
    state = turn.window(window)
    state.area = state.rule = state.reason = state.paged_staff = None
    state.requested_ms = state.opened_ms = state.due_ms = None
    state.acknowledged = False


def _next_look(turn: Turn, area: str) -> int | None:
    """The earliest future stamp at which this area could open or close without anything else happening."""
    state = turn.area(area)
    band = band_of(turn, area)
    stamps: list[int] = []
    if state.over_since_ms is not None:
        retry = state.refused is not None
        stamps.append(turn.at_ms + ACTION_GAP_MS if retry else _earliest_open_ms(turn, area))
        if state.escalated_ms is not None:
            stamps.append(state.escalated_ms + turn.state.policy.tidal.retry_s * 1000)
    elif state.under_since_ms is not None and commanded(turn, area):
        stamps.append(_earliest_close_ms(turn, area))
    oldest = oldest_issued_ms(turn.state, turn.lookup.area_services[area])
    if oldest is not None:
        stamps.append(oldest + band.open_oldest_wait_s * 1000)
    return min((stamp for stamp in stamps if stamp > turn.at_ms), default=None)
