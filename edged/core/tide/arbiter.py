"""The arbiter: the only place that grants "+1" windows and gives them back, for rules and triggers alike.

A granted request makes the window's lamp blink and pages one member of staff; the window opens only when they are
there. If nobody answers in time the next member is paged, then the duty manager, and it all starts again after
``retry_s`` (not while the area is draining). All areas share the windows and staff: the area with the longest predicted
wait comes first, and if nothing is left a quiet area gives a window back early, within limits.
"""

from __future__ import annotations

from edged.core.calendar import opening
from edged.core.model.turn import Turn
from edged.core.people import alarms, pages, staffing
from edged.core.queue.ordering import ASKED, STAFFED
from edged.core.tide import considered, sharing
from edged.core.tide.rules import OVERRIDE, Evaluation, Facts, too_late
from edged.core.windows import overrides, wishes
from edged.core.windows.activation import drain, forget_tries, opened, stand_by, why_nobody_came
from edged.core.windows.machine import move_window

ACTION_GAP_MS = (
    30_000  # at most one opening or closing per area in 30 s: the next decision sees the effect of the last
)
HALL_QUIET = "hall_quiet"  # ends with the next key or ticket; not evaluated until then
AREA_CLOSED = "area_closed"  # ends when the area opens; not evaluated until then
COUNTED = ("queue", "saturation", "oldest-wait", "people")  # asked for by counts, not by a person or a date
REASONS = {  # why a window opens if not for the predicted wait: (Chinese, English)
    "queue": ("等候人数超过启用标准", "more wait than the limit"),
    "saturation": ("各窗口均已饱和", "its windows are saturated"),
    "oldest-wait": ("最长等候超过启用标准", "the longest wait is above the limit"),
    "priority-wait": ("优先人员等候超过启用标准", "a priority visitor has waited above the limit"),
    "people": ("厅内人数超过启用标准", "more people are in the hall than the limit"),
    "special-need": ("特殊需求申请", "a special need"),
    "operator": ("人工申请", "asked for by hand"),
    "schedule": ("日历安排", "by the calendar"),
    OVERRIDE: ("人工开放", "opened by hand"),
}
REASON_ELSE = ("启用潮汐窗口", 'a "+1" window opens')
ASLEEP = (HALL_QUIET, AREA_CLOSED)


def try_open(turn: Turn, area: str, evaluation: Evaluation) -> bool:
    """Start opening the window that ``evaluation`` asks for, or note why not. True if one was started."""
    state = turn.area(area)
    tidal = turn.state.policy.tidal
    if evaluation.ask == OVERRIDE:
        return _grant_override(turn, area, evaluation)
    one_at_a_time = tidal.rule == "band" or evaluation.ask not in ("predicted-wait", "always", "schedule")
    if one_at_a_time and any(turn.window(window).state == "ACTIVATING" for window in evaluation.commanded):
        note_held(turn, area, "being_staffed", evaluation)
        return False
    if evaluation.ask != "always" and is_invited(turn, area):
        note_held(turn, area, "being_invited", evaluation)
        return False
    if not tidal.enabled:
        state.refused = None
        return False
    if not opening.tide_runs(turn, area):
        _refuse(turn, area, HALL_QUIET if opening.quiet(turn) else AREA_CLOSED, evaluation)
        return False
    if evaluation.ask in COUNTED and too_late(turn, area):
        _refuse(turn, area, "closing_soon", evaluation)
        return False
    if state.escalated_ms is not None:
        again_ms, ready = state.escalated_ms + tidal.retry_s * 1000, _somebody_sits_ready(turn, area)
        if _drains_without_wish(turn, area):
            if not ready:
                note_held(turn, area, "nobody_comes", evaluation)
                return False
        elif turn.at_ms >= again_ms:
            forget_tries(turn, area, over=False)
        elif not ready:
            note_held(turn, area, "nobody_answered", evaluation, again_ms)
            return False
    if evaluation.ask != "always" and turn.at_ms < earliest_open_ms(turn, area):
        note_held(turn, area, "too_soon", evaluation, earliest_open_ms(turn, area))
        return False
    if len(evaluation.commanded) >= _max_windows(turn, area):
        _refuse(turn, area, "max_windows", evaluation)
    elif pool_used(turn) >= tidal.pool:
        _refuse(turn, area, "pool", evaluation)
        sharing.relieve(turn, area, evaluation.urgency_s, any_window=idle_window(turn, area) is not None)
    else:
        return _request(turn, area, evaluation)
    return False


def _drains_without_wish(turn: Turn, area: str) -> bool:
    """Whether the area is closed and only serves its last visitors, and no key or order asks for one more window there.
    Staff who did not come are then not paged again.
    """
    return opening.of(turn, area).phase == "draining" and wishes.open_wish(turn, area) is None


def _grant_override(turn: Turn, area: str, evaluation: Evaluation) -> bool:
    """Start opening a window that a person ordered open: the policy's limits do not apply, but unless a clerk sits
    there somebody still has to come. False if no window or member can be asked now.
    """
    state = turn.area(area)
    if state.escalated_ms is not None:
        if turn.at_ms < state.escalated_ms + turn.state.policy.tidal.retry_s * 1000:
            return False
        forget_tries(turn, area, over=False)
    return _request(turn, area, evaluation)


def is_invited(turn: Turn, area: str) -> bool:
    """Whether the clerk of a consultation window (a tidal window at rest, staffed for questions) is being asked to open
    it for ``area`` and has not answered.
    """
    states = turn.state.windows
    return any(
        states[window].state == "INVITED" and states[window].area == area
        for window in turn.lookup.area_tidal[area]
    )


def volunteer(turn: Turn, window: str) -> bool:
    """Open a consultation window (a tidal window at rest, staffed for questions) whose clerk presses "next" unasked,
    for the area where most people wait. False (and a note) if it may not open.
    """
    areas = [
        area
        for area in turn.lookup.window_areas[window]
        if turn.area(area).waiting and opening.tide_runs(turn, area)
    ]
    if turn.override("close", window) is not None:
        turn.ignore(window, "forced_closed")
    elif not areas:
        turn.ignore(window, "nobody_waiting")
    elif not turn.state.policy.tidal.enabled:
        turn.ignore(window, "no_tide")
    elif pool_used(turn) >= turn.state.policy.tidal.pool:
        turn.ignore(window, "pool_used_up")
    else:
        state = turn.window(window)
        area = max(areas, key=lambda area: turn.area(area).waiting)
        state.area, state.rule, state.requested_ms = area, "clerk", turn.at_ms
        state.reason = f"clerk: {turn.area(area).waiting} waiting"
        named, waiting = turn.lookup.areas[area], turn.area(area).waiting
        state.reason_zh = f"{named.name}等候{waiting}人，窗口人员主动启用"
        state.reason_en = f"{named.name_en}: {waiting} waiting, opened by its clerk"
        turn.area(area).last_open_ms = turn.area(area).last_request_ms = turn.at_ms
        open_staffed(turn, window)
        return True
    return False


def open_staffed(turn: Turn, window: str) -> None:
    """Open a window at once for the area set in its state, because a clerk sits there."""
    state = turn.window(window)
    consults = state.state == "CONSULTING"
    move_window(turn, window, "activate-staffed")
    state.consults = consults
    opened(turn, window)


def _max_windows(turn: Turn, area: str) -> int:
    return (
        turn.band(area).max_windows if turn.state.policy.tidal.rule == "band" else turn.pw(area).max_windows
    )


def earliest_open_ms(turn: Turn, area: str) -> int:
    """The earliest stamp at which the arbiter may open the area's next window: the rule's times since demand rose and
    since the last opening are over.
    """
    state = turn.area(area)
    banded = turn.state.policy.tidal.rule == "band"
    sustain_s = turn.band(area).open_sustain_s if banded else 0
    stamps = [0 if state.over_since_ms is None else state.over_since_ms + sustain_s * 1000]
    if not (state.tried_staff or state.tried_windows):  # after a request in vain the next follows at once
        last_ms = state.last_open_ms if banded else state.last_request_ms
        cooldown_s = turn.band(area).cooldown_s if banded else turn.pw(area).cooldown_s
        if last_ms is not None:
            stamps.append(last_ms + cooldown_s * 1000)
        if state.last_action_ms is not None:
            stamps.append(state.last_action_ms + ACTION_GAP_MS)
    return max(stamps)


def pool_used(turn: Turn) -> int:
    """How many "+1" windows of the whole hall serve an area, are being asked to, or drain."""
    states = turn.state.windows
    return sum(1 for window in turn.lookup.tidal if states[window].area is not None)


def _request(turn: Turn, area: str, evaluation: Evaluation) -> bool:
    window = idle_window(turn, area, forced=evaluation.ask == OVERRIDE)
    asked_in_vain = _tried_to_consult(turn, area)
    if window is None and asked_in_vain is not None:
        _escalate(turn, area, asked_in_vain)
        _relieve(turn, area, evaluation)
        return False
    if window is None:
        _refuse(turn, area, "no_window", evaluation)
        _relieve(turn, area, evaluation)
        return False
    state = turn.window(window)
    staffed = state.staff is not None
    staff = state.staff if staffed else staffing.pick(turn, area)
    anybody = evaluation.ask != OVERRIDE and staffing.to_page(
        turn, area
    )  # an order lights the window in any case
    if staff is None and (anybody or window in turn.area(area).tried_windows):
        _escalate(turn, area, window)
        _relieve(turn, area, evaluation)
        return False
    area_state = turn.area(area)
    limits = _limits(turn, area)
    if not staffed or evaluation.ask == OVERRIDE:  # a consultation window may decline: nothing is opened yet
        area_state.last_open_ms = area_state.last_request_ms = area_state.last_action_ms = turn.at_ms
    area_state.refused = area_state.held = None
    state.area, state.rule, state.requested_ms = area, evaluation.ask, turn.at_ms
    state.reason = f"{evaluation.ask}: {evaluation.why()}"
    state.reason_zh, state.reason_en = _reasons(turn, area, evaluation)
    turn.note(
        "tidal.requested",
        window,
        area=area,
        rule=evaluation.ask,
        waiting=evaluation.waiting,
        **evaluation.facts(),
        oldest_wait_s=evaluation.oldest_wait_s,
        already_open=len(evaluation.commanded),
        chosen_because=_why(turn, window),
        staff=staff,
        **limits,
        candidates=considered.windows(turn, area, window),
        roster=considered.staff(turn, area, staff),
    )
    wishes.attempted(turn, area)
    if staffed and evaluation.ask == OVERRIDE:  # a manager's order acts at once
        open_staffed(turn, window)
        return True
    if staffed:
        move_window(turn, window, "invite")
        state.due_ms = turn.at_ms + turn.state.policy.tidal.patience_s * 1000
        return True
    move_window(turn, window, "activate")
    state.acknowledged = False
    state.paged_staff = staff
    tidal = turn.state.policy.tidal
    wait_s = tidal.staff_ack_s + (0 if staff else tidal.staff_arrive_s)  # nobody to page: only the lamp calls
    state.due_ms = turn.at_ms + wait_s * 1000
    if staff is not None:
        staffing.page(turn, staff, area, window)
    return True


def _relieve(turn: Turn, area: str, evaluation: Evaluation) -> None:
    if evaluation.ask != OVERRIDE:
        sharing.relieve(turn, area, evaluation.urgency_s, any_window=False)


def idle_window(turn: Turn, area: str, forced: bool = False) -> str | None:
    """The "+1" window to open next: first one with a clerk, then one not tried in vain for this request, then the one
    activated least often today, then the one unused longest, then the order of configuration. None if none is at rest.

    ``forced``: choose only among windows that a person ordered open.
    """
    tried = turn.area(area).tried_windows
    names = overrides.wanted(turn, area) if forced else turn.lookup.area_tidal[area]
    idle = [w for w in names if _is_idle(turn, w, forced, tried) and turn.override("close", w) is None]

    def rank(window: str) -> tuple[bool, bool, int, int]:
        state = turn.window(window)
        return (state.staff is None, window in tried, state.activations, state.last_used_ms)

    return min(idle, key=rank, default=None)


def _is_idle(turn: Turn, window: str, forced: bool, tried: list[str]) -> bool:
    """Whether a window is at rest, and its clerk, if any, has not just declined or answered "later". ``forced``: a
    person ordered it open, so the clerk's answer does not count.
    """
    state = turn.window(window)
    if state.state != "CONSULTING":
        return state.state == "STANDBY"
    return forced or (window not in tried and turn.at_ms >= state.later_until_ms)


def _tried_to_consult(turn: Turn, area: str) -> str | None:
    """A consultation window whose clerk was asked for this area in vain; None if there is none."""
    tried = turn.area(area).tried_windows
    return next((window for window in tried if turn.window(window).state == "CONSULTING"), None)


def _somebody_sits_ready(turn: Turn, area: str) -> bool:
    window = idle_window(turn, area)
    return window is not None and turn.window(window).staff is not None


def _reasons(turn: Turn, area: str, evaluation: Evaluation) -> tuple[str, str]:
    """Why the window opens, in Chinese and English: who waits, the predicted wait, and the limit."""
    facts, named = evaluation.facts(), turn.lookup.areas[area]
    zh, en = f"{named.name}等候{evaluation.waiting}人", f"{named.name_en}: {evaluation.waiting} waiting"
    wait_s, limit_s = facts.get("predicted_wait_s"), facts.get("limit_s")
    if evaluation.ask == "predicted-wait" and isinstance(wait_s, int) and isinstance(limit_s, int):
        wait_min, limit_min = round(wait_s / 60), round(limit_s / 60)
        return (
            f"{zh}，预计{wait_min}分钟（启用标准{limit_min}分钟）",
            f"{en}, newcomers would wait {wait_min} min (limit {limit_min} min)",
        )
    why_zh, why_en = REASONS.get(evaluation.ask or "", REASON_ELSE)
    return f"{zh}，{why_zh}", f"{en}, {why_en}"


def _why(turn: Turn, window: str) -> str:
    state = turn.window(window)
    kind = "consulting" if state.staff is not None else "standby"
    return f"{kind}, used {state.activations} times today"


def _refuse(turn: Turn, area: str, reason: str, evaluation: Evaluation) -> None:
    state = turn.area(area)
    if state.refused != reason:  # once for each reason
        state.refused = reason
        turn.note(
            "tidal.refused",
            area,
            reason=reason,
            rule=evaluation.ask,
            waiting=evaluation.waiting,
            **_why_not(turn, area, evaluation),
        )


def note_held(
    turn: Turn, area: str, reason: str, evaluation: Evaluation, until_ms: int | None = None
) -> None:
    """Note why the arbiter does not yet open or give back a window although the rule asks for it. The same reason is
    noted only once in a row.

    ``until_ms``: the stamp at which the reason ends; None if unknown.
    """
    state = turn.area(area)
    if state.held == reason:
        return
    state.held = reason
    rule = evaluation.ask if evaluation.ask is not None else turn.state.policy.tidal.rule
    left_s = None if until_ms is None else turn.seconds_since(until_ms) * -1
    opens = evaluation.ask is not None
    why = _why_not(turn, area, evaluation) if opens else _why_kept(turn, area, evaluation)
    would = "open" if opens else "close"
    turn.note(
        "tidal.held",
        area,
        reason=reason,
        would=would,
        rule=rule,
        waiting=evaluation.waiting,
        left_s=left_s,
        **why,
    )


def _limits(turn: Turn, area: str) -> dict[str, int]:
    return {
        "pool_used": pool_used(turn),
        "pool": turn.state.policy.tidal.pool,
        "max_windows": _max_windows(turn, area),
    }


def _why_not(turn: Turn, area: str, evaluation: Evaluation) -> Facts:
    return {
        **evaluation.facts(),
        "already_open": len(evaluation.commanded),
        **_limits(turn, area),
        "candidates": considered.windows(turn, area),
        "roster": considered.staff(turn, area),
    }


def _why_kept(turn: Turn, area: str, evaluation: Evaluation, chosen: str | None = None) -> Facts:
    return {
        **evaluation.facts(),
        **evaluation.closing(),
        "candidates": considered.releases(turn, area, chosen),
    }


def _escalate(turn: Turn, area: str, window: str) -> None:
    turn.area(area).escalated_ms = turn.at_ms
    tried = ",".join(turn.area(area).tried_staff)
    roster = considered.staff(turn, area)
    because = why_nobody_came(turn, area)
    turn.note("tidal.escalated", area, window=window, because=because, tried=tried, roster=roster)
    place = turn.lookup.areas[area]
    alarms.sound(turn, "no-staff", area, window=window)
    pages.call_duty(turn, "no-staff", area, place.name, place.name_en, alarms.NO_STAFF[because])


def try_close(turn: Turn, area: str, evaluation: Evaluation) -> None:
    """Give one window back if the rule's minimum times have passed. A window that nobody has staffed yet goes first, if
    nobody waits any more (rule "band": at once). Rule "never" gives back all windows at once.
    """
    state = turn.area(area)
    rule = turn.state.policy.tidal.rule
    if rule == "never":
        _close_all(turn, evaluation)
        return
    banded = rule == "band"
    timely = turn.at_ms >= earliest_close_ms(turn, area)
    if evaluation.waiting == 0 and (banded or (timely and turn.pw(area).withdraw)):
        for window in evaluation.commanded:  # nobody waits any more and nobody has come yet
            if turn.window(window).state in ASKED and not overrides.keeps_open(turn, window):
                _withdraw(turn, area, window, evaluation)
                return
    windows = [
        w
        for w in evaluation.commanded
        if turn.window(w).state in STAFFED and not overrides.keeps_open(turn, w)
    ]
    if not timely and windows:
        note_held(turn, area, "too_soon", evaluation, earliest_close_ms(turn, area))
    if not timely:
        return
    if not banded:
        state.under_since_ms = turn.at_ms  # the required duration starts again for the next window
    if windows and evaluation.release is not None:
        state.last_action_ms = turn.at_ms
        state.held = None
        chosen = choose_release(turn, windows)
        why = _why_kept(turn, area, evaluation, chosen)
        drain(turn, chosen, evaluation.release, rule=rule, waiting=evaluation.waiting, **why)


def _withdraw(turn: Turn, area: str, window: str, evaluation: Evaluation) -> None:
    state = turn.area(area)
    why = _why_kept(turn, area, evaluation, window)
    reason = "tide fell before it was staffed"
    turn.note("tidal.released", window, area=area, reason=reason, open_s=0, waiting=evaluation.waiting, **why)
    stand_by(turn, window)
    forget_tries(turn, area)
    state.over_since_ms = None  # the required duration starts again with the next queue
    state.last_action_ms = turn.at_ms


def uninvite(turn: Turn, area: str, evaluation: Evaluation) -> None:
    """Withdraw the request to serve as a "+1" window from a consultation window whose clerk has not answered, because
    the queue has become short.
    """
    for window in turn.lookup.area_tidal[area]:
        state = turn.window(window)
        if state.state == "INVITED" and state.area == area and not overrides.keeps_open(turn, window):
            reason = evaluation.release or "tide fell before it was staffed"
            turn.note(
                "tidal.released", window, area=area, reason=reason, open_s=0, waiting=evaluation.waiting
            )
            stand_by(turn, window)


def _close_all(turn: Turn, evaluation: Evaluation) -> None:
    for window in evaluation.commanded:
        if overrides.keeps_open(turn, window):
            continue
        if turn.window(window).state in ASKED:
            turn.note(
                "tidal.released", window, area=turn.window(window).area, reason=evaluation.release, open_s=0
            )
            stand_by(turn, window)
        else:
            drain(turn, window, evaluation.release or "", rule="never")


def earliest_close_ms(turn: Turn, area: str) -> int:
    """The stamp from which this area may give a window back if demand stays as low as now."""
    state = turn.area(area)
    tidal = turn.state.policy.tidal
    since_ms = 0 if state.under_since_ms is None else state.under_since_ms
    if tidal.rule == "band":
        band = turn.band(area)
        stamps = [since_ms + band.close_sustain_s * 1000]
        opened_ms = [
            turn.window(window).opened_ms
            for window in turn.lookup.area_tidal[area]
            if turn.window(window).area == area and turn.window(window).state in STAFFED
        ]
        stamps += [stamp + band.min_open_s * 1000 for stamp in opened_ms if stamp is not None]
        if state.last_action_ms is not None:
            stamps.append(state.last_action_ms + ACTION_GAP_MS)
        return max(stamps)
    pw = turn.pw(area)
    stamps = [since_ms + pw.hold_s * 1000]
    if state.last_request_ms is not None:
        stamps.append(state.last_request_ms + pw.min_open_s * 1000)
    return max(stamps)


def choose_release(turn: Turn, windows: list[str]) -> str:
    """The one of ``windows`` to give back: of those without a visitor the one asked for first, else the one whose
    visitor was called or served first.
    """

    def rank(window: str) -> tuple[bool, int, int]:
        state = turn.window(window)
        ticket = turn.ticket_at(window)
        if ticket is None:
            return (False, state.requested_ms or state.opened_ms or 0, windows.index(window))
        since_ms = ticket.called_ms if ticket.serving_ms is None else ticket.serving_ms
        return (True, since_ms or 0, windows.index(window))

    return min(windows, key=rank)
