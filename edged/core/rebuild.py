"""What changes when the hall's configuration changes or the process comes back: nothing a visitor would notice."""

from __future__ import annotations

from edged.core import staffing
from edged.core.commands import Action, Page
from edged.core.events import Resumed
from edged.core.site import Site
from edged.core.state import AreaState, StaffState, State, WindowState
from edged.core.turn import Turn


def conflicts(state: State, site: Site) -> list[str]:
    """Why ``site`` cannot take effect now: live visits it would drop. Empty if it can."""
    services = {service.id for service in site.services}
    window_ids = {window.id for window in site.windows}
    found = [
        f"ticket {ticket.number} waits for service {ticket.service}, which the new configuration does not have"
        for ticket in state.tickets.values()
        if ticket.ended_ms is None and ticket.service not in services
    ]
    found += [
        f"window {name} serves a visitor, but the new configuration does not have it"
        for name, window in state.windows.items()
        if window.ticket is not None and name not in window_ids
    ]
    return found


def load_site(turn: Turn, site: Site) -> bool:
    """Take over ``site``: new parts appear, old ones go, live visits stay. False (and notes) if that would drop one."""
    state = turn.state
    problems = conflicts(state, site)
    for problem in problems:
        turn.ignore(site.hall, "site_would_drop_visits", detail=problem)
    if problems:
        return False
    for name in [name for name in state.windows if name not in turn.lookup.windows]:
        del state.windows[name]
    for name in [name for name in state.areas if name not in turn.lookup.areas]:
        del state.areas[name]
    for name in [name for name in state.staff if name not in turn.lookup.staff]:
        del state.staff[name]
    state.site = site
    state.shown.clear()
    for window in site.windows:
        state.windows.setdefault(window.id, WindowState("STANDBY" if window.tidal else "CLOSED"))
        turn.touch_window(window.id)
    for member in site.staff:
        state.staff.setdefault(member.id, StaffState())
    for area in site.areas:
        own = state.areas.setdefault(area.id, AreaState())
        own.waiting = sum(
            len(queue)
            for service in turn.lookup.area_services[area.id]
            for queue in state.queues.get(service, {}).values()
        )
        turn.touch_area(area.id)
    turn.note("site.loaded", site.hall, windows=len(site.windows), areas=len(site.areas))
    return True


def resume(turn: Turn, event: Resumed) -> None:
    """The process was away: deadlines move by the gap, so that nothing fires at once; waiting went on.

    After a restart the outcome of pending actions is unknown. Nothing is spoken or printed twice; an unanswered page is
    sent again under its old id, which the pager recognises.
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
    turn.note("hall.resumed", turn.lookup.site.hall, gap_s=gap_ms / 1000, restart=int(event.restart))
    if event.restart:
        _settle_actions(turn)


def _settle_actions(turn: Turn) -> None:
    for action_id, pending in list(turn.state.actions.items()):
        if isinstance(pending.body, Page) and _still_paged(turn, pending.body):
            turn.commands.append(Action(action_id, pending.point, pending.body))
            continue
        del turn.state.actions[action_id]
        turn.note("action.unknown", action_id, body=pending.body.kind, point=pending.point)


def _still_paged(turn: Turn, page: Page) -> bool:
    window = turn.state.windows.get(page.window)
    if window is None or page.staff == staffing.DUTY_MANAGER:
        return False
    return window.state == "ACTIVATING" and window.paged_staff == page.staff and not window.acknowledged
