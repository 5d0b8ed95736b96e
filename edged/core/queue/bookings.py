"""Appointments (预约): made by the city, checked in at a dispenser, called from shortly before their time.

A visitor who checks in early gets a number that joins the queue only ``callable_early_s`` before the start (BOOKED
until then). One who checks in late is an ordinary visitor. An appointment that nobody claims or that is cancelled is
deleted: a visitor who comes all the same is an ordinary visitor, and a number that was already given stays valid.
"""

from __future__ import annotations

from edged.core.model.events import CLASSES, AppointmentCancelled, AppointmentMade, Priority
from edged.core.model.state import Booking
from edged.core.model.turn import Turn
from edged.core.model.value import value

APPOINTMENT: Priority = "appointment"  # the class that only an appointment gives
KNOWN = "appointment_known"
BOOKINGS_MAX = 5_000  # a hall of forty windows books about a thousand a day; more is a fault of the sender


@value
class CheckIn:
    """How a ticket joins the queue: its priority class, and the stamp from which it may be called (None: now)."""

    priority: Priority
    callable_ms: int | None = None


def made(turn: Turn, event: AppointmentMade) -> None:
    """Handle an appointment that the city made or moved."""
    problem = _problem(turn, event)
    if problem is not None:
        turn.ignore(event.id, problem, service=event.service)
        if problem != KNOWN:  # a repeated message is no error
            _refuse(turn, event.id, problem)
        return
    state = turn.state
    assert state.wall_offset_ms is not None
    booking = _booking(turn, event)
    state.bookings[event.id] = booking
    turn.set_timer(f"booking/{event.id}", _expires_ms(turn, event, state.wall_offset_ms))
    in_s = round((event.start_ms - state.wall_offset_ms - turn.at_ms) / 1000)
    turn.note("appointment.made", event.id, service=event.service, in_s=in_s, priority=event.priority)


def cancelled(turn: Turn, event: AppointmentCancelled) -> None:
    """Handle an appointment that the city cancelled."""
    booking = turn.state.bookings.get(event.id)
    if booking is None:
        turn.ignore(event.id, "unknown_appointment")
        _refuse(turn, event.id, "unknown_appointment")
        return
    forget(turn, event.id)
    turn.note("appointment.cancelled", event.id, service=booking.service)


def _refuse(turn: Turn, appointment: str, problem: str) -> None:
    """Note for the centre that this appointment was refused, and why."""
    turn.note("appointment.refused", appointment, code=problem.replace("_", "-"))


def _booking(turn: Turn, event: AppointmentMade) -> Booking:
    known = event.priority in CLASSES or event.priority in turn.state.policy.calling.classes
    return Booking(event.service, event.start_ms, event.priority if known else "normal")


def _problem(turn: Turn, event: AppointmentMade) -> str | None:
    state = turn.state
    known = state.bookings.get(event.id)
    if event.service not in turn.lookup.services and event.service not in state.policy.visits.journeys:
        return "unknown_service"
    if state.wall_offset_ms is None:
        return "no_clock"
    if _expires_ms(turn, event, state.wall_offset_ms) <= turn.at_ms:
        return "appointment_over"
    if known == _booking(turn, event):
        return KNOWN
    return "bookings_full" if known is None and len(state.bookings) >= BOOKINGS_MAX else None


def _expires_ms(turn: Turn, event: AppointmentMade, wall_offset_ms: int) -> int:
    return event.start_ms - wall_offset_ms + turn.state.policy.visits.booking_expires_s * 1000


def claim(turn: Turn, appointment: str, service: str, priority: Priority) -> CheckIn:
    """Check in an appointment: its visitor takes a number for ``service``.

    The class "appointment" is only for appointments that the centre made. Whoever comes much too early or too late, or
    names an appointment that is unknown, cancelled, used or for another service, is an ordinary visitor. Another class
    of theirs (elderly, …) stays.
    """
    booking = turn.state.bookings.get(appointment)
    visits = turn.state.policy.visits
    usual = unbooked(priority)
    if booking is None or turn.state.wall_offset_ms is None:
        turn.ignore(appointment, "unknown_appointment")
        return CheckIn(usual)
    if booking.service != service:
        turn.ignore(appointment, "appointment_for_other_service", service=service, booked=booking.service)
        return CheckIn(usual)
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
    own: Priority = APPOINTMENT if given == "normal" else given
    return CheckIn(own, callable_ms if callable_ms > turn.at_ms else None)


def unbooked(priority: Priority) -> Priority:
    """The class of a visitor without a valid appointment: "normal" in place of "appointment", otherwise unchanged."""
    return "normal" if priority == APPOINTMENT else priority


def holds(turn: Turn, appointment: str, service: str) -> bool:
    """Whether this appointment exists, is unused, is for this service (or journey), and may check in now."""
    booking, visits = turn.state.bookings.get(appointment), turn.state.policy.visits
    if booking is None or turn.state.wall_offset_ms is None or booking.service != service:
        return False
    late_ms = turn.at_ms - (booking.start_ms - turn.state.wall_offset_ms)
    return -visits.check_in_early_s * 1000 <= late_ms <= visits.check_in_late_s * 1000


def names(turn: Turn, appointment: str | None, service: str) -> bool:
    """Whether the booking ``appointment`` exists, is unused and is for ``service`` (the id of a service or a journey),
    whatever the time is.
    """
    booking = turn.state.bookings.get(appointment or "")
    return booking is not None and booking.service == service


def forget(turn: Turn, appointment: str) -> None:
    """Delete an appointment, because its visitor has checked in or it was cancelled."""
    del turn.state.bookings[appointment]
    turn.drop_timer(f"booking/{appointment}")


def expired(turn: Turn, key: str) -> None:
    """Timer: drop the appointment ``key``, which nobody has claimed in time."""
    booking = turn.state.bookings.pop(key, None)
    if booking is not None:
        turn.note("appointment.expired", key, service=booking.service)
