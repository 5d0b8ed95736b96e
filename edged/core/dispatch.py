"""The table of which function handles which event, for all events that concern one subject.

Events that concern the whole engine (``Tick``, policy, clock, ``Resumed``, safe mode) are handled in ``engine.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edged.core import equipment, keys, renewal
from edged.core.cases import case_requests, ratings
from edged.core.hours import day, phases
from edged.core.model import events as ev
from edged.core.model.turn import Turn
from edged.core.people import announcements, notices, pages, staffing, stranded
from edged.core.queue import bookings, by_hand, people_counters, tickets
from edged.core.tide import triggers
from edged.core.visits import follow, own_page, printing, rating, upgrade
from edged.core.windows import overrides, roster, wishes


def _rate(turn: Turn, event: ev.RatingGiven) -> None:
    window = turn.lookup.window_of_panel.get(event.point) or turn.lookup.window_of_evaluator.get(event.point)
    if window is None:
        turn.ignore(event.point, "no_window_for_panel", level=event.level)
        stranded.unreadable(turn, event.point, "no_window_for_panel")
    elif not case_requests.rate(turn, window, event.level):
        rating.give(turn, window, event)


def _printed(turn: Turn, event: ev.TicketPrinted) -> None:
    if event.point == turn.lookup.site.queue:
        follow.issued(turn, event)
    else:
        tickets.issue_printed(turn, event)


def _not_understood(turn: Turn, event: ev.InputRefused) -> None:
    turn.note("device.fault", event.point, fault="not understood", what=event.what, reason=event.reason)
    window = turn.lookup.window_of_panel.get(event.point)
    if event.what == "request":
        stranded.no_number(turn, event.point, "", "unreadable")
    elif event.what == "ticket":
        stranded.paper(turn, event.point, "?", "", "unreadable")
    else:
        stranded.unreadable(turn, event.point, event.reason)
    if window is not None and event.what == "key":
        staffing.hint(turn, window, "未能识别此键 Key not understood")


def _ask(turn: Turn, event: ev.WindowAsked) -> None:
    if event.area not in turn.lookup.areas:
        turn.ignore(event.area, "unknown_area", by=event.by)
        return
    turn.state.active_ms = turn.at_ms  # it counts as a sign of use, like a key
    if not event.withdraw:
        triggers.record_wish(turn, event.area, "operator", event.by)
    elif not (wishes.withdraw_all if event.everybody else wishes.withdraw)(turn, event.area, event.by):
        turn.ignore(event.area, "no_wish", by=event.by)


def _reject(turn: Turn, event: ev.DocumentRejected) -> None:
    if event.kind == "policy":
        turn.note("policy.rejected", event.named, code=event.code)
    elif event.kind == "keys":
        turn.note("keys.rejected", event.named, code=event.code)
    elif event.kind == "operation":
        turn.note("operation.refused", event.named, id=event.order or None, code=event.code)
    else:
        turn.note("appointment.refused", event.order or "?", code=event.code)


def _keys_listed(turn: Turn, event: ev.KeyListTaken) -> None:
    turn.note("keys.applied", str(event.version), sha256=event.sha256, keys=event.keys, revoked=event.revoked)


HANDLERS: dict[type, Callable[[Turn, Any], None]] = {
    ev.TicketPrinted: _printed,
    ev.TicketRequested: printing.issue_requested,
    ev.KeyPressed: keys.press,
    ev.CallReported: follow.called,
    ev.EndReported: follow.ended,
    ev.QueueReported: follow.listed,
    ev.WindowReported: follow.seated,
    ev.RatingGiven: _rate,
    ev.RatingCorrected: ratings.correct,
    ev.RatingAnswered: ratings.answer,
    ev.CaseTold: case_requests.handle,
    ev.CountRead: people_counters.read,
    ev.HealthRead: equipment.health,
    ev.InputRefused: _not_understood,
    ev.DeviceLost: equipment.changed,
    ev.DeviceBack: equipment.changed,
    ev.CommandDone: equipment.outcome,
    ev.CommandFailed: equipment.outcome,
    ev.DocumentRejected: _reject,
    ev.KeyListTaken: _keys_listed,
    ev.MachineTold: equipment.machine,
    ev.JournalRenewed: renewal.skip,
    ev.OutcomeKept: upgrade.match_record,
    ev.RosterTold: roster.handle,
    ev.TicketSecretDrawn: own_page.draw,
    ev.GoneOn: by_hand.go_on,
    ev.HoursFlexed: phases.flex,
    ev.DayReset: day.reset,
    ev.WindowAsked: _ask,
    ev.AppointmentMade: bookings.made,
    ev.AppointmentCancelled: bookings.cancelled,
    ev.OverrideSet: overrides.decide,
    ev.OverrideLifted: overrides.lift,
    ev.AlarmAccepted: pages.accept_alarm,
    ev.Announced: announcements.announce,
    ev.NoticePosted: notices.post,
    ev.NoticeWithdrawn: notices.withdraw,
}
