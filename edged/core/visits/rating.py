"""How a visitor rates (好差评) at a window's evaluator: until when, and which visit.

A visit may be rated while it is served and for ``within_s`` after it. The records are in ``cases/ratings.py``.
"""

from __future__ import annotations

from edged.core.cases import ratings
from edged.core.model.events import RatingGiven
from edged.core.model.state import Rating, Ticket
from edged.core.model.turn import Turn
from edged.core.windows.machine import arrive

OPEN = "rate"  # timer: until when the last visitor of a window may rate


def give(turn: Turn, window: str, event: RatingGiven) -> None:
    """Record a rating for the visitor being served or, while the next one is called, for the one who has just left.

    If the last visitor cannot rate any more and the called one was called at least ``infer_arrival_s`` ago, the rating
    is the called visitor's, and shows that they have arrived. Otherwise it is ignored with a note.
    """
    if event.level not in ratings.LEVELS:
        turn.ignore(window, "no_such_level", level=event.level)
        return
    state = turn.window(window)
    ticket = turn.ticket_at(window)
    left_at_ms = state.last_ticket_ended_ms
    if left_at_ms is not None and turn.at_ms - left_at_ms >= turn.state.policy.ratings.within_s * 1000:
        state.last_ticket = None
    if (ticket is None or ticket.state == "CALLED") and state.last_ticket is not None:
        ticket = turn.state.tickets.get(state.last_ticket)
        _done_with_last(turn, window)
    elif ticket is not None and ticket.state == "CALLED":
        assert ticket.called_ms is not None
        if turn.at_ms - ticket.called_ms < turn.state.policy.calling.infer_arrival_s * 1000:
            ticket = None  # too soon for the called visitor: the last one pressed twice
        else:
            arrive(turn, window, inferred=True)
    if ticket is None or ticket.rated:
        turn.ignore(window, "nobody_to_rate", level=event.level)
        return
    ticket.rated = True
    turn.touch_window(window)
    name = f"v{ticket.id}"
    turn.note(
        "rating.given",
        ticket.number,
        window=window,
        area=turn.lookup.area_of(ticket.service),
        service=ticket.service,
        level=event.level,
        rating=name,
    )
    ratings.keep(turn, name, Rating(ticket.number, event.level, window, turn.at_ms))


def may_rate(turn: Turn, window: str) -> Ticket | None:
    """The visit that the window's evaluator asks to be rated; None if there is none."""
    state = turn.window(window)
    ticket = turn.ticket_at(window)
    if (ticket is None or ticket.state == "CALLED") and state.last_ticket is not None:
        return turn.state.tickets.get(state.last_ticket)
    served = ticket is not None and ticket.state == "SERVING" and not ticket.rated
    return ticket if served else None


def too_late(turn: Turn, window: str) -> None:
    """Timer: nobody rated in time; the visit stays without a rating."""
    if window in turn.lookup.windows:
        _done_with_last(turn, window)


def _done_with_last(turn: Turn, window: str) -> None:
    turn.window(window).last_ticket = None
    turn.drop_timer(f"{OPEN}/{window}")
    turn.touch_window(window)
