"""How a stage of a visit ends at a window: served, told once which papers are missing, accepted with a promise, passed
on.

``served`` and ``promise`` (容缺受理) end the stage; a visit with more stages (一件事一次办) waits for the next one
under the same number and at its own place. After ``told-once`` (一次性告知) the visitor may come back with the same
number (二次通行). The finish key names the outcome: ``told-once/id-copy,photo``, ``promise/contract``,
``transferred/w4``; without one it is served.
"""

from __future__ import annotations

from edged.core.model.forecast import learn
from edged.core.model.state import Stop, Ticket
from edged.core.model.turn import Turn
from edged.core.people import helps, staffing
from edged.core.queue.tickets import move
from edged.core.visits import promises, slips
from edged.core.windows.machine import arrive, free

OUTCOMES = ("served", "told-once", "promise")
TRAIL_KEPT = 16  # stages stored of one visit; beyond that the second oldest is dropped
PAPERS_MAX = 8  # codes in one argument
CODE_MAX_CHARS = 32  # as every id of the hall
_CODE_CHARS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def papers_of(text: str) -> tuple[str, ...] | None:
    """Parse codes of papers separated by commas; None if the text is not such a list."""
    codes = tuple(text.split(",")) if text else ()
    return codes if len(codes) <= PAPERS_MAX and all(map(_is_code, codes)) else None


def _is_code(text: str) -> bool:
    return 0 < len(text) <= CODE_MAX_CHARS and _CODE_CHARS.issuperset(text) and text[0] != "-"


def finish(
    turn: Turn, window: str, inferred: bool, outcome: str = "served", papers: tuple[str, ...] = ()
) -> None:
    """End the stage of the visitor at the window. If no arrival was confirmed, they arrived when they were called."""
    ticket = turn.ticket_at(window)
    if ticket is None:
        turn.ignore(window, "nobody_served")
        return
    if ticket.state == "CALLED":
        arrive(turn, window, inferred=True)
        ticket.serving_ms = ticket.called_ms
    helps.end(turn, window, "unsolved" if outcome == "told-once" else "solved")
    service, returns = ticket.service, _returns(turn, ticket, outcome)
    follows = None if outcome == "told-once" else _next_stage(turn, ticket)
    trigger = "told-once" if returns else "finish" if follows is None else "transfer"
    ticket.service, ticket.only_window = follows or service, None
    if not move(turn, ticket, trigger):
        ticket.service = service
        return
    turn.state.served_today += 1
    turn.touch_area(turn.lookup.area_of(service))
    _learn(turn, ticket, service)
    add_stop(turn, ticket, service, outcome)
    data = {"papers": ",".join(papers)} if papers else {}
    _note_finished(turn, ticket, service, inferred=int(inferred), outcome=outcome, **data)
    until_ms = turn.at_ms + turn.state.policy.visits.return_within_s * 1000 if returns else None
    if until_ms is not None:
        turn.set_timer(f"return/{ticket.id}", until_ms)
    if follows is not None:
        turn.note("ticket.transferred", ticket.number, window=window, target=follows, reason="next_stage")
    free(turn, window)
    if outcome == "told-once":
        slips.told_once(turn, ticket, window, papers, until_ms)
    elif outcome == "promise":
        promises.made(turn, ticket, service, window, papers)
    if follows is not None:
        slips.next_stage(turn, ticket, window)


def presume_gone(turn: Turn, window: str) -> None:
    """Timer: end the visit at a draining window as served, because it has lasted far too long and no end was reported.
    Its length is not learnt.
    """
    ticket = turn.ticket_at(window)
    if ticket is not None and move(turn, ticket, "finish"):
        turn.state.served_today += 1
        add_stop(turn, ticket, ticket.service, "served")
        _note_finished(turn, ticket, ticket.service, inferred=1, outcome="served")
        free(turn, window)


def _note_finished(turn: Turn, ticket: Ticket, service: str, **data: str | int) -> None:
    if len(ticket.trail) > 1:
        data |= {
            "first_window": ticket.first_window or "",
            "trail": ">".join(stop.window for stop in ticket.trail),
        }
    turn.note(
        "ticket.finished",
        ticket.number,
        window=ticket.window,
        area=turn.lookup.area_of(service),
        service=service,
        service_s=turn.seconds_since(ticket.serving_ms if ticket.serving_ms is not None else turn.at_ms),
        **data,
    )


def add_stop(turn: Turn, ticket: Ticket, service: str, outcome: str) -> None:
    """Append a finished stage to the trail of a visit; beyond ``TRAIL_KEPT`` the second oldest is dropped."""
    ticket.trail.append(Stop(ticket.window or "", service, outcome, turn.at_ms))
    if len(ticket.trail) > TRAIL_KEPT:
        del ticket.trail[1]


def _returns(turn: Turn, ticket: Ticket, outcome: str) -> bool:
    return outcome == "told-once" and bool(turn.state.policy.visits.return_within_s) and not ticket.direct


def _next_stage(turn: Turn, ticket: Ticket) -> str | None:
    """Remove the next service of the journey from the ticket and return it, skipping those that the hall no longer has;
    None at the end.
    """
    while ticket.stages:
        service = ticket.stages.pop(0)
        if service in turn.lookup.services:
            return service
    return None


def _learn(turn: Turn, ticket: Ticket, service: str) -> None:
    area = turn.lookup.area_of(service)
    pw = turn.pw(area)
    prior_s = float(turn.lookup.services[service].mean_s)
    service_s = 0.0 if ticket.serving_ms is None else turn.seconds_since(ticket.serving_ms)
    if ticket.window is not None:  # the time that one clerk alone would have needed
        service_s *= staffing.pace(turn, turn.window(ticket.window))
    if pw.outlier_means:
        service_s = min(service_s, pw.outlier_means * prior_s)
    learn(turn.area(area).learnt, service, service_s, prior_s, pw.decay_ppm / 1_000_000)
