"""After an upgrade: makes the state match what an earlier version recorded for the last steps, because it was called,
printed and spoken.

Nothing is said, printed or paged again. Visits are corrected first, then windows without a visitor. What cannot be
corrected raises an alarm that names the number or the window, for people to check.
"""

from __future__ import annotations

from typing import cast

from edged.core.model.events import KeptVisit, KeptWindow, OutcomeKept
from edged.core.model.state import Ticket, TicketState
from edged.core.model.turn import Turn
from edged.core.people import alarms, staffing
from edged.core.queue.ordering import AT_REST
from edged.core.queue.tickets import by_number, mirrored, put
from edged.core.visits.follow import make_ready, to_service, wake
from edged.core.visits.recorded import AT_WINDOW, OVER, alike
from edged.core.windows.machine import free, move_window, set_called

ALARM = "decided-otherwise"
BEFORE = "version-before"  # the reason noted for windows opened here
NAMED_MAX = 20  # alarms of one upgrade; with more, people check the whole hall anyway
QUIET: tuple[TicketState, ...] = ("WAITING", "SERVED", "CANCELLED", "NO_SHOW", "PARKED")


def match_record(turn: Turn, event: OutcomeKept) -> None:
    """Apply the recorded outcome of steps to the state, without deciding anything again."""
    state = turn.state
    state.next_action = max(state.next_action, event.next_action)
    state.next_case += event.cases
    for action in event.unsure:
        if action in state.actions:
            turn.settle_unknown(action)
    for visit in event.visits:
        _take_away(turn, visit)
    for visit in event.visits:
        _become(turn, visit)
    for window in event.windows:
        _stand(turn, window)
    left = [visit.number for visit in event.visits if not _is_so(turn, visit)]
    left += [window.window for window in event.windows if not _stands(turn, window)]
    for subject in left[:NAMED_MAX]:
        alarms.sound(turn, ALARM, subject)
    turn.note(
        "journal.outcome_kept",
        turn.lookup.site.hall,
        visits=len(event.visits),
        windows=len(event.windows),
        left=",".join(left[:NAMED_MAX]),
    )


def end_day(turn: Turn) -> None:
    """Clear the alarms about differing decisions at the end of the day: nobody holds those numbers any more."""
    for alarm in list(turn.state.alarms.values()):
        if alarm.kind == ALARM:
            alarms.clear(turn, ALARM, alarm.subject)


def _take_away(turn: Turn, visit: KeptVisit) -> None:
    """Put a visitor at a window back into the queue and free the window, if the earlier version recorded another state
    or window for them.
    """
    ticket = by_number(turn, visit.number)
    if ticket is None or ticket.state not in AT_WINDOW or ticket.window is None:
        return
    if (ticket.window, ticket.state) != (visit.window, visit.state):
        window = ticket.window
        put(turn, ticket, "WAITING")
        free(turn, window)


def _become(turn: Turn, visit: KeptVisit) -> None:
    ticket = by_number(turn, visit.number)
    if ticket is None and visit.state not in OVER and visit.service in turn.lookup.services:
        ticket = mirrored(turn, visit.number, visit.service, visit.point)
    if ticket is None or _is_so(turn, visit):
        return
    if ticket.state != "WAITING":
        put(turn, ticket, "WAITING")
    if ticket.service != visit.service and visit.service in turn.lookup.services:
        to_service(turn, ticket, visit.service)
    if visit.state in QUIET and visit.state != "WAITING":
        put(turn, ticket, cast(TicketState, visit.state))
    elif visit.state == "RETURN_PENDING":
        _awaits_papers(turn, ticket)
    elif visit.state in AT_WINDOW and visit.window in turn.lookup.windows:
        _seat(turn, ticket, visit)


def _awaits_papers(turn: Turn, ticket: Ticket) -> None:
    within_s = turn.state.policy.visits.return_within_s
    if within_s:
        put(turn, ticket, "RETURN_PENDING")
        turn.set_timer(f"return/{ticket.id}", turn.at_ms + within_s * 1000)
    else:
        put(turn, ticket, "SERVED")


def _seat(turn: Turn, ticket: Ticket, visit: KeptVisit) -> None:
    """Put a visitor at the window where the record has them, called or being served."""
    window = str(visit.window)
    if turn.window(window).ticket is not None:
        return
    make_ready(turn, window, ticket, BEFORE)
    if turn.window(window).state != "OPEN" or not set_called(turn, window, ticket):
        return
    if visit.state == "SERVING":
        move_window(turn, window, "arrive")
        put(turn, ticket, "SERVING")
        ticket.serving_ms, turn.window(window).due_ms = turn.at_ms, None


def _stand(turn: Turn, theirs: KeptWindow) -> None:
    """Set a window without a visitor to its recorded state (open or closed); nobody is paged for it."""
    if theirs.window not in turn.lookup.windows:
        return
    ours, tidal = turn.window(theirs.window), turn.lookup.windows[theirs.window].tidal
    if ours.ticket is not None or ours.state == theirs.state:
        return
    if theirs.state == "OPEN" and ours.state == "CLOSED":
        move_window(turn, theirs.window, "open")
    elif theirs.state == "CLOSED" and ours.state in ("OPEN", "PAUSED"):
        if move_window(turn, theirs.window, "close"):
            staffing.unbind_window(turn, theirs.window)
    elif theirs.state == "OPEN" and ours.state in AT_REST and tidal and theirs.area in turn.lookup.areas:
        wake(turn, theirs.window, theirs.area, BEFORE)


def _is_so(turn: Turn, visit: KeptVisit) -> bool:
    ticket = by_number(turn, visit.number)
    if ticket is None:
        return visit.state in OVER
    window = ticket.window if ticket.state in AT_WINDOW else None
    same = alike(ticket.state, visit.state) and window == visit.window
    return same and (ticket.service == visit.service or visit.state in OVER)


def _stands(turn: Turn, theirs: KeptWindow) -> bool:
    if theirs.window not in turn.lookup.windows:
        return True
    ours = turn.window(theirs.window)
    return (ours.state, ours.area) == (theirs.state, theirs.area)
