"""In a rush the tide is judged and words are shown at a pace; what a key is answered with never waits: lamp and panel.

A look costs more than most events. So ``AT_ONCE`` of them are taken at once, as all are in a hall of 2,000 visitors a
day (five messages a second when most come); beyond that, looks are ``EVERY_MS`` apart, and one stands for all that came
meanwhile: nobody sees a board change more often. What is put off is part of the state and has a due tick, so replay
judges at the same stamps.
"""

from __future__ import annotations

from edged.core.model.state import State
from edged.core.model.turn import Turn

EVERY_MS = 50  # between looks in a rush: what an area is late by at most; half of what people call at once
AT_ONCE = 50  # looks before the pace holds
AHEAD_MS = AT_ONCE * EVERY_MS


def keep_pace(turn: Turn) -> None:
    """Put off what was touched until the next look, or take back everything that was put off.

    What is put off: tide and signs of areas, the words of windows. Lamps that follow from the event have left by now,
    and the panel of a touched window gets all but new counts.
    """
    state = turn.state
    if not (turn.dirty_areas or turn.dirty_windows or turn.ticking):
        return
    has_look = turn.at_ms >= state.paced_ms - AHEAD_MS
    if not (has_look or turn.ticking):
        turn.put_off = True
        for area in turn.dirty_areas:
            state.put_off.setdefault(area, turn.at_ms)
        for window in turn.dirty_windows:
            state.words_put_off.setdefault(window, turn.at_ms)
        turn.dirty_areas.clear()
        return
    if has_look and (not turn.ticking or due_ms(state) is not None):
        state.paced_ms = max(state.paced_ms, turn.at_ms) + EVERY_MS
    for area in state.put_off:
        if area in turn.lookup.areas:
            turn.look_again(area)
    turn.dirty_windows |= {name: None for name in state.words_put_off if name in turn.lookup.windows}
    state.put_off.clear()
    state.words_put_off.clear()


def due_ms(state: State) -> int | None:
    """When the areas and windows that were put off are looked at; None if there are none."""
    return state.paced_ms - AHEAD_MS if state.put_off or state.words_put_off else None
