"""Notices (通知): texts that the city or the duty manager puts on the boards, until a given time or until withdrawn."""

from __future__ import annotations

from edged.core.model.events import NoticePosted, NoticeWithdrawn
from edged.core.model.state import Notice
from edged.core.model.turn import Turn

NOTICES_MAX = 20  # nobody reads more; one must be withdrawn before the next


def post(turn: Turn, event: NoticePosted) -> None:
    """Put a notice on its boards. It replaces an earlier notice with the same id. Refused, with a note, if an area is
    unknown, its time is over, or ``NOTICES_MAX`` others are up.
    """
    problem = _problem(turn, event)
    if problem is not None:
        turn.ignore(event.id, problem, by=event.by)
        return
    turn.state.notices.pop(event.id, None)  # so that the newest is last
    turn.state.notices[event.id] = Notice(
        event.text, event.text_en, event.areas, event.until_wall_ms, event.by
    )
    if event.until_wall_ms is not None:
        turn.set_timer(f"notice/{event.id}", event.until_wall_ms - (turn.state.wall_offset_ms or 0))
    else:
        turn.drop_timer(f"notice/{event.id}")
    turn.note("notice.posted", event.id, by=event.by, areas=",".join(event.areas) or None)
    missing = _unshown(turn, event)
    if missing:  # for the person who posted it: the board shows "?" there
        turn.note("notice.unshown", event.id, missing=missing)
    _touch(turn)


def withdraw(turn: Turn, event: NoticeWithdrawn) -> None:
    """Take a notice off the boards before its time."""
    if turn.state.notices.pop(event.id, None) is None:
        turn.ignore(event.id, "no_such_notice", by=event.by)
        return
    turn.drop_timer(f"notice/{event.id}")
    turn.note("notice.withdrawn", event.id, by=event.by)
    _touch(turn)


def expire(turn: Turn, notice: str) -> None:
    """Timer: the notice's time has passed."""
    if turn.state.notices.pop(notice, None) is not None:
        turn.note("notice.over", notice)
        _touch(turn)


def lines(turn: Turn, area: str | None) -> list[tuple[str, str]]:
    """The notices for boards of this area (None: the hall's own boards), as (Chinese, English), newest first."""
    known = turn.lookup.areas
    return [
        (notice.text, notice.text_en)
        for notice in reversed(turn.state.notices.values())
        if (not notice.areas if area is None else not notice.areas or area in notice.areas)
        and all(name in known for name in notice.areas)
    ]


def _unshown(turn: Turn, event: NoticePosted) -> str:
    """Return the characters of a notice that the font of one of its boards lacks; that board shows "?" instead. "" if
    it lacks none.
    """
    site = turn.lookup.site
    areas = event.areas or tuple(turn.lookup.areas)
    points = {point for area in areas for point in turn.lookup.areas[area].displays}
    points |= set() if event.areas else set(site.displays)
    fonts = sorted({board.font for board in site.boards if board.font and board.point in points})
    text = dict.fromkeys(event.text + event.text_en)
    return "".join(char for char in text if any(not char.encode(font, "ignore") for font in fonts))


def _problem(turn: Turn, event: NoticePosted) -> str | None:
    state = turn.state
    if any(area not in turn.lookup.areas for area in event.areas):
        return "unknown_area"
    if event.id not in state.notices and len(state.notices) >= NOTICES_MAX:
        return "too_many_notices"
    now_ms = turn.at_ms + (state.wall_offset_ms or 0)
    return "notice_over" if event.until_wall_ms is not None and event.until_wall_ms <= now_ms else None


def _touch(turn: Turn) -> None:
    for area in turn.lookup.areas:
        turn.touch_area(area)
