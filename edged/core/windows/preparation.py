"""Calls in two steps: a clerk prepares the next visitor while still busy, sees who it is, and announces when ready.

``prepare`` reserves the next visitor for this window: they wait on at the same place and in every count, but no other
window calls them, and nobody is told. ``announce`` or ``next`` calls them. ``prepare back``, a window that stops
calling (pause, logout, drain, closed by hand) and the policy's ``prepare_s`` release them again.
"""

from __future__ import annotations

from edged.core.model.state import Prepared, Ticket
from edged.core.model.turn import Turn
from edged.core.queue.ordering import (
    WORKING,
    Choice,
    choice_of,
    choose,
    dequeue,
    enqueue,
    prepared_at,
    serving_services,
)

TIMER = "prepared"
BACK = "back"


def prepare(turn: Turn, window: str, arg: str | None) -> None:
    """Handle the "prepare" key: reserve the next visitor and show the number to the clerk only."""
    state = turn.window(window)
    limit_s = turn.state.policy.calling.prepare_s
    if not limit_s:
        turn.ignore(window, "key_not_used", key="prepare")
    elif arg == BACK:
        if not give_back(turn, window, "key"):
            turn.ignore(window, "nothing_prepared")
    elif state.state not in WORKING or turn.override("close", window) is not None:
        turn.ignore(window, "window_state", state=state.state, trigger="prepare")
    elif prepared_at(turn, window) is not None:
        turn.ignore(window, "prepared_already")
    elif (chosen := choose(turn, window)) is None:
        turn.ignore(window, "nobody_waiting")
    else:
        ticket = chosen.ticket
        claim(turn, window, ticket)
        state.prepared = Prepared(ticket.id, chosen.rule, ticket.only_window)
        _send(turn, ticket, window)
        turn.set_timer(f"{TIMER}/{window}", turn.at_ms + limit_s * 1000)
        turn.touch_window(window)
        turn.note("ticket.prepared", ticket.number, window=window, area=turn.lookup.area_of(ticket.service))


def take(turn: Turn, window: str) -> Choice | None:
    """Release the visitor that this window prepared, to be called now; None if there is none."""
    prepared, ticket = turn.window(window).prepared, prepared_at(turn, window)
    if prepared is None or ticket is None:
        return None
    _forget(turn, window, ticket)
    return choice_of(turn, window, ticket, prepared.rule)


def claim(turn: Turn, window: str, ticket: Ticket) -> None:
    """Take ``ticket``, which ``window`` calls, from any other window that had prepared it."""
    keeper = ticket.only_window
    if keeper not in (None, window) and keeper in turn.state.windows and prepared_at(turn, keeper) is ticket:
        give_back(turn, keeper, "called elsewhere")


def give_back(turn: Turn, window: str, reason: str) -> bool:
    """Release the prepared visitor, whom any window may call again; False if nobody was prepared."""
    ticket = prepared_at(turn, window)
    _forget(turn, window, ticket)
    if ticket is not None:
        turn.note("ticket.given_back", ticket.number, window=window, reason=reason)
    return ticket is not None


def too_long(turn: Turn, window: str) -> None:
    """Timer: a prepared visitor was not called in time and is released."""
    if window in turn.state.windows:
        give_back(turn, window, "time is up")


def settle(turn: Turn, window: str) -> None:
    """Release the prepared visitor if the window cannot call them any more."""
    state = turn.window(window)
    if state.prepared is None:
        return
    ticket = prepared_at(turn, window)
    calls = state.state in WORKING and turn.override("close", window) is None
    if ticket is None or not calls or ticket.service not in serving_services(turn, window):
        give_back(turn, window, "window does not call")


def prompt(turn: Turn, window: str) -> str | None:
    """The panel's line about the prepared visitor; None if there is none."""
    ticket = prepared_at(turn, window)
    return None if ticket is None else f"下一位：{ticket.number} Next"


def _forget(turn: Turn, window: str, ticket: Ticket | None) -> None:
    state = turn.window(window)
    if ticket is not None and state.prepared is not None:
        _send(turn, ticket, state.prepared.sent_to)
    state.prepared = None
    turn.drop_timer(f"{TIMER}/{window}")
    turn.touch_window(window)


def _send(turn: Turn, ticket: Ticket, only_window: str | None) -> None:
    dequeue(turn.state, ticket)
    ticket.only_window = only_window
    enqueue(turn.state, ticket)
    turn.touch_area(turn.lookup.area_of(ticket.service))
