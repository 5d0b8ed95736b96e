"""What a quiet area gives to a busy one when no window or member of staff is free, and what protects the quiet one.

Early release: a quiet area gives a "+1" window back before its own rule would. Lending: a regular window that can serve
both areas calls the busy area's visitors first for some time. The quiet area keeps a number of windows, is asked a
limited number of times per hour, and gets its window back as soon as its own predicted wait grows.
"""

from __future__ import annotations

from edged.core.model import forecast
from edged.core.model.turn import Turn
from edged.core.people import staffing
from edged.core.queue import demand
from edged.core.queue.ordering import STAFFED, WORKING
from edged.core.tide import considered
from edged.core.windows import overrides
from edged.core.windows.activation import drain

HOUR_MS = 3_600_000
RELIEF_GAP_MS = 30_000  # triggers ask at every event, but what others can spare changes slowly


def relieve(turn: Turn, asker: str, wait_s: float, any_window: bool) -> None:
    """Let another area give a "+1" window back early, or else lend a regular window, to help ``asker``, whose predicted
    wait is ``wait_s`` seconds. No-op under other rules than "pw" and "pwf", and within ``RELIEF_GAP_MS`` of the last
    search.

    ``any_window``: ``asker`` has an idle window and only lacks staff or a place in the pool, so a window that cannot
    serve it helps too.
    """
    state = turn.area(asker)
    if turn.state.policy.tidal.rule not in ("pw", "pwf"):
        return
    if state.relieved_ms is not None and turn.at_ms < state.relieved_ms + RELIEF_GAP_MS:
        return
    if _on_its_way(turn, asker, any_window):
        return
    state.relieved_ms = turn.at_ms
    if not _release_early(turn, asker, wait_s, any_window):
        _lend(turn, asker, wait_s)


def _on_its_way(turn: Turn, asker: str, any_window: bool) -> bool:
    states = turn.state.windows
    names = turn.lookup.tidal if any_window else turn.lookup.area_tidal[asker]
    return any(states[window].state in ("DRAINING", "COOLDOWN") for window in names)


def spare_wait_s(turn: Turn, area: str, share: float = 1.0) -> float:
    """The predicted wait in seconds in ``area`` without one of its windows, or without the part ``share`` (0 to 1) of a
    window that also serves other areas.
    """
    load = demand.load_of(turn, area)
    return forecast.newcomer_wait_s(load, load.windows - share)


def _release_early(turn: Turn, asker: str, wait_s: float, any_window: bool) -> bool:
    limits = turn.state.policy.tidal.arbiter
    offers: list[tuple[float, int, str, list[str]]] = []
    for number, donor in enumerate(turn.lookup.areas):
        ordered = demand.commanded(turn, donor)
        if not ordered:  # most of a hundred areas have nothing to give, and this runs for each that asks
            continue
        state = turn.area(donor)
        staffed = [w for w in ordered if turn.window(w).state in STAFFED]
        windows = [w for w in staffed if not overrides.keeps_open(turn, w)]
        if not any_window:
            windows = [w for w in windows if asker in turn.lookup.window_areas[w]]
        if donor == asker or not windows or not limits.early_release or state.stale is not None:
            continue
        state.released_ms = [stamp for stamp in state.released_ms if stamp > turn.at_ms - HOUR_MS]
        open_s = 0.0 if state.last_request_ms is None else turn.seconds_since(state.last_request_ms)
        spare_s = spare_wait_s(turn, donor)
        if (
            open_s >= limits.release_after_s
            and len(state.released_ms) < limits.releases_per_hour
            and spare_s <= limits.release_percent / 100 * turn.pw(donor).open_wait_s
            and spare_s < wait_s
        ):
            offers.append((spare_s, number, donor, windows))
    if not offers:
        return False
    spare_s, _, donor, windows = min(offers)
    state = turn.area(donor)
    state.released_ms.append(turn.at_ms)
    state.under_since_ms = state.last_action_ms = turn.at_ms
    window = min(windows, key=lambda w: (turn.window(w).ticket is not None, turn.window(w).opened_ms or 0))
    drain(
        turn,
        window,
        f"early release for {asker}: predicted wait {round(wait_s)} s there, {round(spare_s)} s here",
        rule="release",
        asker=asker,
        predicted_wait_s=round(wait_s),
        with_one_fewer_s=round(spare_s),
        release_limit_s=round(limits.release_percent / 100 * turn.pw(donor).open_wait_s),
        candidates=considered.releases(turn, donor, window),
        donors=" ".join(f"{other}={round(other_s)}" for other_s, _, other, _ in sorted(offers)),
    )
    return True


def _lend(turn: Turn, asker: str, wait_s: float) -> None:
    limits = turn.state.policy.tidal.arbiter
    names = turn.lookup.area_windows[asker]
    if any(turn.window(window).lent_to == asker for window in names):
        return
    ready: dict[str, bool] = {}  # donor -> whether it may lend one more, computed once
    for window in names:
        state = turn.window(window)
        if turn.lookup.windows[window].tidal or state.state not in WORKING or state.lent_to:
            continue
        donors = [area for area in turn.lookup.window_areas[window] if area != asker]
        for donor in donors:
            if donor not in ready:
                ready[donor] = _may_lend(turn, donor)
        if not donors or not all(map(ready.__getitem__, donors)):
            continue
        if overrides.keeps_open(turn, window) or turn.override("close", window) is not None:
            continue
        if all(_can_spare(turn, donor, window, wait_s) for donor in donors):
            state.lent_to, state.lent_until_ms = asker, turn.at_ms + limits.lend_s * 1000
            turn.touch_window(window)
            turn.note(
                "window.lent", window, area=asker, predicted_wait_s=round(wait_s), donors=",".join(donors)
            )
            return


def _may_lend(turn: Turn, donor: str) -> bool:
    limits = turn.state.policy.tidal.arbiter
    windows = [turn.window(w) for w in turn.lookup.area_windows[donor]]
    lent = sum(1 for state in windows if state.lent_to not in (None, donor))
    keeps = sum(1 for state in windows if state.state in WORKING and state.lent_to in (None, donor)) - 1
    return lent < limits.lend_windows and keeps >= limits.lend_keep and turn.area(donor).stale is None


def _can_spare(turn: Turn, donor: str, window: str, wait_s: float) -> bool:
    share = demand.share_of(turn, donor, window) * staffing.pace(turn, turn.window(window))
    return spare_wait_s(turn, donor, share) <= min(turn.pw(donor).close_wait_s, wait_s)


def take_back(turn: Turn, area: str) -> None:
    """End the lending of windows of ``area`` that are closed, whose time is over, where nobody of the borrowing area
    waits, or that their own area needs.
    """
    states = turn.state.windows
    for window in turn.lookup.area_windows[area]:
        state = states[window]
        asker = state.lent_to
        if asker is None:
            continue
        reason = _why_back(turn, window, asker)
        if reason is not None:
            state.lent_to, state.lent_until_ms = None, 0
            turn.touch_window(window)
            turn.note("window.returned", window, area=asker, reason=reason)


def _why_back(turn: Turn, window: str, asker: str) -> str | None:
    state = turn.window(window)
    if state.state not in WORKING:
        return "closed"
    if turn.at_ms >= state.lent_until_ms:
        return "time is up"
    if turn.area(asker).waiting == 0:
        return "no longer needed"
    share = turn.state.policy.tidal.arbiter.release_percent / 100
    for donor in turn.lookup.window_areas[window]:
        load = demand.load_of(turn, donor)
        wait_s = forecast.newcomer_wait_s(load, load.windows)
        if donor != asker and wait_s > share * turn.pw(donor).open_wait_s:
            return "needed at home"
    return None


def next_change_ms(turn: Turn, area: str) -> list[int]:
    """The stamps at which the area's windows that are lent to another area go back, one for each."""
    states = turn.state.windows
    names = turn.lookup.area_windows[area]
    return [states[name].lent_until_ms for name in names if states[name].lent_to is not None]
