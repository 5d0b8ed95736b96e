"""Tickets (号票): issue, call, arrive, finish, no-show, park, transfer, revive. The table is the rule.

A trigger that the table does not know leaves the ticket alone and becomes an ``ignored`` note. Closed tickets stay
until ``CLOSED_KEPT`` newer ones are closed, so that a late rating or revival still finds them and memory stays bounded.
"""

from __future__ import annotations

from edged.core import case_book, demand, sensors
from edged.core.commands import Print
from edged.core.events import Priority, TicketPrinted, TicketRequested
from edged.core.forecast import Range, count_issued
from edged.core.ordering import dequeue, enqueue
from edged.core.state import Ticket, TicketState
from edged.core.turn import Turn

TABLE: dict[TicketState, dict[str, TicketState]] = {
    "WAITING": {"call": "CALLED", "cancel": "CANCELLED"},
    "CALLED": {"recall": "CALLED", "arrive": "SERVING", "no-show": "NO_SHOW", "cancel": "CANCELLED"},
    "SERVING": {"finish": "SERVED", "park": "PARKED", "transfer": "WAITING", "cancel": "CANCELLED"},
    "PARKED": {"resume": "WAITING", "cancel": "CANCELLED"},
    "NO_SHOW": {"revive": "WAITING"},
    "SERVED": {},
    "CANCELLED": {},
}
ENDED: tuple[TicketState, ...] = ("SERVED", "CANCELLED", "NO_SHOW")
LAST_NUMBER = 999  # three digits on every board; a hall that needs more splits the service
CLOSED_KEPT = 500  # a late rating or revival comes within minutes; 500 closed tickets are hours


def move(turn: Turn, ticket: Ticket, trigger: str) -> bool:
    """Apply ``trigger``; False (and a note) if the table forbids it."""
    before = ticket.state
    after = TABLE[before].get(trigger)
    if after is None:
        turn.ignore(ticket.number, "ticket_state", state=before, trigger=trigger)
        return False
    area = turn.lookup.area_of(ticket.service)
    if before == "WAITING":
        dequeue(turn.state, ticket)
        turn.area(area).waiting -= 1
    ticket.state = after
    if after == "WAITING":
        enqueue(turn.state, ticket)
        turn.area(area).waiting += 1
    if after in ENDED:
        _close(turn, ticket)
    elif before in ENDED:
        _reopen(turn, ticket)
    turn.touch_area(area)
    return True


def issue_printed(turn: Turn, event: TicketPrinted) -> None:
    """A dispenser printed this number: queue it, unless today already knows it (a duplicate is a no-op)."""
    if event.service not in turn.lookup.services:
        turn.ignore(event.number, "unknown_service", service=event.service, point=event.point)
        return
    if event.number in turn.state.used_numbers:
        turn.ignore(event.number, "number_repeated", point=event.point)
        return
    _issue(turn, event.number, event.service, event.priority, event.point)


def issue_requested(turn: Turn, event: TicketRequested) -> None:
    """Allot the next number of the service and print it where it was asked for."""
    service = turn.lookup.services.get(event.service)
    if service is None:
        turn.ignore(event.point, "unknown_service", service=event.service)
        return
    paused = turn.issuing_paused(service.area)
    if paused is not None:
        turn.ignore(event.point, "issuing_paused", service=event.service, by=paused.by)
        return
    number = _next_number(turn, event.service, service.prefix)
    if number is None:
        turn.ignore(event.point, "numbers_used_up", service=event.service)
        return
    ahead = turn.area(service.area).waiting
    ticket = _issue(turn, number, event.service, event.priority, event.point)
    told = () if ticket.quoted_s is None else Range(*ticket.quoted_s).in_minutes()
    ticket.print_action = turn.act(event.point, Print(number, event.service, ahead, *told))


def _issue(turn: Turn, number: str, service: str, priority: Priority, point: str) -> Ticket:
    state = turn.state
    ticket = Ticket(
        id=state.next_ticket,
        number=number,
        service=service,
        priority=priority,
        issued_ms=turn.at_ms,
        place_ms=turn.at_ms,
        source=point,
    )
    state.next_ticket += 1
    state.tickets[ticket.id] = ticket
    state.used_numbers[number] = ticket.id
    enqueue(state, ticket)
    area = turn.lookup.area_of(service)
    turn.area(area).waiting += 1
    sensors.heard_from(turn, area, point)
    count_issued(turn.area(area).learnt, service, turn.at_ms)
    turn.touch_area(area)
    quoted = demand.ticket_range(
        turn, ticket
    )  # last, so that the tide and the signs find the load worked out
    if quoted is not None:
        ticket.quoted_s = (round(quoted.low_s), round(quoted.mean_s), round(quoted.high_s))
    turn.note("ticket.issued", number, area=area, service=service, priority=priority, point=point)
    case_book.opened_by_ticket(turn, ticket)
    return ticket


def _next_number(turn: Turn, service: str, prefix: str) -> str | None:
    state = turn.state
    last = state.last_number.get(service, 0)
    for step in range(1, LAST_NUMBER + 1):
        value = last + step
        if value > LAST_NUMBER:
            return None  # never reused the same day
        number = f"{prefix}{value:03d}"
        if number not in state.used_numbers:
            state.last_number[service] = value
            return number
    return None


def _close(turn: Turn, ticket: Ticket) -> None:
    ticket.ended_ms = turn.at_ms
    closed = turn.state.closed
    closed.append(ticket.id)
    if len(closed) > CLOSED_KEPT:
        del turn.state.tickets[closed.pop(0)]


def _reopen(turn: Turn, ticket: Ticket) -> None:
    ticket.ended_ms = None
    turn.state.closed.remove(ticket.id)
