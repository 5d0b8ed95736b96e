"""What happens to a visit beside being called and served: parked, absent and back, transferred, back with papers, moved
ahead, cancelled.

A visit keeps its number, its place in the queue and its first window through all of it. The argument of a key is
``first/second``: a number or target, then details.
"""

from __future__ import annotations

from edged.core.model.events import Priority
from edged.core.model.point import Point
from edged.core.model.state import Ticket
from edged.core.model.turn import Turn
from edged.core.queue.ordering import WITHOUT_HEAD_START, dequeue, enqueue
from edged.core.queue.tickets import by_number, known_class, move, needs_reason
from edged.core.visits import first_owner, outcomes
from edged.core.windows.machine import arrive, free

PARK_MINUTES_MAX = 240  # half a day; after that it is a new visit


def finish_key(turn: Turn, window: str, arg: str | None) -> None:
    """Handle the "finish" key with an outcome: ``told-once/photo,id-copy``, ``promise/contract``, ``transferred/w4``;
    without one, served.
    """
    outcome, _, about = (arg or "served").partition("/")
    if outcome == "transferred":
        transfer(turn, window, about)
        return
    papers = outcomes.papers_of(about)
    if outcome not in outcomes.OUTCOMES:
        turn.ignore(window, "unknown_outcome", outcome=outcome)
    elif papers is None or (outcome == "told-once" and not papers):
        turn.ignore(window, "papers_are_codes", outcome=outcome)
    else:
        outcomes.finish(turn, window, False, outcome, papers)


def park(turn: Turn, window: str, arg: str | None) -> None:
    """Handle the "park" key: the visitor waits aside for ``arg`` minutes or else the policy's ``park_s`` (0: until
    resumed), then in the queue again.
    """
    ticket = turn.ticket_at(window)
    if ticket is None:
        turn.ignore(window, "nobody_served")
        return
    if ticket.direct:
        turn.ignore(window, "without_number", trigger="park")
        return
    minutes = int(arg) if arg is not None and arg.isascii() and arg.isdigit() and len(arg) <= 3 else None
    if arg is not None and (minutes is None or not 0 < minutes <= PARK_MINUTES_MAX):
        turn.ignore(window, "not_minutes", arg=arg)
        return
    if ticket.state == "CALLED":
        arrive(turn, window, inferred=True)
    if not move(turn, ticket, "park"):
        return
    seconds = turn.state.policy.visits.park_s if minutes is None else minutes * 60
    if seconds:
        turn.set_timer(f"park/{ticket.id}", turn.at_ms + seconds * 1000)
    turn.note("ticket.parked", ticket.number, window=window, minutes=seconds // 60)
    free(turn, window)


def resume(turn: Turn, window: str, arg: str | None) -> None:
    """Put visitor number ``arg`` back into the queue. They were parked, missed their call (at most ``revive_within_s``
    ago), or are back with missing papers.
    """
    ticket = by_number(turn, arg)
    if ticket is None:
        turn.ignore(window, "unknown_ticket", number=arg)
    else:
        _bring_back(turn, ticket, window)


def check_in(turn: Turn, number: str, point: Point) -> Ticket | None:
    """Put a visitor who scans their old number at a dispenser (二次通行) back into the queue; None if that is not
    possible.
    """
    ticket = by_number(turn, number)
    if ticket is None:
        turn.ignore(point, "unknown_ticket", number=number)
        return None
    return ticket if _bring_back(turn, ticket, point) else None


def _bring_back(turn: Turn, ticket: Ticket, by: str) -> bool:
    before = ticket.state
    if before == "NO_SHOW":
        return _revive(turn, ticket, by)
    if before not in ("PARKED", "RETURN_PENDING"):
        turn.ignore(ticket.number, "ticket_state", state=before, trigger="resume")
        return False
    owner = ticket.first_window
    if before == "RETURN_PENDING":
        ticket.returning = True
        ticket.only_window = ticket.window if turn.state.policy.visits.return_to_owner else None
    move(turn, ticket, "resume" if before == "PARKED" else "return")
    kind = "parked" if before == "PARKED" else "told-once"
    turn.note("ticket.returned", ticket.number, by=by, after=kind, first_window=owner)
    return True


def _revive(turn: Turn, ticket: Ticket, by: str) -> bool:
    limit_ms = turn.state.policy.calling.revive_within_s * 1000
    if ticket.ended_ms is None or turn.at_ms - ticket.ended_ms > limit_ms:
        turn.ignore(ticket.number, "revive_too_late", by=by)
        return False
    if not move(turn, ticket, "revive"):
        return False
    turn.note("ticket.revived", ticket.number, by=by)
    return True


def transfer(turn: Turn, window: str, arg: str | None) -> None:
    """Send the visitor to a service, to the first service of an area, or to one window; place and first owner stay."""
    ticket = turn.ticket_at(window)
    if ticket is None:
        turn.ignore(window, "nobody_served")
        return
    if ticket.direct:
        turn.ignore(window, "without_number", trigger="transfer")
        return
    to_window = arg if arg in turn.lookup.windows and arg not in turn.lookup.services else None
    to_service = ticket.service if to_window is not None else _target(turn, arg)
    if to_service is None:
        turn.ignore(window, "unknown_transfer_target", target=arg)
        return
    if to_window is not None and ticket.service not in turn.lookup.windows[to_window].skills:
        turn.ignore(window, "target_cannot_serve", target=arg)
        return
    if ticket.state == "CALLED":
        arrive(turn, window, inferred=True)
    before = ticket.service
    ticket.service, ticket.only_window = to_service, to_window
    move(turn, ticket, "transfer")
    outcomes.add_stop(turn, ticket, before, "transferred")
    turn.touch_area(turn.lookup.area_of(before))
    turn.note(
        "ticket.transferred", ticket.number, window=window, target=arg, first_window=ticket.first_window
    )
    first_owner.watch(turn, ticket)
    free(turn, window)


def _target(turn: Turn, name: str | None) -> str | None:
    if name in turn.lookup.services:
        return name
    services = turn.lookup.area_services.get(name or "", [])
    return services[0] if services else None


def cancel_key(turn: Turn, window: str, arg: str | None) -> None:
    """Handle the "cancel" key of a window. ``arg`` is empty (the visitor at this window), a ticket number, or a number
    and who cancels: ``A012/by-visitor`` if the visitor gave up, otherwise the staff cancel.
    """
    number, _, who = (arg or "").partition("/")
    ticket = by_number(turn, number) if number else turn.ticket_at(window)
    if ticket is None:
        turn.ignore(window, "unknown_ticket", number=number or None)
    elif who not in ("", "by-staff", "by-visitor"):
        turn.ignore(window, "unknown_canceller", by=who)
    else:
        cancel(turn, ticket, "by_visitor" if who == "by-visitor" else "by_staff")


def cancel(turn: Turn, ticket: Ticket, reason: str) -> bool:
    """End a visit without service and free its window. ``reason``: by_visitor, by_staff, by_reset or by_queue_system.
    False if it is over already.
    """
    at_window = ticket.window if ticket.state in ("CALLED", "SERVING") else None
    area = turn.lookup.area_of(ticket.service)
    if not move(turn, ticket, "cancel"):
        return False
    turn.note("ticket.cancelled", ticket.number, area=area, service=ticket.service, reason=reason)
    if at_window is not None:
        free(turn, at_window)
    return True


def priority_key(turn: Turn, window: str, arg: str | None) -> None:
    """Handle the "priority" key: ``A012/military/card-shown`` (number, class, reason); without a class, elderly."""
    number, _, rest = (arg or "").partition("/")
    name, _, reason = rest.partition("/")
    ticket = by_number(turn, number)
    priority = name or "elderly"
    if ticket is None:
        turn.ignore(window, "unknown_ticket", number=number or None)
    elif not known_class(turn, priority):
        turn.ignore(window, "unknown_class", priority=priority)
    else:
        prioritise(turn, ticket, priority, reason or None, window)


def prioritise(turn: Turn, ticket: Ticket, priority: Priority, reason: str | None, by: str) -> bool:
    """Give a live visit another priority class. ``by``: a window, or the name of the person. False (and a note) if
    refused.
    """
    if ticket.ended_ms is not None:
        turn.ignore(ticket.number, "ticket_state", state=ticket.state, trigger="priority")
        return False
    if needs_reason(turn, priority) and not reason:
        turn.ignore(ticket.number, "priority_needs_reason", priority=priority)
        return False
    waiting = ticket.state == "WAITING"
    if waiting:
        dequeue(turn.state, ticket)
    ticket.priority, ticket.reason = priority, reason if priority not in WITHOUT_HEAD_START else None
    if waiting:
        enqueue(turn.state, ticket)
    turn.touch_area(turn.lookup.area_of(ticket.service))
    turn.note("ticket.prioritised", ticket.number, priority=priority, reason=reason, by=by)
    return True


def park_over(turn: Turn, key: str) -> None:
    """Timer: a parked visitor waits again."""
    ticket = turn.state.tickets.get(int(key))
    if ticket is not None and ticket.state == "PARKED":
        _bring_back(turn, ticket, "timer")


def not_back(turn: Turn, key: str) -> None:
    """Timer: cancel the visit of somebody who was told which papers are missing and did not come back in time."""
    ticket = turn.state.tickets.get(int(key))
    if ticket is not None and ticket.state == "RETURN_PENDING":
        cancel(turn, ticket, "by_visitor")


def offer_again(turn: Turn, key: str) -> None:
    """Timer: a visitor who missed their call goes back into the queue at their old place, in case they had only stepped
    away.
    """
    ticket = turn.state.tickets.get(int(key))
    if ticket is not None and ticket.state == "NO_SHOW":
        ticket.reoffers += 1
        _revive(turn, ticket, "timer")
