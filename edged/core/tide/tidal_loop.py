"""The tidal loop (潮汐): evaluates an area's rule when something in it changed or its due time has come, and acts on
it.

One evaluation opens or gives back at most one window of an area (more under the rules "always" and "never"). Opening
comes before closing, and areas with the longest predicted wait come first. A window that is given back finishes its
visitor. Each act leaves a note with rule, inputs, threshold and choice.
"""

from __future__ import annotations

from edged.core.calendar import opening
from edged.core.model.turn import Turn
from edged.core.queue import sensors
from edged.core.queue.demand import area_load, commanded
from edged.core.tide import arbiter, peaks, sharing
from edged.core.tide.rules import CLOSING_SOON, DECIDE_MS, TOO_FEW, Evaluation, evaluate_area
from edged.core.windows.activation import forget_tries


def evaluate(turn: Turn) -> None:
    """Evaluate every changed area: open a window, give one back, or do nothing. Then set each area's ``due_ms``, the
    stamp of its next evaluation.
    """
    for area in list(turn.dirty_areas):
        sharing.take_back(turn, area)
    evaluations = {area: evaluate_area(turn, area) for area in turn.dirty_areas}
    for area, evaluation in evaluations.items():
        _remember(turn, area, evaluation)
    wanting = sorted(
        (area for area in evaluations if evaluations[area].ask), key=lambda area: -evaluations[area].urgency_s
    )
    granted = {area for area in wanting if _open(turn, area, evaluations[area])}
    for area, evaluation in evaluations.items():
        if area not in granted and evaluation.decided and evaluation.release is not None:
            arbiter.try_close(turn, area, evaluation)
        if evaluation.held is not None and area not in granted:
            arbiter.note_held(turn, area, evaluation.held, evaluation)
        turn.area(area).due_ms = _next_evaluation_ms(turn, area, evaluation)


def _remember(turn: Turn, area: str, evaluation: Evaluation) -> None:
    """Store since when the area has asked for one more window. If it no longer does, forget why windows were refused
    and who was asked in vain.
    """
    state = turn.area(area)
    if evaluation.ask is not None:
        if state.over_since_ms is None:
            state.over_since_ms = turn.at_ms
        return
    if not evaluation.decided:
        return
    if evaluation.release is not None or not evaluation.waiting:
        arbiter.uninvite(turn, area, evaluation)
    if evaluation.release is None and evaluation.held is None:
        state.held = None
    lit = any(turn.window(window).state == "ACTIVATING" for window in evaluation.commanded)
    if not lit:  # a lit window counts as serving, which must not end the request that lit it
        state.over_since_ms = None
        if state.refused not in (CLOSING_SOON, TOO_FEW):
            state.refused = None
        forget_tries(turn, area)


def _open(turn: Turn, area: str, evaluation: Evaluation) -> bool:
    ordered = arbiter.try_open(turn, area, evaluation)
    while ordered and evaluation.ask == "always" and arbiter.try_open(turn, area, evaluation):
        pass
    return ordered


def _next_evaluation_ms(turn: Turn, area: str, evaluation: Evaluation) -> int | None:
    """The earliest future stamp at which this area could open or close a "+1" window without anything else happening;
    None if there is no such time.
    """
    state = turn.area(area)
    tidal = turn.state.policy.tidal
    stamps: list[int] = []
    gives_back = evaluation.release is not None or (
        not evaluation.decided and state.under_since_ms is not None
    )
    if evaluation.watch and (opening.tide_runs(turn, area) or (gives_back and commanded(turn, area))):
        stamps.append((turn.at_ms // DECIDE_MS + 1) * DECIDE_MS)
    lit = tidal.rule == "band" and evaluation.decided and state.over_since_ms is not None
    wants = evaluation.ask is not None or lit
    if wants and state.refused not in arbiter.ASLEEP:
        stamps.append(
            arbiter.earliest_open_ms(turn, area) if state.refused is None else _retry_refused_ms(turn, area)
        )
        if state.escalated_ms is not None:
            stamps.append(state.escalated_ms + tidal.retry_s * 1000)
    if state.under_since_ms is not None and commanded(turn, area):
        stamps.append(arbiter.earliest_close_ms(turn, area))
    stamps += _limits_ms(turn, area)
    return min((stamp for stamp in stamps if stamp > turn.at_ms), default=None)


def _limits_ms(turn: Turn, area: str) -> list[int]:
    """Return the stamps at which a limit of the area is reached: somebody has waited too long, a device has been lost
    too long, a clerk may be asked again, a lent window goes back, or a known rush begins or ends.
    """
    tidal = turn.state.policy.tidal
    stamps = [turn.window(window).later_until_ms for window in turn.lookup.area_tidal[area]]
    queue = area_load(turn, area)
    if queue.oldest_ms is not None:
        limit_s = turn.band(area).open_oldest_wait_s if tidal.rule == "band" else tidal.triggers.oldest_wait_s
        stamps.append(queue.oldest_ms + limit_s * 1000)
        if queue.priority_ms is not None:
            stamps.append(queue.priority_ms + tidal.triggers.priority_wait_s * 1000)
    stamps += sensors.next_change_ms(turn, area) + sharing.next_change_ms(turn, area)
    if tidal.peaks and opening.tide_runs(turn, area):
        change_ms = peaks.next_change_ms(turn, area)
        stamps += [] if change_ms is None else [change_ms]
    return stamps


def _retry_refused_ms(turn: Turn, area: str) -> int:
    """The stamp of the next attempt after a refusal: within ``ACTION_GAP_MS``, because a window may be free by then."""
    planned_ms = turn.area(area).due_ms
    latest_ms = turn.at_ms + arbiter.ACTION_GAP_MS
    return planned_ms if planned_ms is not None and turn.at_ms < planned_ms < latest_ms else latest_ms
