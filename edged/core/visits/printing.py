"""Printing numbers, what follows when it fails, and printing again.

A number whose printing failed stays valid. It stays in the queue, or waits for its reprint where the policy says so; an
alarm about the dispenser is in force until it prints again.
"""

from __future__ import annotations

from edged.core.calendar import hours_words
from edged.core.model.commands import Print, Refuse
from edged.core.model.events import TicketRequested
from edged.core.model.forecast import Range
from edged.core.model.point import Point
from edged.core.model.state import Ticket
from edged.core.model.turn import Turn
from edged.core.people import alarms
from edged.core.queue import issuing
from edged.core.queue.by_hand import BY_HAND
from edged.core.queue.ordering import ahead
from edged.core.queue.tickets import allot, by_number, checked_in, move
from edged.core.visits import detours, own_page, slips

ALARM = "print-failed"
PRINT_FAILED = "print-failed"  # the reason of a refusal


def print_slip(turn: Turn, ticket: Ticket, point: Point, event: TicketRequested | None = None) -> None:
    """Print a number, how many visitors are before it, and the predicted wait. ``event``: the dispenser's request, so
    that only that dispenser (or its printer) prints it.
    """
    before = sum(ahead(turn, ticket).values()) if ticket.state == "WAITING" else 0
    area = turn.lookup.area_of(ticket.service)
    why = slips.resumption(turn, area) if ticket.quoted_s is None and ticket.state == "WAITING" else None
    unknown = (None, None, None)
    low_s, wait_s, high_s = (
        unknown if ticket.quoted_s is None else Range(*ticket.quoted_s).rounded_to_minutes_s()
    )
    if why is not None and turn.lookup.services[ticket.service].case:
        why = hours_words.case_line(turn, area) or why
    zh, en = ((), ()) if why is None else ((why[0],), (why[1],))
    seq, boot = (None, None) if event is None else (event.seq, event.boot)
    slip = Print(
        ticket.number,
        ticket.service,
        before,
        low_s,
        wait_s,
        high_s,
        lines=zh,
        lines_en=en,
        seq=seq,
        boot=boot,
        url=own_page.url(turn, ticket),
    )
    ticket.print_action = turn.act(turn.lookup.printer_of(point), slip)


def issue_requested(turn: Turn, event: TicketRequested) -> None:
    """Handle a dispenser's request: a visitor who is back keeps their number, anybody else gets the next one."""
    if alarms.is_raised(turn, alarms.TWINS, event.point):
        # two devices have this id, and both would print
        turn.ignore(event.point, "device_twice", service=event.service)
        issuing.turn_away(turn, event)
        return
    ticket = None if event.returning is None else detours.check_in(turn, event.returning, event.point)
    again = checked_in(turn, event) if ticket is None else None
    if again is not None:
        turn.note("ticket.reprint", again.number, point=event.point, appointment=event.appointment)
    ticket = ticket or again or allot(turn, event)
    if ticket is not None:
        print_slip(turn, ticket, event.point, event)
    else:
        issuing.turn_away(turn, event)


def failed(turn: Turn, body: Print, point: Point, error: str) -> None:
    """Handle a print that failed or whose outcome is unknown: raise an alarm about the printer. The number stays valid;
    its visitor waits on, or until it is printed if the policy says so.
    """
    if body.about != "ticket":
        slips.failed(turn, body, point, error)
        return
    turn.note("ticket.issue_failed", body.number, point=point, error=error)
    alarms.sound(turn, ALARM, point, number=body.number)
    ticket = by_number(turn, body.number)
    if ticket is None:
        return
    ticket.print_failed = True
    if ticket.source != point and turn.lookup.printer_of(ticket.source) == point:
        # the visitor stands at another device than the printer
        turn.act(ticket.source, Refuse(ticket.service, PRINT_FAILED, *_no_paper(ticket.number)))
    if ticket.state == "WAITING" and not turn.state.policy.visits.queue_unprinted:
        move(turn, ticket, "print-failed")


def done(turn: Turn, body: Print, point: Point) -> None:
    """Handle a printer's report that ``body`` was printed: the alarm about the printer ends, and a visitor who waited
    for a reprint joins the queue.
    """
    alarms.clear(turn, ALARM, point)
    if body.about != "ticket":
        return
    ticket = by_number(turn, body.number)
    if ticket is None:
        return
    ticket.print_failed = False
    if ticket.state == "ISSUE_FAILED" and move(turn, ticket, "printed"):
        turn.note("ticket.reprinted", ticket.number, point=point)


def say_on_paper(turn: Turn, body: Refuse, point: Point) -> None:
    """Print why there is no number, for a machine that has only buttons and a separate printer."""
    printer = turn.lookup.printer_of(point)
    if printer != point and body.reason != PRINT_FAILED:
        turn.act(printer, body)


def reprint(turn: Turn, window: str, arg: str | None) -> None:
    """Handle the "reprint" key: print a live number again where it was issued; without a number, the one that failed
    last.
    """
    ticket = by_number(turn, arg) if arg is not None else _failed_last(turn)
    by_hand = ticket is not None and (
        ticket.source in turn.lookup.windows or ticket.source == BY_HAND
    )  # given at a window or by hand: no printer
    if ticket is None or ticket.ended_ms is not None or by_hand:
        turn.ignore(window, "nothing_to_print", number=arg)
    else:
        print_slip(turn, ticket, ticket.source)
        turn.note("ticket.reprint", ticket.number, window=window, point=ticket.source)


def _failed_last(turn: Turn) -> Ticket | None:
    for alarm in reversed(turn.state.alarms.values()):
        if alarm.kind == ALARM:
            unprinted = [t for t in turn.state.tickets.values() if t.print_failed]
            own = [t for t in unprinted if turn.lookup.printer_of(t.source) == alarm.subject]
            return own[-1] if own else None
    return None


def _no_paper(number: str) -> tuple[str, str]:
    return (
        f"{number}号未能打印，请记下号码，咨询导办人员",
        f"{number} was not printed: note it, ask our staff",
    )
