"""A journal that lost its end, or is an older copy: what may be on somebody's paper is not given again.

Ticket numbers, action and case ids go on behind what can have been given; the alarm that names it is the daemon's.
Where a witness knew the last numbers of today, numbering goes on right behind them; else each service skips as many as
can have been given since an older copy, or one for every step that is missing, up to a bound.
"""

from __future__ import annotations

from edged.core.model.events import JournalRenewed
from edged.core.model.turn import Turn

SKIP_MAX = 400  # numbers of a service that are skipped unseen: more than half of its 999 are left for the day
IDS_PER_STEP = 20  # actions of one step: a few, but for a hall that is shown anew
SLACK = 1_000  # ids cost nothing


def skip(turn: Turn, event: JournalRenewed) -> None:
    """Move numbers and ids behind everything that can have been given before the journal was lost or copied."""
    state = turn.state
    state.next_ticket += event.lost + SLACK
    state.next_action += IDS_PER_STEP * event.lost + SLACK
    state.next_case += min(event.lost, SKIP_MAX)
    known = dict(event.numbers) if event.day and event.day == state.day else {}
    skips = dict(event.skips)
    for service in turn.lookup.services:
        last = state.last_number.get(service, 0)
        if known and (service in known or service not in skips):
            state.last_number[service] = max(last, known.get(service, 0))
        elif service in skips:
            state.last_number[service] = last + min(skips[service], SKIP_MAX)
        elif event.lost:
            state.last_number[service] = last + min(event.lost, SKIP_MAX)
    turn.note("journal.renewed", turn.lookup.site.hall, epoch=event.epoch, lost=event.lost)
    for area in turn.lookup.areas:
        turn.touch_area(area)
