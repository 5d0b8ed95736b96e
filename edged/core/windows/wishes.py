"""Wishes: a person asks for one more "+1" window, at a clerk's panel or by an order.

A wish asks for a window as the rule does: everybody on standby is tried, then the duty manager is paged. It ends when a
"+1" window of the area is open, when it is withdrawn, or after ``triggers.hold_s`` (later if somebody is just on the
way). Every end is noted, and the person who asked can read its state on the panel.
"""

from __future__ import annotations

from edged.core.model.state import Wish
from edged.core.model.turn import Turn
from edged.core.people import answers, staffing
from edged.core.queue.ordering import ASKED

TIMER = "wish"
WISHES_MAX = 64  # one for each window of a large hall, and some names at the centre
_TITLE = ("增开窗口申请", "One more window")


def make(turn: Turn, area: str, trigger: str, by: str | None, window: str | None) -> bool:
    """Record a person's wish for one more window; a repeated wish lasts ``triggers.hold_s`` from now. False (and a
    note) if the hall has ``WISHES_MAX`` wishes already.
    """
    name = _name(area, window or by)
    known = turn.state.wishes.get(name)
    if known is None and len(turn.state.wishes) >= WISHES_MAX:
        turn.ignore(area, "too_many_wishes", by=by)
        return False
    if known is None:
        turn.state.wishes[name] = Wish(area, trigger, turn.at_ms, window, by)
    turn.set_timer(f"{TIMER}/{name}", turn.at_ms + turn.state.policy.tidal.triggers.hold_s * 1000)
    state = turn.area(area)
    state.refused = state.held = None  # the reasons against it are noted again
    turn.note("tidal.asked", area, trigger=trigger, by=by, window=window)
    _touch(turn, area)
    return True


def withdraw(turn: Turn, area: str, by: str | None, window: str | None = None) -> bool:
    """Withdraw the wish of ``by`` or ``window`` for an area; False if they have none."""
    return _end(turn, _name(area, window or by), "withdrawn")


def withdraw_all(turn: Turn, area: str, by: str) -> bool:
    """Withdraw every wish for an area; False if there is none."""
    names = [name for name, wish in turn.state.wishes.items() if wish.area == area]
    for name in names:
        _end(turn, name, "withdrawn", by=by)
    return bool(names)


def open_wish(turn: Turn, area: str) -> Wish | None:
    """The oldest open wish for this area; None if there is none."""
    return next((wish for wish in turn.state.wishes.values() if wish.area == area), None)


def attempted(turn: Turn, area: str) -> None:
    """Count an attempt (somebody was paged or asked) for every wish of this area."""
    for wish in turn.state.wishes.values():
        if wish.area == area:
            wish.attempts += 1
    _touch(turn, area)


def fulfilled(turn: Turn, area: str, window: str) -> None:
    """End every wish for ``area``, because a "+1" window has opened for it."""
    for name, wish in list(turn.state.wishes.items()):
        if wish.area == area:
            _end(turn, name, "opened", window)


def expire(turn: Turn, name: str) -> None:
    """Timer: end a wish for which no window has opened in time; extended while somebody is on the way."""
    wish = turn.state.wishes.get(name)
    if wish is None:
        return
    on_its_way_ms = [
        state.due_ms
        for window in turn.lookup.area_tidal[wish.area]
        if (state := turn.window(window)).area == wish.area and state.state in ASKED
    ]
    due_ms = max((due_ms for due_ms in on_its_way_ms if due_ms is not None), default=None)
    if due_ms is not None and due_ms >= turn.at_ms:
        turn.set_timer(f"{TIMER}/{name}", due_ms + 1)
    else:
        _end(turn, name, "expired")


def end_day(turn: Turn) -> None:
    """End every wish at the end of the business day."""
    for name in list(turn.state.wishes):
        _end(turn, name, "new day")


def forget_missing(turn: Turn) -> None:
    """End wishes for areas that are no longer in the configuration."""
    for name, wish in list(turn.state.wishes.items()):
        if wish.area not in turn.lookup.areas:
            _end(turn, name, "configuration changed")
        elif wish.window is not None and wish.window not in turn.lookup.windows:
            wish.window = None


def prompt(turn: Turn, window: str) -> str | None:
    """The panel's line about the wish (for one more "+1" window) that was made at this window; None if there is
    none.
    """
    wish = next((wish for wish in turn.state.wishes.values() if wish.window == window), None)
    if wish is None:
        return None
    chinese, english = _progress(turn, wish)
    return f"{_TITLE[0]}：{chinese} {_TITLE[1]}: {english}"


def _progress(turn: Turn, wish: Wish) -> tuple[str, str]:
    area = turn.area(wish.area)
    for lit in turn.lookup.area_tidal[wish.area]:
        state = turn.window(lit)
        if state.area != wish.area or state.state not in ASKED:
            continue
        number = turn.lookup.windows[lit].number
        known = turn.lookup.staff.get(state.paged_staff or "")
        if known is None:
            return f"{number}号窗口待人到岗", f"window {number} waits for staff"
        if state.acknowledged:
            return f"{known.name}正前往{number}号窗口", f"{known.name} comes to window {number}"
        return f"已呼叫{known.name}到{number}号窗口", f"{known.name} paged to window {number}"
    if area.escalated_ms is not None:
        return "暂无人到岗，已通知值班长", "nobody comes, duty manager paged"
    return answers.HELD.get(area.refused or "", ("已登记", "taken"))


def _name(area: str, source: str | None) -> str:
    return f"{area}/{source or ''}"


def _end(turn: Turn, name: str, outcome: str, window: str | None = None, by: str | None = None) -> bool:
    wish = turn.state.wishes.pop(name, None)
    if wish is None:
        return False
    turn.drop_timer(f"{TIMER}/{name}")
    turn.note(
        "tidal.wish_over",
        wish.area,
        outcome=outcome,
        trigger=wish.trigger,
        by=wish.by or wish.window,
        window=window,
        attempts=wish.attempts,
        stood_s=turn.seconds_since(wish.since_ms),
        **({} if by is None else {"ended_by": by}),
    )
    if wish.area in turn.lookup.areas:
        _touch(turn, wish.area)
    if wish.window in turn.state.windows and outcome in ("opened", "expired", "withdrawn"):
        _hint(turn, wish.window, outcome, window)
    return True


def _hint(turn: Turn, asker: str, outcome: str, window: str | None) -> None:
    number = "" if window is None else turn.lookup.windows[window].number
    texts = {
        "opened": (f"{number}号窗口已启用", f"window {number} is open"),
        "expired": ("已到期，未能启用", "nobody could come, it is over"),
        "withdrawn": ("已撤回", "withdrawn"),
    }
    chinese, english = texts[outcome]
    staffing.hint(turn, asker, f"{_TITLE[0]}：{chinese} {_TITLE[1]}: {english}")


def _touch(turn: Turn, area: str) -> None:
    turn.touch_area(area)
    for wish in turn.state.wishes.values():
        if wish.area == area and wish.window is not None:
            turn.touch_window(wish.window)
