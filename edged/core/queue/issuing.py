"""Whether a dispenser gets a number for a visitor, and what it shows if not.

Only a *request* can be refused. A number that a dispenser printed by itself is served, and a note says that none should
have been given. Each dispenser is sent the list of services that give no numbers now; a request for one of them is
answered with the reason, in Chinese and English.
"""

from __future__ import annotations

from edged.core.calendar import hours_words, opening
from edged.core.calendar.opening import Why
from edged.core.model.commands import Action, Issuing, NoNumber, Refuse
from edged.core.model.events import Priority, TicketRequested
from edged.core.model.state import Ticket
from edged.core.model.turn import Turn
from edged.core.people import stranded
from edged.core.queue import bookings

UNAVAILABLE = ("此处无法取号，请咨询导办人员", "No number for this here, please ask our staff")


def refused(turn: Turn, event: TicketRequested, service: str) -> bool:
    """Refuse the request if its service gives no numbers now. Returns whether it was refused. ``service``: the first
    service of the visit, which may be a journey of several.
    """
    area = turn.lookup.area_of(service)
    booked = event.appointment is not None and bookings.holds(turn, event.appointment, event.service)
    priority = bookings.APPOINTMENT if booked else bookings.unbooked(event.priority)
    paused = turn.issuing_paused(area)
    why = why_not(turn, service, priority)
    if why is None:
        return False
    if paused is not None:
        turn.ignore(event.point, "issuing_paused", service=event.service, by=paused.by)
    else:
        turn.ignore(event.point, "not_issuing", service=event.service, why=why)
    turn.act(event.point, Refuse(event.service, why, *hours_words.refusal(turn, area, why)))
    return True


def turn_away(turn: Turn, event: TicketRequested) -> None:
    """Tell the visitor that no number could be given; raise an alarm if neither a rule nor a person decided that."""
    if any(isinstance(one, Action) and isinstance(one.body, Refuse) for one in turn.commands):
        return
    reasons = [str(note.data["reason"]) for note in turn.notes if note.kind == "ignored"]
    why = next((reason for reason in reversed(reasons) if reason in stranded.WORDS), None)
    if why is None:
        turn.act(event.point, Refuse(event.service, "unavailable", *UNAVAILABLE))
    else:
        stranded.no_number(turn, event.point, event.service, why)


def flag(turn: Turn, ticket: Ticket) -> None:
    """Record that a dispenser printed a number by itself while none should be given. The visitor is served all the
    same.
    """
    why = opening.refusal(turn, ticket.service, ticket.priority)
    if why is not None:
        ticket.late = True
        area = turn.lookup.area_of(ticket.service)
        turn.note("ticket.after_hours", ticket.number, area=area, service=ticket.service, why=why)


def level(turn: Turn) -> Issuing:
    """Return the list that every dispenser is sent: which services give no numbers now, and why."""
    stopped = []
    for service in turn.lookup.services:
        why = why_not(turn, service)
        if why is not None:
            area = turn.lookup.area_of(service)
            stopped.append(NoNumber(service, why, *hours_words.refusal(turn, area, why)))
    return Issuing(tuple(stopped))


def why_not(turn: Turn, service: str, priority: Priority = "normal") -> Why | None:
    """Why a service gives no numbers now; None if it does."""
    if turn.issuing_paused(turn.lookup.area_of(service)) is not None:
        return "paused"
    return opening.refusal(turn, service, priority)
