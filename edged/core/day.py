"""The business day: what ends with a night. Numbers and turns start again; whoever went home is cleared (当日清零).

A day turns at its first key or ticket, not at midnight, and only after a stretch that can have been a night: a clock
that is merely set right takes effect without any of this, so that no number of today is ever given twice.
"""

from __future__ import annotations

from edged.core import announcements, overrides, pages, staffing, wall
from edged.core.state import Ticket
from edged.core.tickets import move
from edged.core.turn import Turn
from edged.core.windows import free

SHORTEST_DAY_MS = (
    6 * 3_600_000
)  # a date that changes sooner is a clock being set, not a night; halls rest longer


def turn_day(turn: Turn) -> None:
    """Begin a new business day if this is one."""
    state = turn.state
    local_ms = wall.local_ms(turn)
    if local_ms is None:
        return
    day = wall.day(local_ms)
    if day == state.day:
        return
    state.day = day
    if turn.at_ms - state.day_start_ms < SHORTEST_DAY_MS:
        return
    state.day_start_ms = turn.at_ms
    for ticket in list(state.tickets.values()):
        if ticket.ended_ms is None and turn.at_ms - ticket.issued_ms >= SHORTEST_DAY_MS:
            _clear(turn, ticket)
    state.last_number.clear()
    state.used_numbers = {t.number: t.id for t in state.tickets.values() if t.ended_ms is None}
    state.served_today = 0
    state.duty_staff = None
    overrides.reset(turn)
    pages.end_day(turn)
    announcements.end_day(turn)
    _rest_everybody(turn)


def _clear(turn: Turn, ticket: Ticket) -> None:
    """Yesterday's visitor is gone, wherever the last key left them; the number is printed again today."""
    at_window = ticket.window if ticket.state in ("CALLED", "SERVING") else None
    area = turn.lookup.area_of(ticket.service)
    if not move(turn, ticket, "cancel"):
        return
    turn.note("ticket.cancelled", ticket.number, area=area, service=ticket.service, reason="by_reset")
    if at_window is not None:
        free(turn, at_window)


def _rest_everybody(turn: Turn) -> None:
    """Turns count from zero, old calls leave the boards, and a name left at a resting window is nobody there."""
    for name, window in turn.state.windows.items():
        window.activations = 0
        if window.state in ("STANDBY", "COOLDOWN"):
            staffing.unbind_window(turn, name)
    for member in turn.state.staff.values():
        member.activations = 0
    for name, area in turn.state.areas.items():
        area.streak = 0
        area.last_calls.clear()
        turn.touch_area(name)
