"""In a rush the tide is judged and areas are signed at a pace; the window that an event is about never waits.

The busiest hall has 50 messages a second, and there every one of them has its look at once. Beyond that, looks are
``EVERY_MS`` apart, and one look stands for all that came meanwhile: nobody sees a board change more often, and a flood
costs much less. What is put off is part of the state and has a due tick, so replay judges at the same stamps.
"""

from __future__ import annotations

from edged.core.state import State
from edged.core.turn import Turn

EVERY_MS = 20  # between looks in a rush: what an area is late by at most
AT_ONCE = 50  # looks before the pace holds: a second of the busiest hall's
AHEAD_MS = AT_ONCE * EVERY_MS


def keep_pace(turn: Turn) -> None:
    """Leave the touched areas for the next look, or take back all that were left."""
    state = turn.state
    if not (turn.dirty_areas or turn.ticking):
        return
    if not turn.ticking and turn.at_ms < state.paced_ms - AHEAD_MS:
        for area in turn.dirty_areas:
            state.put_off.setdefault(area, turn.at_ms)
        turn.dirty_areas.clear()
        return
    if not turn.ticking or state.put_off:
        state.paced_ms = max(state.paced_ms, turn.at_ms) + EVERY_MS
    for area in state.put_off:
        if area in turn.lookup.areas:
            turn.look_again(area)
    state.put_off.clear()


def due_ms(state: State) -> int | None:
    """When the areas that were put off have their look; None if none were."""
    return state.paced_ms - AHEAD_MS if state.put_off else None
