"""Named deadlines of everything that is neither a window nor an area: cases, pauses, parked visitors, opening hours.

A timer is ``kind/key``. Setting it again moves it. When it fires, its kind's function in ``FIRES`` is called, which
must expect that its subject no longer exists. After a time in which the process did not run, all deadlines move by it,
except the kinds in ``ON_THE_WALL``: those are dates and times of day and follow the hall's clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edged.core import sequence, trial
from edged.core.cases import case_book, case_requests, ratings
from edged.core.hours import phases
from edged.core.model.turn import Turn
from edged.core.people import announcements, notices, pagers, pages, staffing, stranded
from edged.core.queue import bookings, people_counters, tickets
from edged.core.visits import detours, first_owner, promises, rating
from edged.core.windows import attendance, overrides, preparation, wishes

FIRES: dict[str, Callable[[Turn, Any], None]] = {
    overrides.TIMER: overrides.expire,
    "hours": phases.fire,
    "notice": notices.expire,
    "booked": tickets.booked_time_begins,
    "booking": bookings.expired,
    "hint": staffing.hint_over,
    "reply": pagers.reply_over,
    "people": people_counters.check_missing_tickets,
    "page": pages.unanswered,
    preparation.TIMER: preparation.too_long,
    first_owner.TIMER: first_owner.still_unserved,
    "park": detours.park_over,
    "pause": attendance.pause_over,
    promises.DUE: promises.overdue,
    "reoffer": detours.offer_again,
    "return": detours.not_back,
    stranded.TIMER: stranded.clear,
    sequence.TIMER: sequence.holes_over,
    sequence.TWINS_TIMER: sequence.twins_over,
    wishes.TIMER: wishes.expire,
    "unmanned": attendance.seat_empty,
    "unserved": attendance.area_waits,
    "voice": announcements.go_on,
    trial.TIMER: trial.check_waits,
    rating.OPEN: rating.too_late,
    ratings.REMIND: ratings.remind,
    case_book.ACKNOWLEDGE: case_book.unanswered,
    case_book.DUE: case_book.last_day_due,
    case_book.KEEP: case_book.forget,
    case_requests.RATE: case_requests.stop_asking,
}
ON_THE_WALL: frozenset[str] = frozenset(
    {
        "booked",
        "booking",
        "hours",
        "notice",
        overrides.TIMER,
        case_book.ACKNOWLEDGE,
        case_book.DUE,
        case_book.KEEP,
        promises.DUE,
    }
)


def fire(turn: Turn, name: str) -> None:
    """Delete the timer ``name``, which is due, and call the function of its kind."""
    turn.drop_timer(name)
    kind, _, key = name.partition("/")
    FIRES[kind](turn, key)


def after_gap(turn: Turn, gap_ms: int) -> None:
    """Move every deadline by ``gap_ms``, in which the process did not run; those in ``ON_THE_WALL`` stay."""
    for name, due_ms in list(turn.state.timers.items()):
        if not _on_the_wall(name):
            turn.set_timer(name, due_ms + gap_ms)


def after_clock(turn: Turn, forward_ms: int) -> None:
    """Move the deadlines in ``ON_THE_WALL`` (dates and times of day) ``forward_ms`` closer, because the wall clock was
    set ahead by that much. Negative: it was set back.
    """
    for name, due_ms in list(turn.state.timers.items()):
        if _on_the_wall(name):
            turn.set_timer(name, max(turn.at_ms, due_ms - forward_ms))


def _on_the_wall(name: str) -> bool:
    return name.partition("/")[0] in ON_THE_WALL
