"""Skips ticket numbers and ids that may already be on paper, after the journal lost its last steps or was replaced by
an older copy.

Ticket numbers, action and case ids continue after everything that may have been given; the daemon raises the alarm. If
another record knows today's last numbers, numbering continues after them. Otherwise each service skips as many as may
have been given since the older copy, or one for every missing step, up to ``SKIP_MAX``.
"""

from __future__ import annotations

from edged.core.model.events import JournalRenewed
from edged.core.model.turn import Turn

SKIP_MAX = 400  # numbers skipped for one service: more than half of its 999 remain for the day
IDS_PER_STEP = 20  # actions of one step: usually a few
SLACK = 1_000  # skipping ids costs nothing


def skip(turn: Turn, event: JournalRenewed) -> None:
    """Move numbers and ids past everything that may have been given in the missing steps."""
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
