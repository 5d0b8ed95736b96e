"""The business day (当日清零). When a new one begins, ticket numbers and the counts of "+1" openings start again, and
visitors left over from the day before are cancelled.

A business day begins when the hall opens, or at the first key or ticket if that is sooner; not at midnight. At least
``SHORTEST_DAY_MS`` must have passed since the last one began. A date that changes sooner means that a clock was
corrected: nothing is reset, so that no number is given twice in a day. If a person clears the queue by hand, numbers
are not reset.
"""

from __future__ import annotations

from edged.core.calendar import wall
from edged.core.model.events import DayReset
from edged.core.model.state import TicketState
from edged.core.model.turn import Turn
from edged.core.people import announcements, pages, staffing
from edged.core.queue.ordering import AT_REST
from edged.core.visits import upgrade
from edged.core.visits.detours import cancel
from edged.core.windows import activation, overrides, roster, wishes

SHORTEST_DAY_MS = 6 * 3_600_000  # a date that changes sooner is a clock being corrected, not a new day
WAITS: tuple[TicketState, ...] = (
    "BOOKED",
    "WAITING",
    "ISSUE_FAILED",
    "CALLED",
    "PARKED",
    "RETURN_PENDING",
)
NAMED_MAX = 40  # numbers in one note


def turn_day(turn: Turn) -> None:
    """Begin a new business day if the local date has changed, unless the last one began less than ``SHORTEST_DAY_MS``
    ago. No-op while the time is unknown.
    """
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
            cancel(turn, ticket, "by_reset")
        elif ticket.state == "NO_SHOW":
            turn.drop_timer(f"reoffer/{ticket.id}")  # absent since yesterday
    state.last_number.clear()
    state.past_numbers.clear()
    state.used_numbers = {t.number: t.id for t in state.tickets.values() if t.ended_ms is None}
    state.served_today = 0
    state.duty_staff = None
    upgrade.end_day(turn)
    overrides.reset(turn)
    wishes.end_day(turn)
    roster.end_day(turn)
    pages.end_day(turn)
    announcements.end_day(turn)
    _rest_everybody(turn)


def reset(turn: Turn, event: DayReset) -> None:
    """Clear the queue because a person orders it; visitors at windows are still served. Refused without the person's
    name, and also while people wait unless ``force`` is set.
    """
    turn_day(turn)
    hall, by = turn.lookup.site.hall, event.by.strip()
    waiting = [ticket for ticket in turn.state.tickets.values() if ticket.state in WAITS]
    numbers = ",".join(ticket.number for ticket in waiting[:NAMED_MAX])
    if not by:
        turn.ignore(hall, "reset_without_name")
        return
    if waiting and not event.force:
        turn.ignore(hall, "people_wait", by=by, waiting=len(waiting), numbers=numbers)
        return
    for ticket in waiting:  # visitors at a window are still served
        cancel(turn, ticket, "by_reset")
    turn.state.served_today = 0
    _rest_everybody(turn)
    turn.note("day.reset", hall, by=by, forced=int(event.force), cancelled=len(waiting), numbers=numbers)


def _rest_everybody(turn: Turn) -> None:
    """At the end of a day or when the queue is cleared: set the counts of "+1" openings to zero, take old calls off the
    boards, and log clerks out of windows that are not in use.
    """
    for name, window in turn.state.windows.items():
        window.activations = 0
        window.overtook = window.overtook_of_class = 0
        window.overtook_class = None
        window.answered = 0
        if window.state in AT_REST:
            staffing.unbind_window(turn, name)
            activation.leave(turn, name)
    for member in turn.state.staff.values():
        member.activations = 0
    for name, area in turn.state.areas.items():
        area.last_calls.clear()
        turn.touch_area(name)
