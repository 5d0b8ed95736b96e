"""Appointments (预约): announced by the centre, checked in at a dispenser, called from shortly before their time.

Who checks in early holds a number that is not in the queue (BOOKED) until ``callable_early_s`` before the start; who
checks in late is a visitor like any other; a booking that nobody claims, or that is called off, is forgotten: whoever
comes all the same is a visitor like any other, and whoever holds a number already keeps it.
"""

from __future__ import annotations

from edged.core.model.events import AppointmentCancelled, AppointmentMade, Priority
from edged.core.model.state import Booking
from edged.core.model.turn import Turn
from edged.core.model.value import value

BOOKINGS_MAX = 5_000  # a hall of forty windows books about a thousand a day; more is a fault of the sender


@value
class CheckIn:
    """How a ticket enters: its class, and from which stamp it may be called (None: now)."""

    priority: Priority
    callable_ms: int | None = None


def made(turn: Turn, event: AppointmentMade) -> None:
    """The centre booked, or moved, an appointment."""
    problem = _problem(turn, event)
    if problem is not None:
        turn.ignore(event.id, problem, service=event.service)
        return
    state = turn.state
    assert state.wall_offset_ms is not None
    booking = Booking(event.service, event.start_ms, event.priority)
    state.bookings[event.id] = booking
    turn.set_timer(f"booking/{event.id}", _expires_ms(turn, event, state.wall_offset_ms))
    in_s = round((event.start_ms - state.wall_offset_ms - turn.at_ms) / 1000)
    turn.note("appointment.made", event.id, service=event.service, in_s=in_s, priority=event.priority)


def cancelled(turn: Turn, event: AppointmentCancelled) -> None:
    """The centre says that nobody will come."""
    booking = turn.state.bookings.get(event.id)
    if booking is None:
        turn.ignore(event.id, "unknown_appointment")
        return
    forget(turn, event.id)
    turn.note("appointment.cancelled", event.id, service=booking.service)


def _problem(turn: Turn, event: AppointmentMade) -> str | None:
    state = turn.state
    known = state.bookings.get(event.id)
    if event.service not in turn.lookup.services and event.service not in state.policy.visits.journeys:
        return "unknown_service"
    if state.wall_offset_ms is None:
        return "no_clock"
    if _expires_ms(turn, event, state.wall_offset_ms) <= turn.at_ms:
        return "appointment_over"
    if known == Booking(event.service, event.start_ms, event.priority):
        return "appointment_known"
    return "bookings_full" if known is None and len(state.bookings) >= BOOKINGS_MAX else None


def _expires_ms(turn: Turn, event: AppointmentMade, wall_offset_ms: int) -> int:
    return event.start_ms - wall_offset_ms + turn.state.policy.visits.booking_expires_s * 1000


def claim(turn: Turn, appointment: str, priority: Priority) -> CheckIn:
    """Somebody with this booking takes a number. Whoever is early or late by far is a visitor like any other.

    A booking that nobody told of is the dispenser's word: the class that it gave stands.
    """
    booking = turn.state.bookings.get(appointment)
    if booking is None or turn.state.wall_offset_ms is None:
        turn.ignore(appointment, "unknown_appointment")
        return CheckIn(priority)
    visits = turn.state.policy.visits
    usual: Priority = "normal" if priority == "appointment" else priority
    start_ms = booking.start_ms - turn.state.wall_offset_ms
    if turn.at_ms < start_ms - visits.check_in_early_s * 1000:
        turn.ignore(appointment, "check_in_too_early", early_s=round((start_ms - turn.at_ms) / 1000))
        return CheckIn(usual)
    forget(turn, appointment)
    if turn.at_ms > start_ms + visits.check_in_late_s * 1000:
        turn.note("appointment.late", appointment, late_s=round((turn.at_ms - start_ms) / 1000))
        return CheckIn(usual)
    callable_ms = start_ms - visits.callable_early_s * 1000
    given = booking.priority if booking.priority != "normal" else usual
    own: Priority = "appointment" if given == "normal" else given
    return CheckIn(own, callable_ms if callable_ms > turn.at_ms else None)


def forget(turn: Turn, appointment: str) -> None:
    """This booking is over."""
    del turn.state.bookings[appointment]
    turn.drop_timer(f"booking/{appointment}")


def expired(turn: Turn, key: str) -> None:
    """Timer: nobody came."""
    booking = turn.state.bookings.pop(key, None)
    if booking is not None:
        turn.note("appointment.expired", key, service=booking.service)
