"""The one ordering function: who is next. Call-next, displays and estimates all ask here.

Rule: the ticket with the earliest *effective arrival* goes first. Effective arrival is the visit's arrival minus the
head start of its priority class, so priority ages both ways and everybody's wait stays bounded: a normal visitor is
overtaken only by priority visitors who came less than ``priority_head_start_s`` after them. At most ``priority_streak``
priority calls in a row per area while somebody else waits. Ties: issue time, then ticket id.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable

from edged.core.policy import Calling
from edged.core.state import State, Ticket

RETURNING_FIRST = ("normal",)  # classes without a head start; every other class has one


def effective_ms(ticket: Ticket, calling: Calling) -> int:
    """The arrival stamp a ticket is ordered by."""
    if ticket.priority in RETURNING_FIRST:
        return ticket.place_ms
    return ticket.place_ms - calling.priority_head_start_s * 1000


def enqueue(state: State, ticket: Ticket) -> None:
    """Put a waiting ticket into its queue (one queue per service and priority class, by place)."""
    queue = state.queues.setdefault(ticket.service, {}).setdefault(ticket.priority, [])
    insort(queue, ticket.id, key=lambda other: (state.tickets[other].place_ms, other))


def dequeue(state: State, ticket: Ticket) -> None:
    """Take a ticket out of its queue."""
    state.queues[ticket.service][ticket.priority].remove(ticket.id)


def oldest_issued_ms(state: State, services: Iterable[str]) -> int | None:
    """When the longest-waiting visitor of these services took their number; None if nobody waits."""
    heads = [
        state.tickets[queue[0]].issued_ms
        for service in services
        for queue in state.queues.get(service, {}).values()
        if queue
    ]
    return min(heads, default=None)


def next_ticket(state: State, services: Iterable[str], window: str, skip_priority: bool) -> Ticket | None:
    """The ticket a window with these services calls next, or None.

    ``skip_priority``: the area's streak of priority calls is used up, so a normal visitor goes first if one waits.
    """
    calling = state.policy.calling
    best: Ticket | None = None
    best_key: tuple[int, int, int] | None = None
    for service in services:
        for priority, queue in state.queues.get(service, {}).items():
            ticket = _first_for(state, queue, window)
            if ticket is None:
                continue
            late = 1 if skip_priority and priority not in RETURNING_FIRST else 0
            key = (late, effective_ms(ticket, calling), ticket.id)
            if best_key is None or key < best_key:
                best, best_key = ticket, key
    return best


def _first_for(state: State, queue: list[int], window: str) -> Ticket | None:
    for ticket_id in queue:
        ticket = state.tickets[ticket_id]
        if ticket.only_window is None or ticket.only_window == window:
            return ticket
    return None
