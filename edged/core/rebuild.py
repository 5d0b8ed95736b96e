"""What happens when the hall's configuration changes or the process restarts; visitors must notice neither."""

from __future__ import annotations

from edged.core import sequence, timers, trial
from edged.core.model.commands import Action, Page, Print
from edged.core.model.events import Resumed
from edged.core.model.site import Site
from edged.core.model.state import AreaState, PendingAction, StaffState, State, WindowState
from edged.core.model.turn import Turn
from edged.core.people import alarms, announcements, pagers, pages, staffing, undelivered
from edged.core.queue import numbering
from edged.core.queue.ordering import ASKED, AT_REST
from edged.core.queue.tickets import by_number
from edged.core.windows import activation, attendance, overrides, wishes

PAGE_AGAIN_MS = 60_000  # outcomes come within 15 s; an older page arrived or is repeated anyway


def conflicts(state: State, site: Site) -> list[str]:
    """Why ``site`` cannot take effect now: it would drop live visits. Empty if it can."""
    services = {service.id for service in site.services}
    window_ids = {window.id for window in site.windows}
    found = [
        f"ticket {ticket.number} waits for service {service}, which the new configuration does not have"
        for ticket in state.tickets.values()
        if ticket.ended_ms is None
        for service in (ticket.service, *ticket.stages)
        if service not in services
    ]
    found += [
        f"window {name} serves a visitor, but the new configuration does not have it"
        for name, window in state.windows.items()
        if window.ticket is not None and name not in window_ids
    ]
    return found


def load_site(turn: Turn, site: Site) -> bool:
    """Put ``site`` in force: new windows, areas and staff appear, removed ones go, live visits stay. False (and a note
    for each reason) if that would drop a visit.
    """
    state = turn.state
    problems = conflicts(state, site)
    for problem in problems:
        turn.ignore(site.hall, "site_would_drop_visits", detail=problem)
    if problems:
        return False
    _forget_missing(turn)
    state.site = site
    state.shown.clear()
    for own in state.areas.values():
        own.learnt.forget_missing(turn.lookup.services)
        own.tried_windows = [window for window in own.tried_windows if window in turn.lookup.windows]
    for window in site.windows:
        state.windows.setdefault(window.id, WindowState("STANDBY" if window.tidal else "CLOSED"))
        state.windows[window.id].lent_to = None
        _fit_window(turn, window.id)
        turn.touch_window(window.id)
    for member in site.staff:
        state.staff.setdefault(member.id, StaffState())
    staffing.reconcile(turn)
    fit_rest(turn)
    turn.alarmed = turn.issuing_changed = True
    for area in site.areas:
        own = state.areas.setdefault(area.id, AreaState())
        own.waiting = sum(
            len(queue)
            for service in turn.lookup.area_services[area.id]
            for queue in state.queues.get(service, {}).values()
        )
        turn.touch_area(area.id)
    overrides.end_orphaned(turn)
    wishes.forget_missing(turn)
    pages.reconcile(turn)
    announcements.reconcile(turn, (area.voice for area in site.areas))
    alarms.forget_missing(turn, turn.lookup.windows, (attendance.PAUSE, alarms.UNMANNED))
    alarms.forget_missing(turn, turn.lookup.areas, (attendance.UNSERVED, "no-staff"))
    turn.touch_cases()
    pagers.show_anew(turn)
    turn.note("site.loaded", site.hall, windows=len(site.windows), areas=len(site.areas))
    return True


def _forget_missing(turn: Turn) -> None:
    """Delete windows, areas, staff and finished tickets of services that the new configuration does not have."""
    state = turn.state
    for name in [name for name in state.windows if name not in turn.lookup.windows]:
        del state.windows[name]
    for name in [name for name in state.areas if name not in turn.lookup.areas]:
        del state.areas[name]
    for name in [name for name in state.staff if name not in turn.lookup.staff]:
        del state.staff[name]
        state.roster.pop(name, None)
    for gone in [t for t in state.closed if state.tickets[t].service not in turn.lookup.services]:
        state.closed.remove(gone)
        turn.drop_timer(f"reoffer/{gone}")
        numbering.ticket_gone(state, state.tickets.pop(gone))


def _fit_window(turn: Turn, window: str) -> None:
    """Adapt a window to the new configuration: a visitor there is served to the end; a window without one goes to its
    resting state if it no longer fits.
    """
    state = turn.window(window)
    ticket = turn.ticket_at(window)
    if not turn.lookup.windows[window].tidal:
        _make_regular(turn, window)
    elif state.area in turn.lookup.window_areas[window] or state.state in AT_REST:
        return
    elif ticket is not None:  # serves out the visitor, then rests
        state.area = turn.lookup.area_of(ticket.service)
        state.state, state.pause_reason = "DRAINING", None
    else:
        _release(turn, window)
        state.pause_reason = None
        state.state = "STANDBY" if state.staff is None else "CONSULTING"


def fit_rest(turn: Turn) -> None:
    """Set tidal windows at rest to CONSULTING if a clerk sits there, else to STANDBY. State dumps of earlier versions
    did not distinguish the two.
    """
    for window in turn.lookup.tidal:
        state = turn.window(window)
        if state.state == "STANDBY" and state.staff is not None:
            state.state = "CONSULTING"
        elif state.staff is None:
            activation.leave(turn, window)


def _make_regular(turn: Turn, window: str) -> None:
    state = turn.window(window)
    ticket = turn.ticket_at(window)
    if ticket is None and state.state in (*AT_REST, *ASKED):
        state.state = "CLOSED" if state.staff is None else "OPEN"
    elif ticket is not None and state.state == "DRAINING":
        state.state = "CALLING" if ticket.state == "CALLED" else "SERVING"
    call_due_ms = state.due_ms if state.state == "CALLING" else None
    _release(turn, window)
    state.due_ms = call_due_ms


def _release(turn: Turn, window: str) -> None:
    state = turn.window(window)
    if state.area is not None:
        open_s = 0.0 if state.opened_ms is None else turn.seconds_since(state.opened_ms)
        reason = "configuration changed"
        turn.note("tidal.released", window, area=state.area, staff=state.staff, reason=reason, open_s=open_s)
    activation.clear(turn, window)


def resume(turn: Turn, event: Resumed) -> None:
    """Handle ``gap_ms`` in which the process did not run. Deadlines move later by it, so that nothing fires at once,
    except those at a time of day; waiting times include the gap.

    After a restart the outcome of pending actions is unknown. Nothing is spoken again. Slips and pages are sent again
    with their old ids, by which device and pager recognise a repetition: every number in the queue must be on paper.
    """
    gap_ms = event.gap_ms
    for window in turn.state.windows.values():
        if window.due_ms is not None:
            window.due_ms += gap_ms
        if window.state == "CALLING" and window.ticket is not None:
            ticket = turn.state.tickets[window.ticket]
            ticket.called_ms = None if ticket.called_ms is None else ticket.called_ms + gap_ms
    for area in turn.state.areas.values():
        for name in ("over_since_ms", "under_since_ms", "escalated_ms", "last_action_ms", "due_ms"):
            stamp = getattr(area, name)
            if stamp is not None:
                setattr(area, name, stamp + gap_ms)
    timers.after_gap(turn, gap_ms)
    trial.after_gap(turn, gap_ms)
    sequence.after_gap(turn, gap_ms)
    turn.note("hall.resumed", turn.lookup.site.hall, gap_s=gap_ms / 1000, restart=int(event.restart))
    if event.restart:
        fit_rest(turn)
        _settle_actions(turn)
        announcements.after_restart(turn)


def _settle_actions(turn: Turn) -> None:
    for action_id, pending in list(turn.state.actions.items()):
        if _is_offered_again(turn, action_id, pending):
            turn.commands.append(Action(action_id, pending.point, pending.body))
            continue
        turn.settle_unknown(action_id)
    undelivered.restarted(turn)


def _is_offered_again(turn: Turn, action_id: str, pending: PendingAction) -> bool:
    body = pending.body
    if isinstance(body, Print):
        ticket = by_number(turn, body.number)
        return body.about != "ticket" or (ticket is not None and ticket.ended_ms is None)
    if not isinstance(body, Page):
        return False
    if body.staff == staffing.DUTY_MANAGER and not pages.still_open(turn, action_id):
        return turn.at_ms - pending.at_ms < PAGE_AGAIN_MS
    return undelivered.wanted(turn, action_id, body)
