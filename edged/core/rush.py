"""In a rush, the tide is evaluated and texts are shown at a limited pace; the answer to a key press (lamp and panel)
never waits.

An evaluation costs more than most events. Up to ``AT_ONCE`` of them are made without a pause, which covers a hall of
2,000 visitors a day (five messages a second at its peak). Beyond that they are ``EVERY_MS`` apart, and one covers
everything that came in between; nobody sees a board change faster. What is postponed is part of the state and has a due
tick, so a replay evaluates at the same stamps.
"""

from __future__ import annotations

from edged.core.model.state import State
from edged.core.model.turn import Turn

EVERY_MS = 50  # between evaluations in a rush; people notice no delay up to 100 ms
AT_ONCE = 50  # evaluations without a limit
AHEAD_MS = AT_ONCE * EVERY_MS


def keep_pace(turn: Turn) -> None:
    """In a rush, postpone what this turn changed until the next evaluation is due. Once it is due, take everything
    postponed into this turn.

    Postponed are the tide and displays of areas and the texts of windows. Lamps that follow from the event have been
    commanded already, and the panels of changed windows are updated except for their counts.
    """
    state = turn.state
    if not (turn.dirty_areas or turn.dirty_windows or turn.ticking):
        return
    may_evaluate = turn.at_ms >= state.paced_ms - AHEAD_MS
    if not (may_evaluate or turn.ticking):
        turn.put_off = True
        for area in turn.dirty_areas:
            state.put_off.setdefault(area, turn.at_ms)
        for window in turn.dirty_windows:
            state.words_put_off.setdefault(window, turn.at_ms)
        turn.dirty_areas.clear()
        return
    if may_evaluate and (not turn.ticking or due_ms(state) is not None):
        state.paced_ms = max(state.paced_ms, turn.at_ms) + EVERY_MS
    for area in state.put_off:
        if area in turn.lookup.areas:
            turn.touch_postponed(area)
    turn.dirty_windows |= {name: None for name in state.words_put_off if name in turn.lookup.windows}
    state.put_off.clear()
    state.words_put_off.clear()


def due_ms(state: State) -> int | None:
    """The stamp at which the postponed evaluation of areas and texts of windows is due; None if nothing is
    postponed.
    """
    return state.paced_ms - AHEAD_MS if state.put_off or state.words_put_off else None
