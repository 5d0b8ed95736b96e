"""Promises (容缺受理): papers that a visitor still has to bring by the end of a working day; an alarm if they are late.

A promise goes on after its visit. It is named by the date and the number on its slip, and ends when a clerk or the duty
manager reports that the papers came ("promise-kept").
"""

from __future__ import annotations

from edged.core.calendar import wall
from edged.core.cases.case_book import working_days_after
from edged.core.model.commands import Page
from edged.core.model.state import Promise, Ticket
from edged.core.model.turn import Turn
from edged.core.people import alarms, staffing
from edged.core.visits import slips

KEPT = 1000  # open promises; beyond that the oldest is ended
DUE = "promise"  # timer
OVERDUE = "promise-overdue"


def made(turn: Turn, ticket: Ticket, service: str, window: str, papers: tuple[str, ...]) -> None:
    """Record a visitor's promise (容缺) to bring ``papers`` later, and print a slip with them and the last day."""
    local, promises = wall.local_ms(turn), turn.state.promises
    day = "" if local is None else wall.iso_date(wall.day(local)).replace("-", "")
    name = f"{day or 'p'}-{ticket.number}"
    if name in promises:
        name = f"{name}-{ticket.id}"
    promise = Promise(ticket.number, service, window, list(papers))
    promises[name] = promise
    if len(promises) > KEPT:
        end(turn, next(iter(promises)), "too_many")
    plan(turn, name, promise)
    due = None if promise.due_day is None else wall.iso_date(promise.due_day)
    turn.note("promise.made", name, ticket=ticket.number, window=window, papers=",".join(papers), due=due)
    slips.promised(turn, ticket, window, name, promise)


def plan(turn: Turn, name: str, promise: Promise) -> None:
    """Set the last day of a promise, unless it has one, and the timer for it. No-op while the date is unknown."""
    local = wall.local_ms(turn)
    if local is None:
        return
    if promise.due_day is None:
        promise.due_day = working_days_after(turn, wall.day(local), turn.state.policy.visits.promise_days)
    at_ms = wall.stamp_ms(
        turn, promise.due_day * wall.DAY_MS + turn.state.policy.cases.due_min * wall.MINUTE_MS
    )
    if at_ms is not None and not promise.overdue:
        turn.set_timer(f"{DUE}/{name}", at_ms)


def set_last_days(turn: Turn) -> None:
    """Set the last day of promises made while the date was unknown."""
    for name, promise in turn.state.promises.items():
        if promise.due_day is None:
            plan(turn, name, promise)


def overdue(turn: Turn, name: str) -> None:
    """Timer: the last day of a promise is over. Raise an alarm and page the duty manager."""
    promise = turn.state.promises.get(name)
    if promise is None or promise.overdue:
        return
    promise.overdue = True
    zh, en = slips.papers_by_name(turn, tuple(promise.papers))
    turn.note("promise.overdue", name, ticket=promise.number, window=promise.window)
    alarms.sound(turn, OVERDUE, name, window=promise.window)
    text = f"容缺承诺{name}到期未补交：{zh}"
    staffing.send(turn, Page(staffing.DUTY_MANAGER, None, None, text, f"Promise {name} is overdue: {en}"))


def press(turn: Turn, subject: str, arg: str | None, window: str | None) -> None:
    """Handle the "promise-kept" key: the papers came. ``arg``: the name on the slip, or the ticket number."""
    found = [
        name
        for name, promise in turn.state.promises.items()
        if arg is not None and arg in (name, promise.number)
    ]
    if not found:
        turn.ignore(subject, "unknown_promise", promise=arg)
        if window is not None:
            staffing.hint(turn, window, f"没有此容缺承诺：{arg or ''} No such promise")
        return
    end(turn, found[-1], "papers")
    if window is not None:
        staffing.hint(turn, window, f"容缺承诺{found[-1]}已补交 Promise kept")


def end(turn: Turn, name: str, why: str) -> None:
    """End a promise. ``why``: "papers" if they came, "too_many" if it was the oldest of too many."""
    promise = turn.state.promises.pop(name)
    turn.drop_timer(f"{DUE}/{name}")
    alarms.clear(turn, OVERDUE, name)
    turn.note("promise.kept", name, ticket=promise.number, reason=why, late=int(promise.overdue))
