"""The "+1" standby roster (待命, the staff who open an extra window when paged): who is paged next, who answered, who
serves or helps at which window.
"""

from __future__ import annotations

from edged.core.calendar import wall
from edged.core.model.commands import Page
from edged.core.model.point import Point
from edged.core.model.policy import Pw
from edged.core.model.site import Role
from edged.core.model.state import WindowState
from edged.core.model.turn import Turn

HINT_MS = 15_000  # long enough to look up from the visitor and read a line
NOBODY = "nobody waits"
DUTY_MANAGER = "duty-manager"  # the staff id used in pages to 值班长; not on the roster


def roster(turn: Turn, area: str, role: Role = "standby") -> list[str]:
    """Ids of the staff with this role and the skill for ``area`` who are on shift now, in the order of the
    configuration.
    """
    return [
        staff.id
        for staff in turn.lookup.site.staff
        if role in staff.roles and serves(turn, staff.id, area) and on_shift(turn, staff.id)
    ]


def serves(turn: Turn, staff: str, area: str) -> bool:
    """Whether a member of staff has the skill for ``area``, or was reported as able to serve it today."""
    if area in turn.lookup.staff[staff].skills:
        return True
    today = turn.state.roster.get(staff) if turn.state.roster else None
    return today is not None and area in today.also


def has_standby(turn: Turn, area: str) -> bool:
    """Whether the standby roster has anybody for ``area``, on shift or not. If nobody, "+1" windows are lit without
    paging anybody.
    """
    return any("standby" in staff.roles and serves(turn, staff.id, area) for staff in turn.lookup.site.staff)


def absent(turn: Turn, staff: str) -> bool:
    """Whether the member of staff with the id ``staff`` was reported absent today."""
    today = turn.state.roster.get(staff) if turn.state.roster else None
    return today is not None and today.absent


def on_shift(turn: Turn, staff: str, ahead_s: float = 0.0) -> bool:
    """Whether a member of staff is on shift ``ahead_s`` seconds from now. False if they were reported absent today;
    otherwise True if they have no shifts or the local time is unknown.
    """
    if absent(turn, staff):
        return False
    shifts = turn.lookup.staff[staff].shifts
    local_ms = wall.local_ms(turn) if shifts else None
    if local_ms is None:
        return True
    minute = wall.minute(local_ms + round(ahead_s * 1000))
    return any(_within(minute, start, end) for start, end in shifts)


def _within(minute: int, start: int, end: int) -> bool:
    return start <= minute < end if start < end else minute >= start or minute < end


def leaves_in_s(turn: Turn, staff: str) -> float | None:
    """Seconds until the present shift of a member of staff ends. Shifts that follow without a break count as one. None
    if they are not on shift, have no shifts, or the local time is unknown.
    """
    member = turn.lookup.staff.get(staff)
    local_ms = wall.local_ms(turn) if member is not None and member.shifts else None
    if member is None or local_ms is None:
        return None
    minute, left_min = wall.minute(local_ms), 0
    for _ in range(len(member.shifts) + 1):  # a shift may begin where another ends, up to a whole day
        at = (minute + left_min) % wall.DAY_MIN
        ends = [end for start, end in member.shifts if _within(at, start, end)]
        if not ends:
            break
        left_min += max((end - at) % wall.DAY_MIN for end in ends)
    if not 0 < left_min < wall.DAY_MIN:
        return None
    return left_min * 60 - local_ms % wall.MINUTE_MS / 1000


def setup_s(turn: Turn, pw: Pw) -> float:
    """Expected seconds from a page until somebody is at the window: as measured in this hall, or the policy's value
    until there is a measurement.
    """
    return float(pw.setup_s) if turn.state.setup_s is None else turn.state.setup_s


def to_page(turn: Turn, area: str) -> list[str]:
    """Return the ids of the area's standby staff who may be paged: without those whose shift would end before they
    could be at the window.
    """
    ahead_s = setup_s(turn, turn.pw(area))
    return [staff for staff in roster(turn, area) if on_shift(turn, staff, ahead_s)]


def pick(turn: Turn, area: str) -> str | None:
    """Return the id of the standby member to page next; None if nobody is free. The one with the fewest "+1" turns
    today is chosen; among equals the one whose last turn is longest ago, then the one first on the roster.

    Members who did not answer their last page are chosen last, or they would be paged first every time.
    """
    tried = turn.area(area).tried_staff
    called = {page.to for page in turn.state.pages.values()}
    free = [
        staff
        for staff in to_page(turn, area)
        if staff not in tried and staff not in called and turn.state.staff[staff].state == "standby"
    ]

    def rank(staff: str) -> tuple[bool, int, int]:
        member = turn.state.staff[staff]
        return member.silent, member.activations, member.last_used_ms

    return min(free, key=rank, default=None)


def record_answer(turn: Turn, staff: str | None, yes: bool = True) -> None:
    """Record whether ``staff`` answered the last page (``yes``); logging in at a window counts as an answer. Who did
    not answer is paged after all others. No-op for somebody not on the roster.
    """
    member = turn.state.staff.get(staff or "")
    if member is not None:
        member.silent = not yes


def page(turn: Turn, staff: str, area: str, window: str) -> None:
    """Page a member of staff to open ``window`` as a "+1" window for ``area``."""
    turn.state.staff[staff].state = "paged"
    turn.state.staff[staff].window = window
    send(turn, Page(staff, area, window, *call_texts(turn, area, window)))


def call_texts(turn: Turn, area: str, window: str) -> tuple[str, str]:
    """Return the text of a page that asks somebody to open a "+1" window, in Chinese and English."""
    place, number = turn.lookup.areas[area], turn.lookup.windows[window].number
    return f"请到{number}号窗口支援{place.name}", f"Please open window {number} for {place.name_en}"


def send(turn: Turn, page: Page) -> str | None:
    """Send a page to the pager of ``page.staff``. Returns the id of the action under which the pager will report the
    outcome; None if they have no pager.
    """
    site = turn.lookup.site
    point = site.duty_pager if page.staff == DUTY_MANAGER else turn.lookup.staff[page.staff].pager
    touch_pagers(turn, page.staff)
    turn.note("staff.paged", page.staff, area=page.area, window=page.window, point=point)
    return None if point is None else turn.act(point, page)


def touch_pagers(turn: Turn, who: str | None) -> None:
    """Mark the pagers of ``who`` (a member of staff or ``DUTY_MANAGER``; None: of nobody), because what they show may
    have changed.
    """
    site = turn.lookup.site
    if who == DUTY_MANAGER:
        turn.touch_pager(site.duty_pager)
        turn.touch_pager(site.duty_panel)
    elif who in turn.lookup.staff:
        turn.touch_pager(turn.lookup.staff[who].pager)


def hint(turn: Turn, window: str, text: str, while_: str | None = None) -> None:
    """Show the sentence ``text`` on the window's panel for ``HINT_MS``.

    ``while_``: a condition; when it no longer holds, the sentence is removed earlier. It is either ``NOBODY`` (no
    visitor waits for the window) or what ``situation`` returned (the window still has that state and visitor).
    """
    state = turn.window(window)
    state.hint, state.hint_while = text, while_
    turn.set_timer(f"hint/{window}", turn.at_ms + HINT_MS)
    turn.touch_window(window)


def situation(state: WindowState) -> str:
    """Return a window's state and visitor as one text, with which ``hint`` recognises that one of them has changed."""
    return f"{state.state}/{state.ticket}"


def hint_over(turn: Turn, window: str) -> None:
    """Timer: remove the sentence from a window's panel."""
    state = turn.state.windows.get(window)
    if state is not None and state.hint is not None:
        state.hint = state.hint_while = state.farewell = None
        turn.drop_timer(f"hint/{window}")
        turn.touch_window(window)


def reply(turn: Turn, point: Point, text: str | None) -> None:
    """Show ``text``, the answer to a key, on a pager for ``HINT_MS``. None removes the answer shown before."""
    if text is None:
        turn.state.replies.pop(point, None)
        turn.drop_timer(f"reply/{point}")
    else:
        turn.state.replies[point] = text
        turn.set_timer(f"reply/{point}", turn.at_ms + HINT_MS)
    turn.touch_pager(point)


def bind(turn: Turn, staff: str, window: str) -> str | None:
    """Make ``staff`` the clerk of ``window``. If they worked at another window and nobody is left there, returns that
    window's id; otherwise None.
    """
    if turn.window(window).staff != staff:
        unbind_window(turn, window)
    turn.window(window).staff = staff
    return _sit(turn, staff, window)


def bind_helper(turn: Turn, staff: str, window: str) -> str | None:
    """Add ``staff`` as a helper beside the clerk of ``window``. If they worked at another window and nobody is left
    there, returns that window's id; otherwise None.
    """
    turn.window(window).helpers.append(staff)
    turn.note("staff.joined", staff, window=window, helpers=len(turn.window(window).helpers))
    touch(turn, window)
    return _sit(turn, staff, window)


def pace(turn: Turn, state: WindowState) -> float:
    """How fast a window serves: 1 with a clerk alone, more with helpers. They do not serve more visitors at once, but
    make the service of each one shorter.
    """
    return 1 + len(state.helpers) * turn.state.policy.staffing.helper_percent / 100


def touch(turn: Turn, window: str) -> None:
    """Mark ``window`` and its areas, because somebody began or stopped working there."""
    turn.touch_window(window)
    for area in turn.lookup.window_areas[window]:
        turn.touch_area(area)


def _sit(turn: Turn, staff: str, window: str) -> str | None:
    member = turn.state.staff.get(staff)
    if member is None:  # a clerk who is not on the standby roster
        for other, state in turn.state.windows.items():
            if other != window and staff in state.helpers:
                vacate(turn, staff, other, "elsewhere")
        return None
    if absent(turn, staff):
        turn.state.roster[staff].absent = False
        turn.note("roster.back", staff, by=staff, areas=None)
    left = member.window if member.window != window else None
    touch_pagers(turn, staff)
    member.state = "bound"
    member.silent = False
    member.window = window
    return None if left is None or vacate(turn, staff, left, "elsewhere") else left


def vacate(turn: Turn, staff: str, window: str, reason: str) -> bool:
    """Remove ``staff`` from a window. If they were the clerk, the first helper becomes the clerk. True if somebody is
    still at the window.
    """
    state = turn.window(window)
    if staff in state.helpers:
        state.helpers.remove(staff)
    elif state.staff != staff:
        return False
    elif state.helpers:
        state.staff = state.helpers.pop(0)
    else:
        state.staff = None
        return False
    turn.note("staff.left", staff, window=window, reason=reason, clerk=state.staff)
    touch(turn, window)
    return True


def unbind_window(turn: Turn, window: str) -> None:
    """Remove the clerk and all helpers from ``window``; those on the roster return to standby."""
    state = turn.window(window)
    for helper in state.helpers:
        turn.note("staff.left", helper, window=window, reason="window")
        rest(turn, helper, window)
    state.helpers.clear()
    staff, state.staff = state.staff, None
    if staff is not None:
        rest(turn, staff, window)


def rest(turn: Turn, staff: str, window: str) -> None:
    """Return ``staff`` to standby after they left ``window``. No-op if they work at another window by now, or are no
    longer on the roster.
    """
    member = turn.state.staff.get(staff)
    if member is None or member.window != window:
        return
    member.state = "standby"
    member.window = None
    member.last_used_ms = turn.at_ms
    touch_pagers(turn, staff)


def reconcile(turn: Turn) -> None:
    """After the configured staff or windows have changed, set the state of each member from the windows: bound where a
    window has them as clerk or helper, paged where one waits for them, otherwise standby.
    """
    for name, member in turn.state.staff.items():
        seats = [w for w in turn.lookup.windows if name in (turn.window(w).staff, *turn.window(w).helpers)]
        pages = [w for w in turn.lookup.windows if turn.window(w).paged_staff == name]
        for extra in seats[1:]:
            vacate(turn, name, extra, "elsewhere")
        if seats:
            member.state, member.window = "bound", seats[0]
        elif pages:
            member.state, member.window = "paged", pages[0]
        else:
            member.state, member.window = "standby", None
    for window in turn.lookup.windows:
        state = turn.window(window)
        if state.paged_staff is not None and state.paged_staff not in turn.state.staff:
            state.paged_staff = None  # the lamp blinks on until its deadline; then the next member is asked
