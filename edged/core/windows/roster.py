"""Today's staff (今日人员): who is absent, back, or also serves another area; with a name, until the day ends.

Reported by an order, by key at the duty manager's panel or pager, and by members about themselves at their own pager.
All other modules ask ``staffing`` who is there, so a change takes effect at once: an absent member is no longer paged,
and their page or window passes to somebody else.
"""

from __future__ import annotations

from edged.core.model.events import KeyPressed, RosterTold, RosterWord
from edged.core.model.names import staff_meant
from edged.core.model.state import Today
from edged.core.model.turn import Turn
from edged.core.people import pagers, pages, staffing
from edged.core.queue.ordering import STAFFED
from edged.core.windows import activation

KEY = "roster"
ROSTER_WORDS: tuple[RosterWord, ...] = ("absent", "back", "also")


def press(turn: Turn, event: KeyPressed) -> None:
    """Handle the keys ``absent|back STAFF`` and ``also STAFF AREA[,AREA]``, with ``by=name``. On a member's own pager
    STAFF is that member.
    """
    words = (event.arg or "").split()
    named = next((word[3:] for word in words if word.startswith("by=")), None)
    plain = [word for word in words if "=" not in word]
    owner = pagers.owner(turn, event.point)
    if owner is None:
        turn.ignore(event.point, "key_not_used", key=event.key)
        return
    word = next((known for known in ROSTER_WORDS if plain[:1] == [known]), None)
    if owner != staffing.DUTY_MANAGER:
        if word is None or word == "also":
            turn.ignore(owner, "roster_unknown", arg=event.arg)
        else:
            handle(turn, RosterTold(owner, word, turn.lookup.staff[owner].name))
        return
    by = named or turn.state.duty_staff
    if by is None:
        turn.ignore(event.point, "override_without_name", key=event.key)
    elif word is None or len(plain) < 2:
        turn.ignore(event.point, "roster_unknown", arg=event.arg)
    else:
        areas = tuple(plain[2].split(",")) if len(plain) > 2 else ()
        handle(turn, RosterTold(plain[1], word, by, areas))


def handle(turn: Turn, event: RosterTold) -> None:
    """Apply a change of today's roster, or refuse it with a reason."""
    staff = staff_meant(turn.lookup.site, event.staff)
    if staff is None:
        turn.ignore(event.staff, "unknown_staff", by=event.by)
        return
    if event.said == "also" and (not event.areas or any(a not in turn.lookup.areas for a in event.areas)):
        turn.ignore(staff, "unknown_area", by=event.by)
        return
    today = turn.state.roster.setdefault(staff, Today())
    if event.said != "also" and today.absent == (event.said == "absent"):
        turn.ignore(staff, "roster_already", said=event.said, by=event.by)
        return
    today.by = event.by
    if event.said == "also":
        today.also = list(event.areas)
    else:
        today.absent = event.said == "absent"
    turn.note(f"roster.{event.said}", staff, by=event.by, areas=",".join(event.areas) or None)
    if today.absent:
        _step_back(turn, staff)
    for area in turn.lookup.areas:
        turn.touch_area(area)


def end_day(turn: Turn) -> None:
    """Delete today's changes of the roster."""
    turn.state.roster.clear()


def _step_back(turn: Turn, staff: str) -> None:
    """Let an absent member leave: their pages pass to somebody else, and their tidal window is given back once its
    visitor is served. A regular window stays as it is.
    """
    member = turn.state.staff[staff]
    window = member.window
    if member.state == "paged" and window is not None:
        activation.unanswered(turn, window, reason="absent today")
    elif member.state == "bound" and window is not None:
        state = turn.window(window)
        if staff in state.helpers:
            staffing.vacate(turn, staff, window, "absent today")
            staffing.rest(turn, staff, window)
        elif state.state in ("CONSULTING", "INVITED"):
            staffing.unbind_window(turn, window)
            activation.leave(turn, window)
        elif turn.lookup.windows[window].tidal and state.state in STAFFED:
            activation.drain(turn, window, activation.STAFF_LEFT)
    pages.pass_on(turn, staff)
