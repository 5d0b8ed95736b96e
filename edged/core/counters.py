"""People counters: how many came in, how many are present."""

from __future__ import annotations

from edged.core.events import CountRead
from edged.core.turn import Turn


def read(turn: Turn, event: CountRead) -> None:
    """Take over a report."""
    turn.state.counts[event.point] = event.occupancy if event.occupancy is not None else event.entered
    if event.occupancy is not None:
        turn.state.present[event.point] = event.occupancy
        if turn.state.policy.tidal.triggers.people_above:
            for area in turn.lookup.areas:
                turn.touch_area(area)
    turn.note(
        "people.counted",
        event.point,
        semantics=event.semantics,
        entered=event.entered,
        left=event.left,
        occupancy=event.occupancy,
    )
