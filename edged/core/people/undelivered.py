"""Pages (messages to pagers) and slips that cannot have reached their device. They are stored, and sent again with the
same action id once the device can be reached.

A page is stored if it was not sent because a connection was down; a slip, if its printer cannot have received it.
Nobody has seen such a page, so nobody is late in answering it: the time to answer starts when it is sent, and the
member keeps their place in the order of paging. A page that is no longer needed is dropped.
"""

from __future__ import annotations

from dataclasses import replace

from edged.core.model.commands import Action, Page, Print, without_request
from edged.core.model.losses import (
    NOT_LISTENING,
    OFFLINE,
    OUR_LINK,  # also the start of errors of actions sent without a connection to the broker
)
from edged.core.model.point import Point, device_of
from edged.core.model.state import PendingAction
from edged.core.model.turn import Turn
from edged.core.people import alarms
from edged.core.people.staffing import DUTY_MANAGER

NO_SUCH_DEVICE = "no such device"  # error of an action for a device that is not in hall.toml
UNDELIVERED = "undelivered"  # start of the error of a page that a vendor's service did not take
KEPT_MAX = 100  # a page for every window of a large hall; beyond that the oldest is dropped
PAPER_MS = 600_000  # a slow kiosk starts in five minutes; nobody waits longer for paper


def keep(turn: Turn, action: str, pending: PendingAction, error: str) -> bool:
    """Store a page that failed because its connection was down. False if ``action`` is no page, failed for another
    reason, or is passed to somebody else.

    The last case is a page to a lit "+1" window that a vendor's paging service did not deliver: another member is paged
    at once.
    """
    cut = error.startswith(UNDELIVERED)
    if not isinstance(pending.body, Page) or not (cut or _by_our_link(turn, pending.point, error)):
        return False
    turn.note("page.undelivered", pending.body.staff, window=pending.body.window, point=pending.point)
    if cut and _is_paged_to(turn, pending.body):
        return False
    if not wanted(turn, action, pending.body):
        return True
    _put(turn, action, pending)
    return True


def keep_paper(turn: Turn, action: str, pending: PendingAction, error: str) -> None:
    """Store a slip that its printer cannot have received, to print it later. The alarm about the failure is raised all
    the same, elsewhere.
    """
    if isinstance(pending.body, Print) and error.startswith((NOT_LISTENING, OFFLINE, OUR_LINK)):
        _put(turn, action, pending)


def _put(turn: Turn, action: str, pending: PendingAction) -> None:
    kept = turn.state.undelivered
    kept[action] = pending
    if len(kept) > KEPT_MAX:
        del kept[next(iter(kept))]


def offer(turn: Turn, action: str) -> None:
    """Send a stored page or slip if somebody still needs it; the time to answer a page runs from now."""
    pending = turn.state.undelivered.pop(action)
    if isinstance(pending.body, Print) and _is_missed(turn, pending.body, pending.at_ms):
        paper = without_request(pending.body)
        turn.state.actions[action] = replace(pending, body=paper)
        turn.commands.append(Action(action, pending.point, paper))
        turn.note("paper.offered_again", pending.body.number, about=pending.body.about, point=pending.point)
    if not isinstance(pending.body, Page) or not wanted(turn, action, pending.body):
        return
    turn.state.actions[action] = replace(pending, at_ms=turn.at_ms)
    turn.commands.append(Action(action, pending.point, pending.body))
    page, policy = pending.body, turn.state.policy
    for name, one in turn.state.pages.items():
        if one.action == action and f"page/{name}" in turn.state.timers:
            to_duty = one.to == DUTY_MANAGER
            wait_s = policy.staffing.duty_repeat_s if to_duty else policy.staffing.page_ack_s
            turn.set_timer(f"page/{name}", turn.at_ms + wait_s * 1000)
    if page.window is not None and _is_paged_to(turn, page):
        turn.window(page.window).due_ms = turn.at_ms + policy.tidal.staff_ack_s * 1000


def device_back(turn: Turn, device: Point) -> None:
    """Send what is stored for a pager or printer that can be reached again."""
    for action, pending in list(turn.state.undelivered.items()):
        if device_of(pending.point) == device_of(device):
            offer(turn, action)


def restarted(turn: Turn) -> None:
    """Send all stored pages and slips after a restart, because their connection may be up now."""
    for action in list(turn.state.undelivered):
        offer(turn, action)


def forget(turn: Turn, action: str | None) -> None:
    """Drop a stored page that is no longer needed or was sent again. No-op for an unknown ``action`` or None."""
    if action is not None:
        turn.state.undelivered.pop(action, None)


def to_window(turn: Turn, window: str) -> str | None:
    """Return the action id of the stored page that asks a member of staff to come to this lit "+1" window; None if
    there is none.
    """
    for action, pending in turn.state.undelivered.items():
        page = pending.body
        if isinstance(page, Page) and page.window == window and _is_paged_to(turn, page):
            return action
    return None


def wanted(turn: Turn, action: str, page: Page) -> bool:
    """Whether somebody still needs this page."""
    if page.staff == DUTY_MANAGER:  # pages about cases and ratings are not in State.pages
        return True
    return any(one.action == action for one in turn.state.pages.values()) or _is_paged_to(turn, page)


def alarm_nobody_reached(turn: Turn, window: str) -> None:
    """Raise the alarm that a "+1" window is lit but no page to staff for it gets through."""
    area = turn.window(window).area
    if area is not None:
        alarms.sound(turn, "no-staff", area, window=window)


def _is_missed(turn: Turn, paper: Print, at_ms: int) -> bool:
    """Whether a visitor may still wait at the printer for this slip. That is so if it was sent (``at_ms``) less than
    ``PAPER_MS`` ago, the visit is not over, and it was not printed in the meantime.
    """
    if turn.at_ms - at_ms >= PAPER_MS:
        return False
    ticket = turn.state.tickets.get(turn.state.used_numbers.get(paper.number, 0))
    if paper.about != "ticket":
        return True
    return ticket is not None and ticket.ended_ms is None and ticket.print_failed


def _by_our_link(turn: Turn, point: Point, error: str) -> bool:
    if error == NO_SUCH_DEVICE:  # removed from hall.toml: it never comes back
        return False
    known = turn.state.devices.get(Point(device_of(point)))
    cut = known is not None and not known.up and known.reason == OUR_LINK
    return cut or error.startswith(OUR_LINK)


def _is_paged_to(turn: Turn, page: Page) -> bool:
    state = None if page.window is None else turn.state.windows.get(page.window)
    if state is None or page.staff == DUTY_MANAGER:
        return False
    return state.state == "ACTIVATING" and state.paged_staff == page.staff and not state.acknowledged
