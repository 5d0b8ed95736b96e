"""Handles what people do with cases (办不成事): by keys at windows and at the duty manager's panel, by orders of the
centre, and by ratings at evaluators (评价器).

Any window may open a case for the visitor it serves. Only windows that serve a case service, the duty manager and the
centre may answer and close cases.
"""

from __future__ import annotations

from edged.core.cases import case_book, ratings
from edged.core.cases.ratings import LEVELS
from edged.core.model.events import CaseTold
from edged.core.model.point import Point
from edged.core.model.state import Case, Rating, Ticket
from edged.core.model.turn import Turn

VERBS = ("open", "ack", "close", "reopen", "extend")
RATE = "case-rate"  # timer: the evaluator of a window stops asking about a closed case


def handle(turn: Turn, event: CaseTold) -> None:
    """Handle what the centre or an operator does with a case: open, acknowledge, close, reopen, extend or rate it."""
    if event.told == "open":
        _open_case(turn, event)
        return
    case = turn.state.cases.get(event.case or "")
    if case is None:
        turn.ignore(event.case or "", "unknown_case", told=event.told, by=event.by)
    elif event.told == "acknowledge":
        case_book.acknowledge(turn, case, event.by)
    elif event.told == "close":
        case_book.close(turn, case, event.code, event.by)
    elif event.told == "reopen":
        case_book.reopen(turn, case, event.by, "told")
    elif event.told == "extend":
        case_book.extend(turn, case, event.by)
    elif event.level is None or event.level not in LEVELS:
        turn.ignore(case.id, "no_such_level", level=event.level)
    else:
        _rate(turn, case, event.level, event.by)


def _open_case(turn: Turn, event: CaseTold) -> None:
    lookup = turn.lookup
    ticket = None
    if event.ticket is not None:
        ticket = turn.state.tickets.get(turn.state.used_numbers.get(event.ticket, 0))
        if ticket is None:
            turn.ignore(event.ticket, "unknown_ticket", by=event.by)
            return
    if event.area is not None and event.area not in lookup.areas:
        turn.ignore(event.area, "unknown_area", by=event.by)
        return
    if event.service is not None and event.service not in lookup.services:
        turn.ignore(event.service, "unknown_service", by=event.by)
        return
    case = case_book.case_of(turn, "centre", event.code, event.special, ticket)
    if ticket is None:
        case.service = event.service
        case.area = lookup.area_of(event.service) if event.service is not None else event.area
    case_book.open_case(turn, case, event.by)


def press(turn: Turn, point: Point, window: str | None, arg: str | None) -> None:
    """Handle the "case" key. ``window`` is the one at which it was pressed; None: the duty manager's panel.

    ``arg`` is ``[open] [code] [special]``, ``ack [case]``, ``close case [outcome]``, ``reopen case`` or ``extend
    case``. ``by=name`` names the person; without it, notes name whoever is logged in, or else the window or device.
    """
    words = (arg or "").split()
    named = next((word[3:] for word in words if word.startswith("by=")), None)
    words = [word for word in words if "=" not in word]
    verb = words.pop(0) if words and words[0] in VERBS else "open"
    staff = turn.state.duty_staff if window is None else turn.window(window).staff
    by = named or staff or window or point
    if verb == "open":
        _open_by_key(turn, window or point, words, by)
    elif window is not None and not turn.lookup.serves_cases(window):
        turn.ignore(window, "no_case_window", verb=verb)
    elif verb == "ack" and not words:
        answer_oldest(turn, window or point, by)
    else:
        case = turn.state.cases.get(words[0] if words else "")
        if case is None:
            turn.ignore(window or point, "unknown_case", verb=verb)
        else:
            _follow(turn, case, verb, (words[1] if len(words) > 1 else None, by, window))


def _open_by_key(turn: Turn, source: str, words: list[str], by: str) -> None:
    ticket: Ticket | None = turn.ticket_at(source) if source in turn.lookup.windows else None
    special = "special" in words
    code = next((word for word in words if word != "special"), None)
    case = case_book.case_of(turn, source, code, special, ticket)
    if ticket is None and source in turn.lookup.windows:
        case.area = turn.window(source).area or turn.lookup.window_areas[source][0]
    case_book.open_case(turn, case, by)


def _follow(turn: Turn, case: Case, verb: str, request: tuple[str | None, str, str | None]) -> None:
    """Acknowledge, close, reopen or extend a case, as ``verb`` says. ``request``: the outcome (only to close), the
    person who does it, and the window at which (None: not at a window).
    """
    word, by, window = request
    if verb == "ack":
        case_book.acknowledge(turn, case, by)
    elif verb == "reopen":
        case_book.reopen(turn, case, by, "told")
    elif verb == "extend":
        case_book.extend(turn, case, by)
    elif case_book.close(turn, case, word, by) and window is not None:
        turn.window(window).last_case = case.id
        turn.set_timer(f"{RATE}/{window}", turn.at_ms + turn.state.policy.cases.rate_within_s * 1000)
        turn.touch_window(window)


def any_waits(turn: Turn) -> bool:
    """Whether a case waits for an answer."""
    return any(case.state == "OPEN" for case in turn.state.cases.values())


def answer_oldest(turn: Turn, subject: str, by: str) -> None:
    """Acknowledge the case that has waited longest for an answer (the key "case ack" without a number)."""
    waiting = [case for case in turn.state.cases.values() if case.state == "OPEN"]
    if waiting:
        case_book.acknowledge(turn, min(waiting, key=lambda case: case.asked_ms), by)
    else:
        turn.ignore(subject, "no_case_waits", by=by)


def rate(turn: Turn, window: str, level: int) -> bool:
    """Rate the case that was last closed at this window. False if there is none that can be rated; then the rating is
    for a visit.
    """
    case = turn.state.cases.get(case_to_rate(turn, window) or "")
    if case is None or level not in LEVELS:
        return False
    stop_asking(turn, window)
    return _rate(turn, case, level, window)


def case_to_rate(turn: Turn, window: str) -> str | None:
    """The id of the case that the evaluator at ``window`` asks the visitor to rate; None if there is none.

    A rating belongs to the person at the window: as soon as the next visitor is served there, the case is no longer
    asked about.
    """
    state = turn.window(window)
    case = turn.state.cases.get(state.last_case or "")
    if case is None or case.closed_ms is None:
        return None
    ticket = turn.ticket_at(window)
    sits = ticket is not None and ticket.state != "CALLED" and ticket.id != case.visit
    return None if sits else case.id


def stop_asking(turn: Turn, window: str) -> None:
    """Stop asking for a rating of the case: it was rated, or (timer) nobody rated it in time."""
    if window in turn.lookup.windows:
        turn.window(window).last_case = None
        turn.drop_timer(f"{RATE}/{window}")
        turn.touch_window(window)


def _rate(turn: Turn, case: Case, level: int, by: str) -> bool:
    limits = turn.state.policy.cases
    if case.state != "CLOSED" or case.closed_ms is None:
        turn.ignore(case.id, "case_state", state=case.state, trigger="rate")
        return False
    if case.rated_ms is not None and case.rated_ms >= case.closed_ms:
        turn.ignore(case.id, "rated_already", level=level)
        return False
    if turn.at_ms - case.closed_ms > limits.rate_days * case_book.DAY_MS:
        turn.ignore(case.id, "rated_too_late", level=level)
        return False
    case.level, case.rated_ms = level, turn.at_ms
    turn.touch_cases()
    turn.note("case.rated", case.id, level=level, by=by)
    window = by if by in turn.lookup.windows else None
    bad = level <= turn.state.policy.ratings.bad_level
    again = bad and limits.reopen_if_bad
    ratings.keep(turn, case.id, Rating(case.id, level, window, turn.at_ms), followed=again)
    if again:
        case_book.reopen(turn, case, by, "rated bad")
    return True
