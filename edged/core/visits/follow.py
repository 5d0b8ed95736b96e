"""Follow mode: the hall's existing queue system issues and calls numbers; this hall copies it and runs the tide, lamps
and displays.

The queue system is always right. Where our state differs it is corrected, and each correction is a note
``follow.healed`` with what was wrong, so that it is counted. A call of an unknown number creates its visit. Keys and
dispensers that would call or issue are refused. The list of windows that are to serve is sent to the queue system as a
level (``windows_to_serve``), and it sends visitors there.
"""

from __future__ import annotations

from edged.core.model.commands import Serve
from edged.core.model.events import CallReported, EndReported, QueueReported, TicketPrinted, WindowReported
from edged.core.model.point import Point
from edged.core.model.state import Ticket
from edged.core.model.turn import Turn
from edged.core.people import staffing, stranded
from edged.core.queue import numbering
from edged.core.queue.ordering import ASKED, AT_REST, STAFFED, Choice, dequeue, enqueue, serving_services
from edged.core.queue.tickets import issue_printed, mirrored, move
from edged.core.visits.detours import cancel
from edged.core.visits.outcomes import finish
from edged.core.windows import activation, attendance
from edged.core.windows.machine import arrive, call, free, move_window, no_show, recall

THEIRS = frozenset(  # keys that decide who is called, which is done by the queue system
    {
        "next",
        "next-or-recall",
        "prepare",
        "announce",
        "recall",
        "arrive",
        "finish",
        "no-show",
        "no-show-or-finish",
        "park",
        "resume",
        "transfer",
        "cancel",
        "priority",
        "walk-direct",
        "green-lane",
        "reprint",
        "priority-insert",
    }
)
LIST_LAG_MS = 30_000  # a list may be this much older than a call, because it is made before it is sent
SYSTEM = "queue-system"
BY_SYSTEM = "by_queue_system"


def following(turn: Turn) -> bool:
    """Whether an existing queue system issues and calls the numbers."""
    return turn.lookup.site.queue is not None


def called(turn: Turn, event: CallReported) -> None:
    """Handle a report that the other queue system has called a number to a window."""
    if not _speaks(turn, event.point, event.window):
        return
    ticket = _ticket(turn, event)
    if ticket is None:
        return
    state = turn.window(event.window)
    if state.ticket == ticket.id:
        if ticket.state == "CALLED":
            recall(turn, event.window)
        else:
            turn.ignore(ticket.number, "called_already", window=event.window)
        return
    _make_waiting(turn, ticket)
    make_ready(turn, event.window, ticket, SYSTEM)
    if state.state == "OPEN":
        call(turn, event.window, Choice(ticket, None, overtakes=False))


def ended(turn: Turn, event: EndReported) -> None:
    """Handle the end of a visit at a window, reported by the queue system."""
    if not _speaks(turn, event.point, event.window):
        return
    window = event.window
    ticket = turn.ticket_at(window)
    if event.number is not None and (ticket is None or ticket.number != event.number):
        ticket = _known(turn, event.number)
        if ticket is None or ticket.window is None or turn.window(ticket.window).ticket != ticket.id:
            turn.ignore(event.number, "nobody_served", window=window)
            return
        _healed(turn, ticket.number, "at_other_window", ticket.window)
        window = ticket.window
    if ticket is None:
        turn.ignore(window, "nobody_served")
        return
    _end(turn, window, ticket, event.outcome)


def listed(turn: Turn, event: QueueReported) -> None:
    """Handle the queue system's list of everybody who waits for a service: change our queue of that service to match
    it.
    """
    if not _speaks(turn, event.point, None):
        return
    if event.service not in turn.lookup.services:
        turn.ignore(event.point, "unknown_service", service=event.service)
        stranded.not_of_this_hall(turn, event.point, event.service)
        return
    theirs = dict.fromkeys(event.waiting)
    ours = [ticket for ticket in turn.state.tickets.values() if ticket.state == "WAITING"]
    for ticket in ours:
        if ticket.service == event.service and ticket.number not in theirs:
            _healed(turn, ticket.number, "waits_no_more", None)
            cancel(turn, ticket, BY_SYSTEM)
    for number in theirs:
        _listed(turn, event, number)
    _reorder(turn, event.service, tuple(theirs))


def seated(turn: Turn, event: WindowReported) -> None:
    """Handle the queue system's report that somebody is at a window or nobody is.

    A repeated report only shows that somebody is still there.
    """
    window = event.window
    if not _speaks(turn, event.point, window):
        return
    if not event.staffed:
        _left(turn, window)
        return
    attendance.seen(turn, window)
    if turn.override("close", window) is not None:
        turn.ignore(window, "forced_closed")
    elif turn.window(window).state in ASKED:
        activation.acknowledge(turn, window, None)
    elif turn.window(window).state == "CLOSED" and move_window(turn, window, "open"):
        turn.note("window.opened", window, staff=turn.window(window).staff, reason=SYSTEM)


def _left(turn: Turn, window: str) -> None:
    """End the visit at a window where nobody is any more; the window closes or is given back."""
    state = turn.window(window)
    if state.ticket is not None:
        _healed(turn, window, "end_not_heard", window)
        finish(turn, window, inferred=True)
    if state.state in ("CONSULTING", "INVITED"):
        staffing.unbind_window(turn, window)
        activation.leave(turn, window)
        turn.note("window.logout", window)
    elif state.state not in ("OPEN", "PAUSED"):
        return
    elif turn.lookup.windows[window].tidal:
        activation.drain(turn, window, activation.STAFF_LEFT)
    elif move_window(turn, window, "close"):
        staffing.unbind_window(turn, window)
        turn.note("window.closed", window, reason=SYSTEM)


def _listed(turn: Turn, event: QueueReported, number: str) -> None:
    """Make one number of the queue system's list wait for this service. It stays unchanged if it was called or ended so
    recently that the list may be older.
    """
    known = _known(turn, number)
    if known is not None and _just_now(turn, known):
        turn.ignore(number, "list_is_older", point=event.point)
        return
    if known is None or known.state in ("SERVED", "CANCELLED"):
        _healed(turn, number, "unknown_number", None)
        mirrored(turn, number, event.service, event.point)
        return
    if known.state != "WAITING":
        _healed(turn, number, "waits_there", known.window)
        _make_waiting(turn, known)
    if known.state == "WAITING" and known.service != event.service:
        _healed(turn, number, "other_service", None)
        to_service(turn, known, event.service)


def _just_now(turn: Turn, ticket: Ticket) -> bool:
    """Whether this ticket was called or its visit ended within the last ``LIST_LAG_MS``. A list from the queue system
    may have been made before that.
    """
    if ticket.state in ("CALLED", "SERVING"):
        since_ms = ticket.called_ms
    else:
        since_ms = ticket.ended_ms if ticket.state in ("SERVED", "NO_SHOW") else None
    return since_ms is not None and turn.at_ms - since_ms < LIST_LAG_MS


def to_service(turn: Turn, ticket: Ticket, service: str) -> None:
    """Move a waiting ticket to the queue of another service."""
    before = turn.lookup.area_of(ticket.service)
    dequeue(turn.state, ticket)
    turn.area(before).waiting -= 1
    ticket.service = service
    enqueue(turn.state, ticket)
    after = turn.lookup.area_of(service)
    turn.area(after).waiting += 1
    turn.touch_area(before)
    turn.touch_area(after)


def _reorder(turn: Turn, service: str, numbers: tuple[str, ...]) -> None:
    """Give waiting tickets the order of the list, by exchanging their places in the queue among themselves."""
    found = [ticket for number in numbers if (ticket := _known(turn, number)) is not None]
    waiting = [ticket for ticket in found if ticket.state == "WAITING" and ticket.service == service]
    places = sorted(ticket.place_ms for ticket in waiting)
    if places == [ticket.place_ms for ticket in waiting]:
        return
    for ticket in waiting:
        dequeue(turn.state, ticket)
    for ticket, place_ms in zip(waiting, places, strict=True):
        ticket.place_ms = place_ms
        enqueue(turn.state, ticket)
    turn.touch_area(turn.lookup.area_of(service))


def issued(turn: Turn, event: TicketPrinted) -> None:
    """Handle a number issued by the queue system. If the number was used before, this is a new visit."""
    known = _known(turn, event.number)
    if known is None or event.service not in turn.lookup.services:
        issue_printed(turn, event)
    elif known.state == "WAITING":
        turn.ignore(event.number, "number_repeated", point=event.point)
        if known.service != event.service:
            _healed(turn, event.number, "other_service", None)
            to_service(turn, known, event.service)
    else:
        _healed(turn, event.number, "number_begins_again", known.window)
        mirrored(turn, event.number, event.service, event.point)


def windows_to_serve(turn: Turn) -> Serve:
    """The windows that should serve now, each with its services, for the queue system."""
    return Serve(
        tuple(
            (window, serving_services(turn, window))
            for window in turn.lookup.windows
            if _may_get_somebody(turn, window)
        )
    )


def _may_get_somebody(turn: Turn, window: str) -> bool:
    """Whether the queue system may send visitors to a window: never while it is paused or ordered closed; to a "+1"
    window only while it is staffed.
    """
    state = turn.window(window).state
    if state == "PAUSED" or turn.override("close", window) is not None:
        return False
    return state in STAFFED or not turn.lookup.windows[window].tidal


def _speaks(turn: Turn, point: Point, window: str | None) -> bool:
    """Whether a message comes from this hall's queue system and names a window that the hall has; if not, an alarm is
    raised.
    """
    if point != turn.lookup.site.queue:
        turn.ignore(point, "not_the_queue_system")
        stranded.not_of_this_hall(turn, point, point)
        return False
    if window is not None and window not in turn.lookup.windows:
        turn.ignore(window, "unknown_window", point=point)
        stranded.not_of_this_hall(turn, point, window)
        return False
    return True


def _known(turn: Turn, number: str) -> Ticket | None:
    ticket_id = turn.state.used_numbers.get(number)
    return None if ticket_id is None else turn.state.tickets.get(ticket_id)


def _ticket(turn: Turn, event: CallReported) -> Ticket | None:
    """The ticket that is called; a new one if the number is unknown or its visit is over. None if the service is
    unknown.
    """
    ticket = _known(turn, event.number)
    if ticket is not None and ticket.state not in ("SERVED", "CANCELLED"):
        return ticket
    service = event.service or _service_at(turn, event.window)
    if service not in turn.lookup.services:
        turn.ignore(event.number, "unknown_service", service=service, point=event.point)
        stranded.not_of_this_hall(turn, event.point, service)
        return None
    what = "unknown_number" if not numbering.given(turn.state, event.number) else "number_was_over"
    _healed(turn, event.number, what, event.window)
    return mirrored(turn, event.number, service, event.point)


def _service_at(turn: Turn, window: str) -> str:
    skills = turn.lookup.windows[window].skills
    area = turn.window(window).area
    here = [service for service in skills if turn.lookup.area_of(service) == area]
    return (here or skills)[0]


def _make_waiting(turn: Turn, ticket: Ticket) -> None:
    """Put a visitor back into the queue whatever our state is, because the queue system says that they wait."""
    if ticket.state in ("CALLED", "SERVING"):
        assert ticket.window is not None
        other = ticket.window
        _healed(turn, ticket.number, "at_other_window", other)
        if ticket.state == "CALLED":
            arrive(turn, other, inferred=True)
        move(turn, ticket, "park")
        free(turn, other)
    if ticket.state == "PARKED" and move(turn, ticket, "resume"):
        turn.note("ticket.resumed", ticket.number, window=ticket.window)
    elif ticket.state == "NO_SHOW" and move(turn, ticket, "revive"):
        turn.note("ticket.revived", ticket.number, window=ticket.window)


def make_ready(turn: Turn, window: str, ticket: Ticket, by: str) -> None:
    """Make a window ready for a call that was already made elsewhere: open it, and end the visit of anybody still
    there. ``by``: the source of the call, for the note.
    """
    state = turn.window(window)
    if state.ticket is not None:
        _healed(turn, window, "end_not_heard", window)
        finish(turn, window, inferred=True)
    if state.state in ASKED:
        activation.acknowledge(turn, window, None)
    elif state.state == "CLOSED" and move_window(turn, window, "open"):
        turn.note("window.opened", window, staff=state.staff, reason=by)
    elif state.state == "PAUSED" and move_window(turn, window, "unpause"):
        turn.note("window.unpaused", window, reason=by)
    elif state.state in AT_REST:
        wake(turn, window, turn.lookup.area_of(ticket.service), by)


def wake(turn: Turn, window: str, area: str, by: str) -> None:
    """Open a "+1" window that was at rest, without asking staff, because a call or a record shows that it serves.
    ``by``: the source of that, for the note.
    """
    if following(turn):
        _healed(turn, window, "window_at_rest", window)
    activation.settle(turn, window)
    state = turn.window(window)
    state.due_ms = None
    if state.state == "COOLDOWN":
        activation.end_cooldown(turn, window)
    areas = turn.lookup.window_areas[window]
    state.area = area if area in areas else areas[0]
    state.rule, state.reason, state.requested_ms = by, f"{by}: it calls there", turn.at_ms
    move_window(turn, window, "activate-staffed")
    activation.opened(turn, window)


def _end(turn: Turn, window: str, ticket: Ticket, outcome: str) -> None:
    if outcome == "no-show" and ticket.state == "CALLED":
        no_show(turn, window, inferred=False)
    elif outcome in ("served", "no-show"):
        finish(turn, window, inferred=False)
    elif outcome == "parked":
        if ticket.state == "CALLED":
            arrive(turn, window, inferred=True)
        if move(turn, ticket, "park"):
            turn.note("ticket.parked", ticket.number, window=window)
            free(turn, window)
    else:
        cancel(turn, ticket, BY_SYSTEM)


def _healed(turn: Turn, subject: str, what: str, window: str | None) -> None:
    turn.note("follow.healed", subject, what=what, window=window)
