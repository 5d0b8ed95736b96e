"""Tickets (号票): how a visit begins, and the table of a ticket's states and the triggers between them.

A trigger that the table does not list changes nothing and is noted as ``ignored``. Closed tickets are kept until
``CLOSED_KEPT`` newer ones are closed, so that a late rating or revival finds them and memory stays bounded.
"""

from __future__ import annotations

from edged.core.cases import case_book
from edged.core.model.events import CLASSES, Priority, TicketPrinted, TicketRequested
from edged.core.model.forecast import count_issued
from edged.core.model.point import Point
from edged.core.model.state import Ticket, TicketState
from edged.core.model.turn import Turn
from edged.core.people import stranded
from edged.core.queue import bookings, demand, issuing, numbering, sensors
from edged.core.queue.ordering import dequeue, enqueue

TABLE: dict[TicketState, dict[str, TicketState]] = {
    "BOOKED": {"due": "WAITING", "cancel": "CANCELLED"},
    "WAITING": {"call": "CALLED", "print-failed": "ISSUE_FAILED", "cancel": "CANCELLED"},
    "ISSUE_FAILED": {"printed": "WAITING", "cancel": "CANCELLED"},
    "CALLED": {"recall": "CALLED", "arrive": "SERVING", "no-show": "NO_SHOW", "cancel": "CANCELLED"},
    "SERVING": {
        "finish": "SERVED",
        "told-once": "RETURN_PENDING",
        "park": "PARKED",
        "transfer": "WAITING",
        "cancel": "CANCELLED",
    },
    "PARKED": {"resume": "WAITING", "cancel": "CANCELLED"},
    "RETURN_PENDING": {"return": "WAITING", "cancel": "CANCELLED"},
    "NO_SHOW": {"revive": "WAITING"},
    "SERVED": {},
    "CANCELLED": {},
}
ENDED: tuple[TicketState, ...] = ("SERVED", "CANCELLED", "NO_SHOW")
AHEAD_OF_SERVICE: tuple[TicketState, ...] = ("BOOKED", "WAITING", "ISSUE_FAILED", "CALLED")
TIMER_OF: dict[TicketState, str] = {  # timer of a state, dropped when the ticket leaves it
    "BOOKED": "booked",
    "PARKED": "park",
    "RETURN_PENDING": "return",
    "NO_SHOW": "reoffer",
}
LAST_NUMBER = 999  # three digits on every board; a hall that needs more splits the service
CLOSED_KEPT = 500  # a late rating or revival comes within minutes; 500 closed tickets are hours


def move(turn: Turn, ticket: Ticket, trigger: str) -> bool:
    """Apply ``trigger`` to a ticket's state; False (and a note) if the table forbids it."""
    before = ticket.state
    after = TABLE[before].get(trigger)
    if after is None:
        turn.ignore(ticket.number, "ticket_state", state=before, trigger=trigger)
        return False
    put(turn, ticket, after)
    return True


def put(turn: Turn, ticket: Ticket, after: TicketState) -> None:
    """Set a ticket's state to ``after`` whatever the table says, and update its queue and the counts."""
    before, area = ticket.state, turn.lookup.area_of(ticket.service)
    if before in TIMER_OF:
        turn.drop_timer(f"{TIMER_OF[before]}/{ticket.id}")
    if before == "WAITING":
        dequeue(turn.state, ticket)
        turn.area(area).waiting -= 1
        ticket.returning = False  # only while it waits after the return
    if before in ENDED:
        _reopen(turn, ticket)
    ticket.state = after
    if after == "WAITING":
        _queue(turn, ticket)
    if after in ENDED:
        _close(turn, ticket)
    turn.touch_area(area)


def by_number(turn: Turn, number: str | None) -> Ticket | None:
    """Today's ticket with this number, which may be spelled as a person types it or a scanner sends it; None if there
    is none.
    """
    used = turn.state.used_numbers
    ticket_id = used.get(number or "") or used.get(numbering.spelled(number or ""))
    return None if ticket_id is None else turn.state.tickets.get(ticket_id)


def checked_in(turn: Turn, event: TicketRequested) -> Ticket | None:
    """The ticket of somebody who checked in with this appointment and is not yet served; None if there is none.

    It serves a code that comes again, because a scanner read it twice or the paper was lost. A code that was never an
    appointment finds nobody, because some machines send the same text for all visitors.
    """
    if event.appointment is None or bookings.holds(turn, event.appointment, event.service):
        return None
    mine = (
        ticket
        for ticket in turn.state.tickets.values()
        if ticket.booked == event.appointment and ticket.state in AHEAD_OF_SERVICE
    )
    found = next(mine, None)
    return found if found is not None and found.service in (_stages(turn, event.service) or ()) else None


def known_class(turn: Turn, priority: Priority) -> bool:
    """Whether a priority class of this name exists, built in or in the policy."""
    return priority in CLASSES or priority in turn.state.policy.calling.classes


def needs_reason(turn: Turn, priority: Priority) -> bool:
    """Whether the policy requires a reason for this priority class."""
    own = turn.state.policy.calling.classes.get(priority)
    return own is not None and own.needs_reason


def issue_printed(turn: Turn, event: TicketPrinted) -> None:
    """Handle a number that a dispenser printed by itself: its visitor joins the queue.

    If the number was used today and its visit is over, the dispenser has started again from the beginning and this is
    another visitor. If the visit is not over, two people may hold the same number, and the second is sent to the staff.
    """
    stages = _stages(turn, event.service)
    if stages is None:
        turn.ignore(event.number, "unknown_service", service=event.service, point=event.point)
        stranded.paper(turn, event.point, event.number, event.service, "unknown_service")
        return
    again = numbering.given(turn.state, event.number)
    before = by_number(turn, event.number) if again else None
    if before is not None and before.state not in ("SERVED", "CANCELLED"):
        turn.ignore(event.number, "number_repeated", point=event.point)
        stranded.paper(turn, event.point, event.number, event.service, "number_repeated")
        return
    issuing.flag(turn, issue(turn, event.number, stages, event))
    if again:
        stranded.numbers_begin_again(turn, event.point, event.number)


def allot(turn: Turn, event: TicketRequested) -> Ticket | None:
    """Give the next number of the service; None (and a note) if no number can be given."""
    stages = _stages(turn, event.service)
    if stages is None:
        turn.ignore(event.point, "unknown_service", service=event.service)
        return None
    if turn.lookup.site.queue is not None:
        turn.ignore(event.point, "queue_system_issues", service=event.service)
        return None
    if issuing.refused(turn, event, stages[0]):
        return None
    number = _next_number(turn, stages[0], turn.lookup.services[stages[0]].prefix)
    if number is None:
        turn.ignore(event.point, "numbers_used_up", service=event.service)
        return None
    return issue(turn, number, stages, event)


def mirrored(turn: Turn, number: str, service: str, point: Point) -> Ticket:
    """A new ticket for a visit that this hall learns of from elsewhere: from the queue system (follow mode) or from
    what an earlier version recorded. Its waiting starts now. ``point``: the queue system's or the dispenser's.
    """
    return issue(turn, number, [service], TicketPrinted(point, number, service))


def _stages(turn: Turn, name: str) -> list[str] | None:
    """The services of a visit: the one asked for, or those of the journey ``name`` that the hall has. None if
    unknown.
    """
    if name in turn.lookup.services:
        return [name]
    journey = turn.state.policy.visits.journeys.get(name)
    if journey is None:
        return None
    return [service for service in journey.stages if service in turn.lookup.services] or None


def issue(turn: Turn, number: str, stages: list[str], event: TicketPrinted | TicketRequested) -> Ticket:
    """Begin a visit: its ticket joins the queue, or (an appointment that is early) waits for its time."""
    state = turn.state
    service, *later = stages
    priority, callable_ms = bookings.unbooked(event.priority), None
    known = bookings.names(turn, event.appointment, event.service)
    if event.appointment is not None:
        check_in = bookings.claim(turn, event.appointment, event.service, priority)
        priority, callable_ms = check_in.priority, check_in.callable_ms
    if not known_class(turn, priority):
        turn.ignore(number, "unknown_class", priority=priority)
        priority = "normal"
    if needs_reason(turn, priority) and not event.reason:
        turn.ignore(number, "priority_needs_reason", priority=priority)
        priority = "normal"
    ticket = Ticket(
        id=state.next_ticket,
        number=number,
        service=service,
        priority=priority,
        issued_ms=turn.at_ms,
        place_ms=turn.at_ms,
        source=event.point,
        stages=later,
        reason=event.reason,
        booked=event.appointment if known else None,
    )
    state.next_ticket += 1
    state.tickets[ticket.id] = ticket
    state.used_numbers[number] = ticket.id
    area = turn.lookup.area_of(service)
    sensors.add_source(turn, area, event.point)
    if callable_ms is None:
        _join(turn, ticket)
    else:
        ticket.state = "BOOKED"
        turn.set_timer(f"booked/{ticket.id}", callable_ms)
    data: dict[str, str | None] = {} if event.appointment is None else {"appointment": event.appointment}
    data |= {} if not later else {"journey": event.service}
    data |= {} if event.reason is None else {"reason": event.reason}
    turn.note(
        "ticket.issued", number, area=area, service=service, priority=priority, point=event.point, **data
    )
    case_book.opened_by_ticket(turn, ticket)
    return ticket


def booked_time_begins(turn: Turn, key: str) -> None:
    """Timer: an appointment that has checked in may be called from now on."""
    ticket = turn.state.tickets.get(int(key))
    if ticket is None or ticket.state != "BOOKED":
        return
    ticket.place_ms = turn.at_ms  # checking in early gives no earlier place
    move(turn, ticket, "due")
    _expect(turn, ticket)
    turn.note("appointment.due", ticket.number, service=ticket.service)


def _join(turn: Turn, ticket: Ticket) -> None:
    _queue(turn, ticket)
    turn.touch_area(turn.lookup.area_of(ticket.service))
    _expect(turn, ticket)


def _queue(turn: Turn, ticket: Ticket) -> None:
    ticket.queued_ms, ticket.quoted_s = turn.at_ms, None  # of this stage no wait was told yet
    enqueue(turn.state, ticket)
    turn.area(turn.lookup.area_of(ticket.service)).waiting += 1


def _expect(turn: Turn, ticket: Ticket) -> None:
    """Count a new arrival for the area's forecast, and store the wait that the visitor is told."""
    count_issued(turn.area(turn.lookup.area_of(ticket.service)).learnt, ticket.service, turn.at_ms)
    quoted = demand.ticket_range(turn, ticket)  # last: tide and boards use the load computed here
    if quoted is not None:
        ticket.quoted_s = (round(quoted.low_s), round(quoted.mean_s), round(quoted.high_s))


def _next_number(turn: Turn, service: str, prefix: str) -> str | None:
    state = turn.state
    last = state.last_number.get(service, 0)
    for step in range(1, LAST_NUMBER + 1):
        value = last + step
        if value > LAST_NUMBER:
            return None  # numbers are never used twice in a day
        number = f"{prefix}{value:03d}"
        if not numbering.given(state, number):
            state.last_number[service] = value
            return number
    return None


def _close(turn: Turn, ticket: Ticket) -> None:
    ticket.ended_ms = turn.at_ms
    closed = turn.state.closed
    closed.append(ticket.id)
    if len(closed) > CLOSED_KEPT:
        gone = closed.pop(0)
        turn.drop_timer(f"reoffer/{gone}")
        numbering.ticket_gone(turn.state, turn.state.tickets.pop(gone))


def _reopen(turn: Turn, ticket: Ticket) -> None:
    ticket.ended_ms = None
    turn.state.closed.remove(ticket.id)
