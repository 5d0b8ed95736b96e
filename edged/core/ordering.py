"""The one ordering function: who is next. Call-next, displays and estimates all ask here.

Rule: the ticket with the earliest *effective arrival* goes first. Effective arrival is the visit's arrival minus the
head start of its priority class, so priority ages both ways: a normal visitor is overtaken only by priority visitors
who came less than ``priority_head_start_s`` after them. And never by more than ``priority_streak`` in a row: once that
many were called in an area while somebody normal waited there, the next call in that area goes to a normal visitor.
Ties: ticket id. So with n normal visitors ahead in the area, at most (n + 1) * ``priority_streak`` priority visitors of
the area are called first.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from edged.core.events import Priority
from edged.core.policy import Calling
from edged.core.state import State, Ticket, WindowStateName
from edged.core.turn import Turn

STAFFED: tuple[WindowStateName, ...] = ("OPEN", "CALLING", "SERVING", "PAUSED")
WITHOUT_HEAD_START: tuple[Priority, ...] = ("normal",)  # every other class has one


def effective_ms(ticket: Ticket, calling: Calling) -> int:
    """The arrival stamp a ticket is ordered by."""
    if ticket.priority in WITHOUT_HEAD_START:
        return place_ms(ticket)
    return place_ms(ticket) - calling.priority_head_start_s * 1000


def place_ms(ticket: Ticket) -> int:
    """Where it stands in its queue: by arrival, or by hand before it."""
    return ticket.place_ms - ticket.ahead_ms


def enqueue(state: State, ticket: Ticket) -> None:
    """Put a waiting ticket into its queue (one queue per service and priority class, by place)."""
    queue = state.queues.setdefault(ticket.service, {}).setdefault(ticket.priority, [])
    insort(queue, ticket.id, key=lambda other: (place_ms(state.tickets[other]), other))


def dequeue(state: State, ticket: Ticket) -> None:
    """Take a ticket out of its queue."""
    queue = state.queues[ticket.service][ticket.priority]
    place = (place_ms(ticket), ticket.id)
    del queue[bisect_left(queue, place, key=lambda other: (place_ms(state.tickets[other]), other))]


def put_first(turn: Turn, ticket: Ticket) -> None:
    """By hand: this waiting ticket is the next of its area, before whoever was put there until now."""
    calling = turn.state.policy.calling
    area = turn.lookup.area_of(ticket.service)
    first_ms = effective_ms(ticket, calling)
    for service in turn.lookup.area_services[area]:
        for queue in turn.state.queues.get(service, {}).values():
            if queue:
                first_ms = min(first_ms, effective_ms(turn.state.tickets[queue[0]], calling))
    dequeue(turn.state, ticket)
    ticket.ahead_ms += effective_ms(ticket, calling) - first_ms + 1
    enqueue(turn.state, ticket)
    turn.touch_area(area)


def oldest_issued_ms(turn: Turn, area: str) -> int | None:
    """When the longest-waiting visitor of the area took their number; None if nobody waits."""
    return oldest_waiting_ms(turn, turn.lookup.area_services[area])


def oldest_waiting_ms(turn: Turn, services: Iterable[str]) -> int | None:
    """When the longest-waiting visitor of these services took their number; None if nobody waits."""
    oldest: int | None = None
    for service in services:
        for queue in turn.state.queues.get(service, {}).values():
            if queue:
                issued_ms = turn.state.tickets[queue[0]].issued_ms
                oldest = issued_ms if oldest is None else min(oldest, issued_ms)
    return oldest


def serving_services(turn: Turn, window: str) -> tuple[str, ...]:
    """Services this window may call now: its skills, and for a tidal window only the activated area's."""
    site = turn.lookup.windows[window]
    state = turn.state.windows[window]
    if not site.tidal:
        lent_to = state.lent_to
        if lent_to is not None and turn.area(lent_to).waiting:  # lent: the other area's visitors first
            return turn.lookup.skills_in(window, lent_to)
        return site.skills
    return () if state.area is None else turn.lookup.skills_in(window, state.area)


def next_ticket(turn: Turn, window: str) -> Ticket | None:
    """The ticket this window calls next, or None."""
    calling = turn.state.policy.calling
    first: dict[str, tuple[tuple[bool, int, int], Ticket]] = {}  # the first of each area
    for service in serving_services(turn, window):
        area = turn.lookup.area_of(service)
        tired = turn.area(area).streak >= calling.priority_streak
        for priority, queue in turn.state.queues.get(service, {}).items():
            ticket = _first_for(turn, queue, window)
            if ticket is None:
                continue
            late = tired and priority not in WITHOUT_HEAD_START and not ticket.ahead_ms
            key = (late, effective_ms(ticket, calling), ticket.id)
            if area not in first or key < first[area][0]:
                first[area] = (key, ticket)
    return min(first.values(), key=lambda found: found[0][1:], default=(None, None))[1]


def count_streak(turn: Turn, ticket: Ticket) -> None:
    """``ticket`` is called: a priority call counts only where it overtakes somebody normal."""
    area_id = turn.lookup.area_of(ticket.service)
    area = turn.area(area_id)
    overtakes = ticket.priority not in WITHOUT_HEAD_START and any(
        turn.state.queues.get(service, {}).get(priority)
        for service in turn.lookup.area_services[area_id]
        for priority in WITHOUT_HEAD_START
    )
    area.streak = area.streak + 1 if overtakes else 0


def _first_for(turn: Turn, queue: list[int], window: str) -> Ticket | None:
    for ticket_id in queue:
        ticket = turn.state.tickets[ticket_id]
        if ticket.only_window in (None, window) or not _keeps(turn, ticket):
            return ticket
    return None


def _keeps(turn: Turn, ticket: Ticket) -> bool:
    """Whether the one window a visitor was sent to can still call them; if not, anybody may."""
    window = ticket.only_window
    if window is None or window not in turn.lookup.windows or turn.window(window).state not in STAFFED:
        return False
    return ticket.service in serving_services(turn, window)


def upcoming(turn: Turn, area: str, count: int) -> list[Ticket]:
    """Who is called next in an area, as if every window there could call anybody; the first ``count`` of them."""
    calling, tickets, queues = turn.state.policy.calling, turn.state.tickets, turn.state.queues
    waiting = [
        queue[:count]
        for service in turn.lookup.area_services[area]
        for queue in queues.get(service, {}).values()
        if queue
    ]
    streak, found = turn.area(area).streak, list[Ticket]()

    def rank(queue: list[int]) -> tuple[bool, int, int]:
        ticket = tickets[queue[0]]
        late = streak >= calling.priority_streak and ticket.priority not in WITHOUT_HEAD_START
        return late, effective_ms(ticket, calling), ticket.id

    while waiting and len(found) < count:
        queue = min(waiting, key=rank)
        ticket = tickets[queue.pop(0)]
        found.append(ticket)
        waiting = [queue for queue in waiting if queue]
        overtakes = ticket.priority not in WITHOUT_HEAD_START and any(
            tickets[queue[0]].priority in WITHOUT_HEAD_START for queue in waiting
        )
        streak = streak + 1 if overtakes else 0
    return found
