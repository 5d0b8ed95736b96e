"""Visitors without a number at a window: served at once, or given a number by the clerk (green lane, 绿色通道)."""

from __future__ import annotations

from edged.core.calendar import hours_words
from edged.core.model.events import Priority, TicketRequested
from edged.core.model.forecast import count_issued
from edged.core.model.point import point_of
from edged.core.model.state import Ticket
from edged.core.model.turn import Turn
from edged.core.people import staffing
from edged.core.queue import issuing, tickets
from edged.core.queue.ordering import serving_services
from edged.core.windows.machine import move_window

NOT_GREEN: tuple[Priority, ...] = ("normal", "appointment")  # classes that get no number by hand


def walk_direct(turn: Turn, window: str, arg: str | None) -> None:
    """Handle the key for a visitor served without a number. They count as an arrival and for the learnt service times,
    but never stand in the queue.

    ``arg``: the service; without it the window's first.
    """
    services = serving_services(turn, window)
    service = arg if arg is not None else next(iter(services), None)
    if service is None or service not in services:
        turn.ignore(window, "window_cannot_serve", service=arg)
        return
    if not move_window(turn, window, "walk-direct"):
        return
    state = turn.state
    ticket = Ticket(
        id=state.next_ticket,
        number=f"walk-{state.next_ticket}",
        service=service,
        priority="normal",
        issued_ms=turn.at_ms,
        place_ms=turn.at_ms,
        source=point_of(window),
        state="SERVING",
        window=window,
        first_window=window,
        serving_ms=turn.at_ms,
        direct=True,
    )
    state.next_ticket += 1
    state.tickets[ticket.id] = ticket
    turn.window(window).ticket = ticket.id
    area = turn.lookup.area_of(service)
    count_issued(turn.area(area).learnt, service, turn.at_ms)
    turn.touch_area(area)
    turn.note(
        "ticket.arrived", ticket.number, window=window, area=area, service=service, direct=1, inferred=0
    )


def green_lane(turn: Turn, window: str, arg: str | None) -> None:
    """Handle the key that gives a priority visitor the next number, shown to the clerk who tells them; nothing is
    printed.

    ``arg``: ``service/class/reason``; each may be left out: the window's first service, elderly, no reason.
    """
    found = _wanted(turn, window, arg)
    if found is None:
        turn.ignore(window, "green_lane_unknown", arg=arg)
        return
    service, priority, reason = found
    if tickets.needs_reason(turn, priority) and reason is None:
        turn.ignore(window, "priority_needs_reason", priority=priority)
        return
    why = issuing.why_not(turn, service, priority)
    if why is not None:
        turn.ignore(window, "not_issuing", service=service, why=why)
        staffing.hint(turn, window, " ".join(hours_words.refusal(turn, turn.lookup.area_of(service), why)))
        return
    ticket = tickets.allot(turn, TicketRequested(point_of(window), service, priority, reason=reason))
    if ticket is None:
        staffing.hint(turn, window, "无法取号 No number")
    else:
        turn.note("ticket.green_lane", ticket.number, window=window, service=service, priority=priority)
        staffing.hint(turn, window, f"绿色通道：{ticket.number} Green lane")


def _wanted(turn: Turn, window: str, arg: str | None) -> tuple[str, Priority, str | None] | None:
    """The service, priority class and reason in ``arg``; None if this window cannot give such a number."""
    words = arg.split("/") if arg else []
    service = next(iter(serving_services(turn, window) or turn.lookup.windows[window].skills), None)
    if words and words[0] in turn.lookup.services:
        service = words.pop(0)
    if service is None or turn.lookup.area_of(service) not in turn.lookup.window_areas[window]:
        return None
    priority = words[0] if words else "elderly"
    fits = priority not in NOT_GREEN and tickets.known_class(turn, priority)
    return (service, priority, "".join(words[1:]) or None) if fits and len(words) <= 2 else None
