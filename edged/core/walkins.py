"""A window serves somebody without a number: counted, its time learnt, invisible to the queue."""

from __future__ import annotations

from edged.core.forecast import count_issued
from edged.core.ordering import serving_services
from edged.core.state import Ticket
from edged.core.turn import Turn
from edged.core.windows import move_window


def walk_direct(turn: Turn, window: str, arg: str | None) -> None:
    """Key: somebody without a number stands here. ``arg``: the service; without it the window's first."""
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
        source=window,
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
