"""The activation of a tidal window: its lamp blinks, a member of staff comes, it serves, drains, cools down and rests.

``tide/arbiter.py`` decides when; this module does what follows for the window and the staff. A person is at one place
only: whoever sits down at a window leaves the one they came from, and a window lit for them asks somebody else at once.
"""

from __future__ import annotations

from edged.core.model.commands import Page
from edged.core.model.turn import Turn
from edged.core.people import alarms, pages, staffing, undelivered
from edged.core.queue import demand
from edged.core.queue.ordering import STAFFED
from edged.core.windows import wishes
from edged.core.windows.machine import move_window

STAFF_LEFT = "staff left"
NO_ANSWER = "no answer in time"
DECLINED = "declined"
SETUP_WEIGHT = 0.2  # weight of the newest sample: a change is learnt within ten openings


def accept(turn: Turn, staff: str) -> None:
    """Record that a paged member is coming. The window keeps blinking until they are there."""
    window = _window_paged_for(turn, staff)
    if window is None:
        turn.ignore(staff, "not_paged")
        return
    state = turn.window(window)
    if state.acknowledged:  # the time to arrive starts with the first answer only
        turn.ignore(staff, "answered_already", window=window)
        return
    state.acknowledged = True
    staffing.record_answer(turn, staff)
    state.due_ms = turn.at_ms + turn.state.policy.tidal.staff_arrive_s * 1000
    turn.touch_window(window)
    staffing.touch_pagers(turn, staff)
    turn.note("staff.answered", staff, window=window, answer="accept")
    turn.note("tidal.acknowledged", window, area=state.area, staff=staff)


def decline(turn: Turn, staff: str) -> None:
    """Record that a paged member declines: the next one is paged at once."""
    window = _window_paged_for(turn, staff)
    if window is None:
        turn.ignore(staff, "not_paged")
        return
    turn.note("staff.answered", staff, window=window, answer="decline")
    staffing.record_answer(turn, staff)
    unanswered(turn, window, reason=DECLINED)


def consult(turn: Turn, window: str, staff: str) -> None:
    """Handle a login at a tidal window at rest: it becomes a consultation window (业务咨询).

    If the member was paged to another window for an area that this one serves too, this window is opened for the tide
    in its place.
    """
    paged_to = _window_paged_for(turn, staff)
    meant = None if paged_to is None else turn.window(paged_to)
    turn.note("window.login", window, staff=staff)
    if meant is None or meant.area not in turn.lookup.window_areas[window] or _is_closed(turn, window):
        move_window(turn, window, "consult")
        seat(turn, staff, window)
        for own in map(turn.area, turn.lookup.window_areas[window]):  # somebody is here now: ask again
            own.tried_windows[:] = [other for other in own.tried_windows if other != window]
            own.tried_staff[:] = [other for other in own.tried_staff if other != staff]
        sit_ready(turn, window)
        return
    state, area = turn.window(window), meant.area
    why = (meant.rule, meant.reason, meant.reason_zh, meant.reason_en, meant.requested_ms)
    seat(turn, staff, window)
    state.area = area
    state.rule, state.reason, state.reason_zh, state.reason_en, state.requested_ms = why
    move_window(turn, window, "activate-staffed")
    opened(turn, window)


def _is_closed(turn: Turn, window: str) -> bool:
    return turn.override("close", window) is not None


def later(turn: Turn, window: str) -> None:
    """Handle the answer "later" (稍后): the clerk of a consultation window wants to finish a conversation first, and is
    asked again after ``patience_s``.
    """
    patience_s = turn.state.policy.tidal.patience_s
    state = turn.window(window)
    state.later_until_ms = turn.at_ms + patience_s * 1000
    if state.area is not None:
        turn.area(state.area).heard.append("not-come")
    _uninvite(turn, window, "later")


def not_now(turn: Turn, window: str, reason: str) -> None:
    """Record that the clerk of a consultation window declined or did not answer in time; the next window is asked."""
    area = turn.window(window).area
    if area is not None:
        turn.area(area).tried_windows.append(window)
        turn.area(area).heard.append("declined" if reason == DECLINED else "silent")
    _uninvite(turn, window, reason)


def _uninvite(turn: Turn, window: str, answer: str) -> None:
    state = turn.window(window)
    turn.note("tidal.not_now", window, area=state.area, staff=state.staff, answer=answer)
    stand_by(turn, window)


def leave(turn: Turn, window: str) -> None:
    """Record that the clerk has left a consultation window."""
    if turn.window(window).state in ("CONSULTING", "INVITED") and move_window(turn, window, "leave"):
        clear(turn, window)
        turn.window(window).later_until_ms = 0


def answer_question(turn: Turn, window: str) -> None:
    """Count a question that a clerk answered for somebody without a number."""
    state = turn.window(window)
    state.answered += 1
    turn.note("consultation.answered", window, staff=state.staff, today=state.answered)


def end_cooldown(turn: Turn, window: str) -> None:
    """Timer: the cooldown (冷却) after a tide is over, and the window may be opened again."""
    move_window(turn, window, "cooled" if turn.window(window).staff is None else "consult")


def _window_paged_for(turn: Turn, staff: str) -> str | None:
    member = turn.state.staff.get(staff)  # None: the duty manager
    if member is None or member.state != "paged" or member.window is None:
        return None
    state = turn.window(member.window)
    return member.window if state.state == "ACTIVATING" and state.paged_staff == staff else None


def unanswered(turn: Turn, window: str, reason: str) -> None:
    """Switch off the lamp of a window that nobody has come to: the paged member declined, did not answer or went
    elsewhere. The area then pages the next member.
    """
    state = turn.window(window)
    area = turn.area(state.area) if state.area is not None else None
    turn.note("tidal.unanswered", window, area=state.area, staff=state.paged_staff, reason=reason)
    if reason == NO_ANSWER:
        staffing.record_answer(turn, state.paged_staff, yes=False)
    if area is not None:
        area.tried_windows.append(window)
        silent = reason == NO_ANSWER and not state.acknowledged
        area.heard.append("silent" if silent else "declined" if reason == DECLINED else "not-come")
        if state.paged_staff is not None:
            area.tried_staff.append(state.paged_staff)
    stand_by(turn, window)


def no_answer(turn: Turn, window: str) -> None:
    """Timer: nobody has come to the lit window in time. If its page never reached the pager, an alarm says so and the
    page is sent again; otherwise the next member is paged.
    """
    action = undelivered.to_window(turn, window)
    if action is None:
        unanswered(turn, window, reason=NO_ANSWER)
        return
    undelivered.alarm_nobody_reached(turn, window)
    undelivered.offer(turn, action)


def unreached(turn: Turn, page: Page) -> None:
    """Page the next member at once, because a page for a lit window could not be delivered. The member does not count
    as silent.
    """
    state = None if page.window is None else turn.state.windows.get(page.window)
    if state is None or state.state != "ACTIVATING" or state.acknowledged or state.paged_staff != page.staff:
        return
    assert page.window is not None
    unanswered(turn, page.window, reason="not reached")


def acknowledge(turn: Turn, window: str, staff: str | None) -> None:
    """Open a window that is asked to serve (lit, or a consultation window), because its clerk is there: login, a key,
    the first call.
    """
    state = turn.window(window)
    paged, state.paged_staff = state.paged_staff, None
    invited = state.state == "INVITED"
    if paged is not None and staff not in (None, paged):
        staffing.rest(turn, paged, window)
    if not move_window(turn, window, "acknowledge"):
        return
    who = staff or paged
    if who is not None:
        seat(turn, who, window)
    state.consults = invited
    if invited and state.area is not None:
        area = turn.area(state.area)
        area.last_request_ms = area.last_action_ms = turn.at_ms
    opened(turn, window)


def seat(turn: Turn, staff: str, window: str) -> None:
    """Record that ``staff`` sits down at ``window``, and so leaves any other window, or the way to it."""
    _abandon(turn, staffing.bind(turn, staff, window))


def join(turn: Turn, staff: str, window: str) -> None:
    """Record that ``staff`` sits down beside the clerk of ``window`` as a helper."""
    _abandon(turn, staffing.bind_helper(turn, staff, window))


def _abandon(turn: Turn, left: str | None) -> None:
    """Give back the tidal window ``left``, because its clerk, who sat there or was on the way, is now at another
    window. A regular window stays as it is; no-op for None.
    """
    if left is None:
        return
    if turn.window(left).state == "ACTIVATING":
        unanswered(turn, left, reason="went to another window")
    elif turn.window(left).state in ("CONSULTING", "INVITED"):
        leave(turn, left)
    elif turn.lookup.windows[left].tidal and turn.window(left).state in STAFFED:
        drain(turn, left, STAFF_LEFT)


def sit_ready(turn: Turn, window: str) -> None:
    """Switch off another "+1" window that still waits for somebody to come, because a clerk already sits at ``window``,
    which is opened in its place.
    """
    for area in turn.lookup.window_areas[window]:
        turn.touch_area(area)
        for lit in turn.lookup.area_windows[area]:
            state = turn.window(lit)
            if state.state == "ACTIVATING" and state.area == area and not state.acknowledged:
                paged = state.paged_staff
                unanswered(turn, lit, reason="another window was staffed first")
                if paged in turn.area(area).tried_staff:  # they had no time to answer and may be paged again
                    turn.area(area).tried_staff.remove(paged)
                return


def opened(turn: Turn, window: str) -> None:
    """Record that a "+1" window has just opened: count the activation for the window and its clerk, end the open wishes
    (requests for one more window) of its area, and learn how long it took from the page until the window was staffed.
    """
    state = turn.window(window)
    state.opened_ms = state.last_used_ms = turn.at_ms
    state.later_until_ms = 0
    state.activations += 1
    state.due_ms = None
    if state.staff is not None and state.staff in turn.state.staff:
        turn.state.staff[state.staff].activations += 1
    if state.area is not None:
        turn.area(state.area).last_open_ms = turn.at_ms
        forget_tries(turn, state.area)
        wishes.fulfilled(turn, state.area, window)
    to_staffed_s = 0.0 if state.requested_ms is None else turn.seconds_since(state.requested_ms)
    if to_staffed_s > 0:
        _learn_setup(turn, to_staffed_s)
    turn.note(
        "tidal.opened",
        window,
        area=state.area,
        rule=state.rule,
        reason=state.reason,
        staff=state.staff,
        to_staffed_s=to_staffed_s,
    )


def _learn_setup(turn: Turn, to_staffed_s: float) -> None:
    """Learn how many seconds pass in this hall from a page until somebody is at the window; each new sample has a
    weight of one fifth.
    """
    known_s = turn.state.setup_s
    if known_s is None:
        known_s = float(turn.state.policy.tidal.pw.setup_s)
    turn.state.setup_s = known_s + SETUP_WEIGHT * (to_staffed_s - known_s)
    turn.loads.clear()  # expected times of all windows being staffed have changed


def drain(turn: Turn, window: str, reason: str, **why: str | int | float | None) -> None:
    """Give the window back: it finishes its visitor and calls nobody new. ``why``: facts for the note."""
    state = turn.window(window)
    if state.state == "PAUSED" and state.ticket is not None:
        move_window(turn, window, "unpause-serving")
    if reason == STAFF_LEFT:
        state.consults = False
    if move_window(turn, window, "drain"):
        turn.note("tidal.draining", window, area=state.area, reason=reason, **why)


def settle(turn: Turn, window: str) -> None:
    """Release a window that has finished draining: it cools down and then rests. Its staff return to standby, unless it
    was a consultation window before, where the clerk stays.
    """
    state = turn.window(window)
    if state.state == "DRAINING" and state.due_ms is None:
        state.due_ms = _gone_ms(turn, window)
    if state.state != "COOLDOWN" or state.area is None:
        return
    open_s = 0.0 if state.opened_ms is None else turn.seconds_since(state.opened_ms)
    turn.note("tidal.released", window, area=state.area, staff=state.staff, open_s=open_s)
    rest_s = turn.rest_s(state.area)
    turn.touch_area(state.area)
    if not state.consults:
        staffing.unbind_window(turn, window)
    clear(turn, window)
    if rest_s:
        state.due_ms = turn.at_ms + rest_s * 1000
    else:
        end_cooldown(turn, window)


def _gone_ms(turn: Turn, window: str) -> int | None:
    """The stamp at which the visitor at a draining window must have left although no end was reported; None: never."""
    ticket = turn.ticket_at(window)
    if ticket is None or ticket.serving_ms is None:
        return None
    limit_s = demand.lost_finish_s(turn, ticket)
    if limit_s is None:
        return None
    return max(turn.at_ms + 1, ticket.serving_ms + round(limit_s * 1000))  # a deadline lies after this tick


def stand_by(turn: Turn, window: str) -> None:
    """End the request to open a window that nobody opened: it stands by again, or goes on with consultation. Whoever
    was paged for it is not paged for a while.
    """
    paged = turn.window(window).paged_staff
    if move_window(turn, window, "give-up"):
        clear(turn, window)
        if paged is not None:
            staffing.rest(turn, paged, window)


def clear(turn: Turn, window: str) -> None:
    """Reset the fields of a window that belong to a finished activation."""
    state = turn.window(window)
    state.area = state.rule = state.reason = state.reason_zh = state.reason_en = state.paged_staff = None
    state.requested_ms = state.opened_ms = state.due_ms = None
    state.acknowledged = state.consults = False


def why_nobody_came(turn: Turn, area: str) -> str:
    """Why nobody came after all attempts: a key of ``alarms.NO_STAFF`` (all declined, none answered, or mixed)."""
    heard = set(turn.area(area).heard)
    return heard.pop() if len(heard) == 1 else "not-come"


def forget_tries(turn: Turn, area: str, over: bool = True) -> None:
    """Forget which windows and staff were asked in vain, so that the area's next request may ask all. ``over``: the
    area needs no more windows, and its alarm ends.
    """
    state = turn.area(area)
    state.tried_staff.clear()
    state.tried_windows.clear()
    state.heard.clear()
    state.escalated_ms = None
    if over and alarms.clear(turn, "no-staff", area):
        pages.close(turn, "no-staff", area)
