"""Numbers that staff wrote by hand while the controller was down (停机手工取号): numbering continues after them, and
none is given twice.

The hall's emergency card explains: numbers are written by hand for each service, and afterwards a key or an order gives
the next number. Naming the first number that still waits puts it and the later ones into the queue. If more than
``MANY`` numbers were given, the order must be repeated within ``CONFIRM_MS``, because a mistyped digit would use up the
day's numbers.
"""

from __future__ import annotations

from edged.core.model.events import GoneOn, KeyPressed, TicketPrinted
from edged.core.model.point import Point
from edged.core.model.turn import Turn
from edged.core.people import pagers, staffing
from edged.core.queue import numbering, tickets

KEY = "go-on"
BY_HAND = Point("by-hand")  # the source of such a number: no dispenser can print it again
MANY = 100  # numbers of one service: two hours of a busy one
CONFIRM_MS = 60_000  # time to read the answer, check the pad of numbers and repeat the order


def press(turn: Turn, event: KeyPressed) -> None:
    """Handle the key "go-on" of a window's or the duty manager's panel. Its argument is ``NUMBER [waiting=NUMBER]
    [by=name]``: the next number to give, the first that still waits, and who orders it.
    """
    words = (event.arg or "").split()
    named = dict(word.split("=", 1) for word in words if "=" in word)
    plain = [word for word in words if "=" not in word]
    window = turn.lookup.window_of_panel.get(event.point)
    if window is None and pagers.owner(turn, event.point) != staffing.DUTY_MANAGER:
        turn.ignore(event.point, "key_not_used", key=event.key)
        return
    by = named.get("by") or (turn.state.duty_staff if window is None else turn.window(window).staff)
    if by is None:
        turn.ignore(event.point, "override_without_name", key=event.key)
    elif len(plain) != 1:
        turn.ignore(event.point, "number_unknown", arg=event.arg)
    else:
        go_on(turn, GoneOn(plain[0], by, named.get("waiting")))


def go_on(turn: Turn, event: GoneOn) -> None:
    """Make ``event.number`` the next number of its service; those before it count as given.

    From ``event.waiting_from`` on, the numbers join the queue; None: no number written by hand still waits. An order
    that names an unknown or already given number is refused with a note.
    """
    service, next_ = _service_of(turn, event.number), _count(event.number)
    last = 0 if service is None else turn.state.last_number.get(service, 0)
    first = next_ if event.waiting_from is None else _count(event.waiting_from)
    if service is None or not 0 < next_ <= tickets.LAST_NUMBER:
        turn.ignore(event.number, "number_unknown", by=event.by)
        return
    if next_ <= last:
        turn.ignore(event.number, "number_behind", last=last, by=event.by)
        return
    if event.waiting_from is not None and (
        _service_of(turn, event.waiting_from) != service or not last < first <= next_
    ):
        turn.ignore(event.waiting_from, "number_unknown", by=event.by)
        return
    prefix = turn.lookup.services[service].prefix
    missed = [f"{prefix}{count:03d}" for count in range(last + 1, next_)]
    by_hand = [number for number in missed if not numbering.given(turn.state, number)]
    waiting = [number for number in by_hand if _count(number) >= first]
    if len(by_hand) > MANY and not _confirmed(turn, event):
        turn.ignore(event.number, "many_by_hand", given=len(by_hand), waiting=len(waiting), by=event.by)
        return
    turn.state.last_number[service] = next_ - 1
    for number in by_hand:
        if number in waiting:
            tickets.issue(turn, number, [service], TicketPrinted(BY_HAND, number, service))
        else:
            numbering.mark_given(turn.state, number)
    turn.note("numbers.gone_on", event.number, by=event.by, given=len(by_hand), waiting=len(waiting))
    turn.touch_area(turn.lookup.area_of(service))


def _confirmed(turn: Turn, event: GoneOn) -> bool:
    """Whether the same order was given within the last ``CONFIRM_MS``, by anybody. If not, store this one, so that its
    repetition confirms it.
    """
    asked = (event.number, event.waiting_from or "")
    before, until_ms = turn.state.many_by_hand
    again = before == asked and turn.at_ms < until_ms
    turn.state.many_by_hand = (("", ""), 0) if again else (asked, turn.at_ms + CONFIRM_MS)
    return again


def _service_of(turn: Turn, number: str) -> str | None:
    prefix = number.rstrip("0123456789")
    return next((s.id for s in turn.lookup.site.services if s.prefix == prefix and prefix), None)


def _count(number: str) -> int:
    digits = number[len(number.rstrip("0123456789")) :]
    return int(digits) if 0 < len(digits) <= numbering.DIGITS_MAX else 0
