"""The rules: each turns an area's figures into an ``Evaluation``, which may ask for one more window or release one. The
arbiter decides on it.

Rule ``pw`` decides at stamps that are multiples of ``DECIDE_MS`` (as due ticks, before other events of the same stamp),
rule ``band`` at every event. Triggers ask for reasons that a rule does not see. An ``Evaluation`` with ``decided``
False changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from typing import NamedTuple

from edged.core.calendar import opening
from edged.core.model import forecast
from edged.core.model.forecast import Load
from edged.core.model.policy import Pw
from edged.core.model.turn import Turn
from edged.core.people import staffing
from edged.core.queue import demand, sensors
from edged.core.tide import peaks, triggers
from edged.core.windows import overrides, wishes

DECIDE_MS = 30_000  # measured: longer makes waits longer (5 min: 8 %), shorter gains nothing
LOOK_AHEAD_S = 480.0  # least horizon of the forecast
CALM_MIN = 10.0  # a window is kept if the next 10 min bring work for it
CALM_PER_MIN = 0.02  # … more readily the longer it takes to staff one again
GUARD_S = 600.0  # no opening in the last 10 min, unless the wait is twice as long
CLOSING_SOON = "closing_soon"  # why the rule does not ask although the predicted wait is long
TOO_FEW = "too_few_waiting"
OVERRIDE = "override"  # asks for one window regardless of pool and limits
Facts = Mapping[str, str | int | float | None]


class Evaluation(NamedTuple):
    """The result of evaluating an area. ``ask``: the rule or trigger that wants one more window; ``release``: why one
    fewer is enough; None: neither. ``commanded``: the tidal windows that serve the area or are asked to.

    ``urgency_s``: areas with the greatest are served first; usually the predicted wait. ``facts``, ``closing`` and
    ``why`` are functions, called only if a note is written.
    """

    waiting: int
    oldest_wait_s: float
    commanded: tuple[str, ...]
    decided: bool = True
    ask: str | None = None
    release: str | None = None
    urgency_s: float = 0.0
    facts: Callable[[], Facts] = dict  # default: returns {}
    why: Callable[[], str] = str  # default: returns ""
    closing: Callable[[], Facts] = dict  # inputs and thresholds for giving a window back
    held: str | None = None  # why a window that could be spared is kept
    watch: bool = False  # evaluate again at the next decision, even without an event


def evaluate_area(turn: Turn, area: str) -> Evaluation:
    """Evaluate one area: the policy's rule, then the triggers. If a person ordered a window open, the result asks for
    that one and releases none.
    """
    if area in turn.lookup.case_areas:  # cases (办不成事) never ask for a window
        return Evaluation(turn.area(area).waiting, 0.0, (), decided=False)
    evaluation = _by_rule(turn, area)
    ordered = overrides.wanted(turn, area) if turn.state.overrides else ()
    if not ordered:
        return evaluation
    why = f"{ordered[0]} forced open"
    return evaluation._replace(
        decided=True, ask=OVERRIDE, release=None, urgency_s=inf, facts=dict, why=lambda: why
    )


def _by_rule(turn: Turn, area: str) -> Evaluation:
    now = demand.area_load(turn, area)
    oldest_s = 0.0 if now.oldest_ms is None else turn.seconds_since(now.oldest_ms)
    evaluation = Evaluation(turn.area(area).waiting, oldest_s, now.commanded)
    rule = turn.state.policy.tidal.rule
    stale = sensors.judge(turn, area)
    if stale is not None and rule in ("pw", "pwf", "band"):
        if stale == "schedule" and turn.state.policy.tidal.peaks:
            return _schedule(turn, area, evaluation)
        return evaluation._replace(decided=False)
    return _RULES[rule](turn, area, evaluation)


def _band(turn: Turn, area: str, evaluation: Evaluation) -> Evaluation:
    """Rule "band" (hysteresis): ask for a window while the number waiting or the longest wait is above its limit,
    release one while at most a smaller number wait. The arbiter acts once that has lasted some time, counted from the
    first evaluation that finds it.
    """
    state, band = turn.area(area), turn.band(area)
    threshold = band.open_above + band.open_step * len(evaluation.commanded)
    ask = None
    facts: Facts = {"threshold": threshold}
    if evaluation.waiting > threshold:
        ask = "queue"
    elif evaluation.oldest_wait_s >= band.open_oldest_wait_s:
        ask = "oldest-wait"
        facts = {"threshold": band.open_oldest_wait_s, "measured": round(evaluation.oldest_wait_s)}
    if ask is not None or evaluation.waiting > band.close_at:
        state.under_since_ms = None
    elif state.under_since_ms is None:
        state.under_since_ms = turn.at_ms
    result = evaluation._replace(
        ask=ask,
        release=None
        if state.under_since_ms is None
        else f"{evaluation.waiting} waiting, limit {band.close_at}",
        urgency_s=evaluation.waiting * 60.0,
        facts=lambda: facts,
        closing=lambda: {
            "close_at": band.close_at,
            "close_sustain_s": band.close_sustain_s,
            "min_open_s": band.min_open_s,
        },
        why=lambda: (
            f"{evaluation.waiting} waiting, limit {threshold}, oldest {int(evaluation.oldest_wait_s)} s"
        ),
    )
    return result if ask is not None else _asked(turn, area, result, None)


def _asked(turn: Turn, area: str, evaluation: Evaluation, load: Load | None) -> Evaluation:
    """``evaluation``, changed to ask for a window if a trigger asks for one."""
    asked = triggers.asks(turn, area, evaluation.oldest_wait_s, load)
    if asked is None:
        return evaluation
    return evaluation._replace(
        decided=True,
        ask=asked.name,
        release=None,
        urgency_s=max(evaluation.urgency_s, asked.urgency_s),
        facts=lambda: {**evaluation.facts(), "threshold": asked.threshold, "measured": asked.measured},
        why=lambda: f"{evaluation.waiting} waiting, {asked.name} {asked.measured:g}, limit {asked.threshold}",
    )


def _pw(turn: Turn, area: str, evaluation: Evaluation) -> Evaluation:
    """Rules "pw" and "pwf": ask for a window if somebody who comes now would wait too long, and release one if the wait
    stays short without it. While no window serves, no wait is predicted and only triggers ask.
    """
    pw, load = turn.pw(area), demand.load_of(turn, area)
    if load.windows <= len(load.opening):
        turn.area(area).under_since_ms = None
        return (
            _asked(turn, area, evaluation, None)
            if not evaluation.commanded
            else _lonely(turn, area, evaluation)
        )
    if not _decides(turn, area):
        watch = _watches(evaluation, load, pw)
        held = Evaluation(
            evaluation.waiting, evaluation.oldest_wait_s, evaluation.commanded, decided=False, watch=watch
        )
        return _asked(turn, area, held, load)
    setup_s = staffing.setup_s(turn, pw)
    now, load = load, load.staying(setup_s)  # without clerks who leave before another could be there
    if turn.state.policy.tidal.rule == "pwf":
        plain = demand.plain_stream(turn, area, now)
        wait_s = forecast.look_ahead_wait_s(load, turn.area(area).learnt, turn.at_ms, plain, setup_s)
        result = _opening(turn, area, evaluation, load, (wait_s, None))
        return _closing(turn, area, result, load, kept=False)
    stream = _stream(turn, area, now) if pw.forecast and opening.tide_runs(turn, area) else None
    wait_s, expected = forecast.newcomer_wait_s(load, load.windows), None
    if stream is not None:
        horizon_s = max(LOOK_AHEAD_S, setup_s)
        expected = stream.expected(horizon_s / 60)
        ahead = forecast.projected(load, expected, horizon_s)
        wait_s = forecast.newcomer_wait_s(load, load.windows, ahead)
    result = _opening(turn, area, evaluation, load, (wait_s, expected))
    kept = False
    if stream is not None and evaluation.commanded:
        calm = (1 - CALM_PER_MIN * setup_s / 60) * (load.windows - 1) * CALM_MIN
        kept = stream.expected(CALM_MIN) * load.mean_s / 60 > calm
    return _closing(turn, area, result, load, kept)


def _lonely(turn: Turn, area: str, evaluation: Evaluation) -> Evaluation:
    """Return the evaluation of an area whose "+1" windows are all only lit or paused, and no other serves, so that no
    wait can be predicted. A window may be given back if nobody waits.
    """
    nobody = evaluation.waiting == 0
    release = "nobody waiting" if nobody else None
    if nobody and turn.area(area).under_since_ms is None:
        turn.area(area).under_since_ms = turn.at_ms
    lonely = Evaluation(
        evaluation.waiting, evaluation.oldest_wait_s, evaluation.commanded, release=release, watch=nobody
    )
    return _asked(turn, area, lonely, None)


def _decides(turn: Turn, area: str) -> bool:
    """Whether the rule decides at this stamp: every 30 s on a fixed grid, and at once after somebody was asked in
    vain.
    """
    state = turn.area(area)
    if state.tried_staff or state.tried_windows:
        return True
    if not turn.ticking or turn.at_ms % DECIDE_MS or state.looked_ms == turn.at_ms:
        return False
    state.looked_ms = turn.at_ms
    return True


def _watches(evaluation: Evaluation, load: Load, pw: Pw) -> bool:
    return bool(evaluation.commanded) or load.present > 0 or (pw.forecast and evaluation.waiting > 0)


def _stream(turn: Turn, area: str, load: Load) -> forecast.Stream:
    plain = demand.plain_stream(turn, area, load)
    return forecast.stream_of(turn.area(area).learnt, turn.at_ms, plain)


def _opening(
    turn: Turn, area: str, evaluation: Evaluation, load: Load, predicted: tuple[float, float | None]
) -> Evaluation:
    """Return the evaluation, with ``ask`` set if the predicted wait or a trigger wants one more window.

    ``predicted``: the wait in seconds, and the expected arrivals (None: no forecast).
    """
    pw, (wait_s, expected) = turn.pw(area), predicted
    long = wait_s >= pw.open_wait_s
    wants = long and evaluation.waiting >= pw.min_waiting
    guarded = wants and too_late(turn, area)
    result = evaluation._replace(
        ask="predicted-wait" if wants and not guarded else None,
        urgency_s=wait_s,
        facts=partial(_opening_facts, load, pw, wait_s, expected),
        why=lambda: (
            f"predicted wait {round(wait_s)} s, limit {pw.open_wait_s} s, {evaluation.waiting} waiting"
        ),
        watch=wants or bool(evaluation.commanded) or (pw.forecast and load.present > 0),
    )
    if guarded:
        closes_in_s = opening.closes_in_s(turn, area)
        triggers.not_asked(
            turn, area, CLOSING_SOON, evaluation.waiting, {**result.facts(), "closes_in_s": closes_in_s}
        )
    elif long and evaluation.waiting and not wants:
        triggers.not_asked(
            turn, area, TOO_FEW, evaluation.waiting, {**result.facts(), "min_waiting": pw.min_waiting}
        )
    elif not long and turn.area(area).refused == TOO_FEW:
        turn.area(area).refused = None
    return result if result.ask is not None else _asked(turn, area, result, load)


def _opening_facts(load: Load, pw: Pw, wait_s: float, expected: float | None) -> Facts:
    facts: dict[str, str | int | float | None] = {
        "predicted_wait_s": round(wait_s),
        "limit_s": pw.open_wait_s,
        "with_one_more_s": round(forecast.newcomer_wait_s(load, load.windows + 1)),
        "windows": round(load.windows, 2),
        "busy": round(load.busy, 2),
        "mean_service_s": round(load.mean_s),
    }
    if expected is not None:
        facts["expected_arrivals"] = round(expected, 1)
    return facts


def too_late(turn: Turn, area: str) -> bool:
    """Whether the area closes within ``GUARD_S``, too soon for one more window to help. False if the predicted wait is
    twice that long, or the policy's ``guard`` is off.
    """
    closes_in_s, load = opening.closes_in_s(turn, area), demand.load_of(turn, area)
    now_s = forecast.newcomer_wait_s(load, load.windows)
    return turn.pw(area).guard and closes_in_s is not None and closes_in_s < GUARD_S and now_s < 2 * GUARD_S


def _closing(turn: Turn, area: str, result: Evaluation, load: Load, kept: bool) -> Evaluation:
    """Return ``result``, with ``release`` set if one window fewer is enough. The stamp at which that was first found is
    stored, because it must last for some time. ``kept``: keep the window, because more visitors are expected.
    """
    state, pw = turn.area(area), turn.pw(area)
    if result.commanded and turn.state.wishes and wishes.open_wish(turn, area) is not None:
        state.under_since_ms = None
        return result  # a person wishes for a window: none is given back
    fewer_s = forecast.newcomer_wait_s(load, load.windows - 1) if result.commanded else inf
    spare = fewer_s <= pw.close_wait_s
    if not spare or kept:
        state.under_since_ms = None
        if not spare:
            return result
        return result._replace(held="more_expected", closing=partial(_closing_facts, fewer_s, pw))
    if state.under_since_ms is None:
        state.under_since_ms = turn.at_ms
    why = f"predicted wait with one fewer {round(fewer_s)} s, limit {pw.close_wait_s} s"
    return result._replace(release=why, closing=partial(_closing_facts, fewer_s, pw))


def _closing_facts(fewer_s: float, pw: Pw) -> Facts:
    return {
        "with_one_fewer_s": round(fewer_s),
        "close_limit_s": pw.close_wait_s,
        "min_open_s": pw.min_open_s,
        "hold_s": pw.hold_s,
    }


def _schedule(turn: Turn, area: str, evaluation: Evaluation) -> Evaluation:
    """Rule "schedule": ask for as many windows as the policy's known rushes (``peaks``) call for, and release the
    others; triggers may ask for one more.
    """
    wanted, state = peaks.wanted(turn, area), turn.area(area)
    if len(evaluation.commanded) <= wanted:
        state.under_since_ms = None
    elif state.under_since_ms is None:
        state.under_since_ms = turn.at_ms
    result = evaluation._replace(
        ask="schedule" if len(evaluation.commanded) < wanted else None,
        release=f"calendar asks for {wanted}" if len(evaluation.commanded) > wanted else None,
        facts=lambda: {"threshold": wanted},
        watch=len(evaluation.commanded) > wanted,
        why=lambda: f"calendar asks for {wanted}, {len(evaluation.commanded)} open",
    )
    return result if result.ask is not None else _asked(turn, area, result, None)


def _always(turn: Turn, area: str, evaluation: Evaluation) -> Evaluation:
    """Rule "always": ask for every window, and release none; for comparison in backtests."""
    rest = [w for w in turn.lookup.area_tidal[area] if turn.window(w).state in ("STANDBY", "CONSULTING")]
    return evaluation._replace(ask="always" if rest else None, urgency_s=inf, why=lambda: "rule always")


def _never(turn: Turn, area: str, evaluation: Evaluation) -> Evaluation:
    """Rule "never": no "+1" windows; open ones are given back."""
    return evaluation._replace(release="rule never")


_RULES: Mapping[str, Callable[[Turn, str, Evaluation], Evaluation]] = {
    "pw": _pw,
    "pwf": _pw,
    "band": _band,
    "schedule": _schedule,
    "always": _always,
    "never": _never,
}
