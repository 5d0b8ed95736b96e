"""Reminds the first owner (首问负责) of a visit, the person who first received the visitor, while a transferred visitor
still waits.

That is the clerk at the first window to which the visitor was called, through every transfer. They are reminded on the
panel where they sit now and on their pager, if they have one; the duty manager, if they have neither.
"""

from __future__ import annotations

from edged.core.calendar import opening
from edged.core.model.commands import Page
from edged.core.model.state import Ticket
from edged.core.model.turn import Turn
from edged.core.people import staffing

TIMER = "owner"


def watch(turn: Turn, ticket: Ticket) -> None:
    """Start the timer of the reminder: the visitor was transferred."""
    limit_s = turn.state.policy.visits.owner_told_s
    if limit_s:
        turn.set_timer(f"{TIMER}/{ticket.id}", turn.at_ms + limit_s * 1000)


def still_unserved(turn: Turn, key: str) -> None:
    """Timer: a transferred visitor still waits. Remind the first owner, and start the timer again."""
    ticket = turn.state.tickets.get(int(key))
    if ticket is None or ticket.state != "WAITING" or opening.quiet(turn):
        return  # not while the hall is empty
    waited_s = turn.seconds_since(ticket.queued_ms)
    place, minutes = turn.lookup.areas[turn.lookup.area_of(ticket.service)], int(waited_s // 60)
    chinese = f"首问负责：{ticket.number}转至{place.name}已等候{minutes}分钟，仍未办理"
    english = f"{ticket.number}, first received by you, has waited {minutes} min at {place.name_en}"
    window = _seat_of(turn, ticket)
    member = turn.lookup.staff.get(ticket.first_staff or "")
    if window is not None:
        staffing.hint(turn, window, f"{chinese} {english}")
    paged = None if member is None or member.pager is None else member.id
    if paged is None and window is None:
        paged = staffing.DUTY_MANAGER
    if paged is not None:
        staffing.send(turn, Page(paged, place.id, window, chinese, english))
    turn.note(
        "ticket.unserved",
        ticket.number,
        first_staff=ticket.first_staff,
        first_window=ticket.first_window,
        told_at=window,
        waited_s=waited_s,
    )
    watch(turn, ticket)


def _seat_of(turn: Turn, ticket: Ticket) -> str | None:
    """Return the window where the first owner (首问负责) sits now. If clerks at the first window do not log in by name,
    return that window while it is open. None if the owner or the clerk there has left.
    """
    if ticket.first_staff is not None:
        for window, state in turn.state.windows.items():
            if ticket.first_staff in (state.staff, *state.helpers):
                return window
        return None
    first = ticket.first_window
    open_ = first in turn.state.windows and turn.window(first).state in (
        "OPEN",
        "CALLING",
        "SERVING",
        "PAUSED",
    )
    return first if open_ else None
