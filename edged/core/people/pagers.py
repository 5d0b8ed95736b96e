"""What a pager and the duty manager's panel show: how many pages (messages to the owner) are unanswered, and the text
of the oldest.

After a key was pressed, they show the answer to it for a short time instead.
"""

from __future__ import annotations

from edged.core.model.commands import Pager
from edged.core.model.point import Point
from edged.core.model.turn import Turn
from edged.core.people import staffing
from edged.core.people.staffing import DUTY_MANAGER


def owner(turn: Turn, point: Point) -> str | None:
    """The member of staff who carries this pager ("duty-manager" for the duty manager's); None if nobody does."""
    if point in (turn.lookup.site.duty_pager, turn.lookup.site.duty_panel):
        return DUTY_MANAGER
    return turn.lookup.staff_of_pager.get(point)


def level(turn: Turn, point: Point) -> Pager:
    """Return what the pager at ``point`` is to show now."""
    who = owner(turn, point)
    texts = [] if who is None else _texts(turn, who)
    reply = turn.state.replies.get(point)
    return Pager(len(texts), reply if reply is not None else next(iter(texts), None))


def show_anew(turn: Turn) -> None:
    """Mark every pager that has something to show, so that it is sent again, because the record of what devices show
    (``State.shown``) was cleared.
    """
    site = turn.lookup.site
    for point in (*turn.lookup.staff_of_pager, site.duty_pager, site.duty_panel):
        if point is not None and level(turn, point) != Pager(0, None):
            turn.touch_pager(point)


def reply_over(turn: Turn, point: Point) -> None:
    """Timer: remove the answer to a key from a pager's display."""
    if turn.state.replies.pop(point, None) is not None:
        turn.touch_pager(point)


def _texts(turn: Turn, who: str) -> list[str]:
    """The texts of all pages that wait for an answer by ``who``, oldest first."""
    texts = [f"{page.text} {page.text_en}" for page in turn.state.pages.values() if page.to == who]
    if who == DUTY_MANAGER:
        waiting = sorted(
            (c for c in turn.state.cases.values() if c.state == "OPEN"), key=lambda c: c.asked_ms
        )
        return texts + [f"办不成事{case.id}待响应 Case {case.id} waits" for case in waiting]
    member = turn.state.staff.get(who)
    if member is not None and member.state == "paged" and member.window is not None:
        window = turn.window(member.window)
        if window.area is not None and not window.acknowledged:
            texts.append(" ".join(staffing.call_texts(turn, window.area, member.window)))
    return texts
