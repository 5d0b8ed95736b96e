"""The states of windows (窗口): a table of the triggers that each state allows, and the few moves built on it.

A trigger that the table does not list changes nothing and is noted as ``ignored``. A tidal window rests in STANDBY
(nobody there) or CONSULTING (业务咨询: a clerk has logged in), every other window in CLOSED. A consultation window is
asked first (INVITED) and counts for the tide only once its clerk has accepted or called. A PAUSED window may still have
its visitor.
"""

from __future__ import annotations

from edged.core.model.state import CallShown, Ticket, WindowStateName
from edged.core.model.turn import Turn
from edged.core.people import announcements
from edged.core.queue.ordering import Choice, choose, count_call
from edged.core.queue.tickets import move
from edged.core.windows import preparation

QUOTE = ("quoted_low_s", "quoted_s", "quoted_high_s")  # the wait predicted when the ticket was issued
TABLE: dict[WindowStateName, dict[str, WindowStateName]] = {
    "CLOSED": {"open": "OPEN"},
    "OPEN": {
        "call": "CALLING",
        "walk-direct": "SERVING",
        "pause": "PAUSED",
        "close": "CLOSED",
        "drain": "COOLDOWN",
    },
    "CALLING": {"arrive": "SERVING", "free": "OPEN", "drain": "DRAINING"},
    "SERVING": {"free": "OPEN", "pause": "PAUSED", "drain": "DRAINING"},
    "PAUSED": {"unpause": "OPEN", "unpause-serving": "SERVING", "close": "CLOSED", "drain": "COOLDOWN"},
    "STANDBY": {"activate": "ACTIVATING", "activate-staffed": "OPEN", "consult": "CONSULTING"},
    "CONSULTING": {"invite": "INVITED", "activate-staffed": "OPEN", "leave": "STANDBY"},
    "INVITED": {"acknowledge": "OPEN", "give-up": "CONSULTING", "leave": "STANDBY"},
    "ACTIVATING": {"acknowledge": "OPEN", "give-up": "STANDBY"},
    "DRAINING": {"arrive": "DRAINING", "free": "COOLDOWN"},
    "COOLDOWN": {"cooled": "STANDBY", "consult": "CONSULTING"},
}


def move_window(turn: Turn, window: str, trigger: str) -> bool:
    """Move a window to the state that ``TABLE`` gives for ``trigger``. False (and a note) if the table forbids it in
    the present state.
    """
    state = turn.window(window)
    after = TABLE[state.state].get(trigger)
    if after is None:
        turn.ignore(window, "window_state", state=state.state, trigger=trigger)
        return False
    state.state = after
    if after != "PAUSED":
        state.pause_reason = None
    turn.touch_window(window)
    for area in turn.lookup.window_areas[window]:
        turn.touch_area(area)
    return True


def call_next(turn: Turn, window: str) -> None:
    """Call the visitor that the window has prepared, or else the next one; a note says if nobody waits."""
    if turn.override("close", window) is not None:
        turn.ignore(window, "forced_closed")
        return
    chosen = preparation.take(turn, window) or choose(turn, window)
    if chosen is None:
        turn.ignore(window, "nobody_waiting")
        return
    preparation.claim(turn, window, chosen.ticket)
    call(turn, window, chosen)


def call(turn: Turn, window: str, chosen: Choice) -> None:
    """Call the chosen visitor to the window."""
    ticket = chosen.ticket
    if not set_called(turn, window, ticket):
        return
    count_call(turn, window, chosen)
    quote: dict[str, str | int] = {} if chosen.rule is None else {"rule": chosen.rule}
    quote |= {} if ticket.quoted_s is None else dict(zip(QUOTE, ticket.quoted_s, strict=True))
    turn.note(
        "ticket.called",
        ticket.number,
        window=window,
        area=turn.lookup.area_of(ticket.service),
        service=ticket.service,
        priority=ticket.priority,
        wait_s=turn.seconds_since(ticket.queued_ms),
        **quote,
    )
    announce(turn, ticket, window)


def set_called(turn: Turn, window: str, ticket: Ticket) -> bool:
    """Set the ticket and the window to "called" without announcing the call; False if the state of either forbids
    it.
    """
    if not move(turn, ticket, "call") or not move_window(turn, window, "call"):
        return False
    ticket.window = window
    if ticket.first_window is None:
        ticket.first_window, ticket.first_staff = window, turn.window(window).staff
    ticket.calls = 1
    ticket.ahead_ms = 0
    ticket.called_ms = turn.at_ms
    turn.window(window).ticket = ticket.id
    _set_call_deadline(turn, window)
    return True


def recall(turn: Turn, window: str) -> None:
    """Call the same visitor again; after ``max_calls`` calls the visitor counts as a no-show."""
    ticket = turn.ticket_at(window)
    if ticket is None or ticket.state != "CALLED":
        turn.ignore(window, "nobody_called")
        return
    if turn.lookup.site.queue is None and ticket.calls >= turn.state.policy.calling.max_calls:
        no_show(turn, window, inferred=False)
        return
    move(turn, ticket, "recall")
    ticket.calls += 1
    ticket.called_ms = turn.at_ms
    _set_call_deadline(turn, window)
    turn.note("ticket.recalled", ticket.number, window=window, calls=ticket.calls)
    announce(turn, ticket, window)


def announce(turn: Turn, ticket: Ticket, window: str) -> None:
    """Announce the call and put it on top of the area's last calls; a recall moves its own line there."""
    area_id = turn.lookup.area_of(ticket.service)
    number = turn.lookup.windows[window].number
    calls = turn.area(area_id).last_calls
    calls[:] = [shown for shown in calls if shown.number != ticket.number]
    calls.insert(0, CallShown(ticket.number, number))
    del calls[turn.state.policy.calling.last_calls :]
    turn.touch_area(area_id)
    if turn.lookup.site.queue is None:  # in follow mode the queue system speaks
        announcements.call(turn, ticket, window)


def arrive(turn: Turn, window: str, inferred: bool) -> None:
    """Record that the called visitor is at the window. ``inferred``: no key said so."""
    ticket = turn.ticket_at(window)
    if ticket is None:
        turn.ignore(window, "nobody_called")
        return
    if not move(turn, ticket, "arrive") or not move_window(turn, window, "arrive"):
        return
    ticket.serving_ms = turn.at_ms
    turn.window(window).due_ms = None
    turn.note("ticket.arrived", ticket.number, window=window, inferred=int(inferred))


def no_show(turn: Turn, window: str, inferred: bool) -> None:
    """Record that the called visitor did not come (过号); they may be called again or revived for a while."""
    ticket = turn.ticket_at(window)
    if ticket is None:
        turn.ignore(window, "nobody_called")
        return
    if not move(turn, ticket, "no-show"):
        return
    turn.note(
        "ticket.no_show",
        ticket.number,
        window=window,
        area=turn.lookup.area_of(ticket.service),
        inferred=int(inferred),
    )
    again = turn.state.policy.visits
    ours = turn.lookup.site.queue is None
    if ours and again.reoffer_s and ticket.reoffers < again.reoffers:
        turn.set_timer(f"reoffer/{ticket.id}", turn.at_ms + again.reoffer_s * 1000)
    free(turn, window)


def free(turn: Turn, window: str) -> None:
    """Release the window of a visitor who leaves: it is open again, cools down if it was draining, or stays paused."""
    state = turn.window(window)
    ticket = turn.ticket_at(window)
    rateable = ticket is not None and ticket.state in ("SERVED", "RETURN_PENDING") and not ticket.rated
    case = turn.state.cases.get(state.last_case or "")
    if ticket is not None and ticket.serving_ms is not None and (case is None or case.visit != ticket.id):
        state.last_case = None  # another visitor was served since: the evaluator asks about that visit
    state.last_ticket, state.ticket = state.ticket if rateable else None, None
    if rateable and turn.lookup.windows[window].evaluator is not None:  # when its evaluator stops asking
        turn.set_timer(f"rate/{window}", turn.at_ms + turn.state.policy.ratings.within_s * 1000)
    state.last_ticket_ended_ms = turn.at_ms
    state.due_ms = None
    if state.state == "PAUSED":
        turn.touch_window(window)
        return
    move_window(turn, window, "free")


def _set_call_deadline(turn: Turn, window: str) -> None:
    calling = turn.state.policy.calling
    confirms = turn.lookup.windows[window].confirms_arrival
    seconds = calling.call_timeout_s if confirms else calling.infer_arrival_s
    turn.window(window).due_ms = turn.at_ms + seconds * 1000
    turn.touch_window(window)


def call_deadline(turn: Turn, window: str) -> None:
    """Timer: the called visitor has had time enough to come. Where a key confirms arrivals this is a no-show; elsewhere
    the arrival is inferred.

    In follow mode always an arrival: the queue system reports no-shows itself.
    """
    if turn.lookup.windows[window].confirms_arrival and turn.lookup.site.queue is None:
        no_show(turn, window, inferred=True)
    else:
        arrive(turn, window, inferred=True)
