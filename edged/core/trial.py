"""The trial (试行) of a pushed policy: if visitors wait far too long under it, the previous policy returns.

Every policy in force that is not on trial counts as good. Once a minute, while somebody is in the hall, the average
time that the waiting visitors have waited is compared with a limit. A long wait alone proves nothing (it may be a
Monday). In addition, one of two must be true: the previous policy would open another "+1" window now, and a window and
staff are available; or as many visitors per window came at this time of other days, and they never waited so long.

The result is a note, an alarm and ``harmful``. The daemon, which stores the signed documents, then puts the previous
policy back in force like a signed order, and again after a restart. A policy that was taken back is never accepted
again; only one with a higher version is. A returned policy is not on trial.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from edged.core.calendar import opening, wall
from edged.core.model import forecast
from edged.core.model.events import PolicyApplied
from edged.core.model.policy import Policy
from edged.core.model.state import LeftPolicy, PolicyTrial, State, UsualQueue
from edged.core.model.turn import Turn
from edged.core.people import alarms, staffing
from edged.core.queue import demand
from edged.core.queue.ordering import WORKING
from edged.core.tide import arbiter

TIMER = "trial"
NAME = f"{TIMER}/look"
ALARM = "policy-harmful"
CHECK_MS = 60_000
LEARN_MS = 300_000  # between samples of the usual waits
KNOWN_DAYS = 3  # days on record after which a time of day counts as known
PRESSURE_MIN = 60
SLOT_MIN = 30
SLOTS = wall.DAY_MIN // SLOT_MIN
FADES = 0.9  # factor for each day: about half after a week
LEFT_KEPT = 8  # as many policies as the journal keeps


class WaitingNow(NamedTuple):
    """How many visitors wait, and how many seconds they have waited on average."""

    waiting: int
    waited_s: float


def queue_now(turn: Turn) -> WaitingNow:
    """The visitors waiting in the whole hall, without cases and without areas whose figures are out of date."""
    count = total_ms = 0
    for area in turn.lookup.areas:
        if area in turn.lookup.case_areas or turn.area(area).stale is not None:
            continue
        for service in turn.lookup.area_services[area]:
            for ids in turn.state.queues.get(service, {}).values():
                count += len(ids)
                total_ms += sum(turn.at_ms - turn.state.tickets[one].queued_ms for one in ids)
    return WaitingNow(count, total_ms / count / 1000 if count else 0.0)


def set_policy(state: State, event: PolicyApplied) -> None:
    """Put this policy in force. In safe mode (after repeated crashes) store it instead; it takes effect when that
    ends.
    """
    if (event.version, event.sha256) != (state.policy_version, state.policy_sha256):
        state.policy_since_ms = state.at_ms
    state.policy_version, state.policy_sha256 = event.version, event.sha256
    if state.put_aside is None:
        state.policy = event.policy
    else:  # in safe mode it takes effect when that ends
        state.put_aside = event.policy


def switch(turn: Turn, event: PolicyApplied) -> None:
    """Handle a policy that takes effect: a newly pushed one goes on trial, an earlier one ends the trial.

    The policy that is in force already (adapted to a changed hall) continues its trial.
    """
    state = turn.state
    if not event.pushed and (event.version, event.sha256) == (state.policy_version, state.policy_sha256):
        set_policy(state, event)
        turn.note("policy.applied", str(event.version), sha256=event.sha256)
        return
    gone = LeftPolicy(state.policy_version, state.policy_sha256)
    good = _good(state)
    trial, state.trial = state.trial, None
    changed = trial is not None or event.policy != _pushed(state)
    turn.drop_timer(NAME)
    set_policy(state, event)
    if trial is not None and trial.harmful:
        gone = LeftPolicy(gone.version, gone.sha256, trial.waited_s, trial.limit_s)
    if event.version < gone.version or gone.waited_s:
        others = [one for one in state.left if one.version != gone.version]
        state.left = [*others[1 - LEFT_KEPT :], gone]
    if event.version < gone.version:
        why: dict[str, str | int] = {"reason": "harmful", "left": gone.version} if gone.waited_s else {}
        turn.note("policy.rolled_back", str(event.version), sha256=event.sha256, **why)
        return
    turn.note("policy.applied", str(event.version), sha256=event.sha256)
    alarms.clear(turn, ALARM, turn.lookup.site.hall)
    if event.pushed and event.version > gone.version and changed:
        _begin(turn, good if trial is None else trial)


def _good(state: State) -> PolicyTrial:
    """Return the policy in force as a ``PolicyTrial``: a trial that begins now would return to it."""
    policy = _pushed(state)
    return PolicyTrial(state.policy_version, state.policy_sha256, policy.trial, policy.tidal)


def _pushed(state: State) -> Policy:
    """The policy that was pushed last, even while safe mode sets it aside."""
    return state.policy if state.put_aside is None else state.put_aside


def _begin(turn: Turn, good: PolicyTrial) -> None:
    """Begin a trial; ``good`` is the policy that returns if the new one makes waits worse."""
    if not good.rules.enabled:
        return
    turn.state.trial = PolicyTrial(
        good.good_version,
        good.good_sha256,
        good.rules,
        good.tidal,
        before_s=round(queue_now(turn).waited_s),
        left_min=good.rules.watch_min,
    )
    turn.set_timer(NAME, turn.at_ms + CHECK_MS)


def somebody_is_here(turn: Turn) -> None:
    """Handle a key press or a ticket, which shows that the hall is in use. Start the minute timer of the trial of a new
    policy if it does not run; without a trial, record the usual waits.
    """
    state = turn.state
    if state.trial is None:
        if turn.at_ms >= state.usual_due_ms:
            _learn(turn)
    elif not state.trial.harmful and NAME not in state.timers:
        turn.set_timer(NAME, turn.at_ms + CHECK_MS)


def check_waits(turn: Turn, _key: str) -> None:
    """Timer, each minute: compare the waits under the policy on trial with the limit. After more than ``worse_min`` bad
    checks in a row the policy is marked harmful; after ``watch_min`` minutes of opening time the trial ends well.
    """
    trial = turn.state.trial
    if trial is None or turn.state.put_aside is not None or opening.quiet(turn):
        return
    queue, rules, usual = queue_now(turn), trial.rules, _usual(turn)
    expected_s = max(rules.floor_s, trial.before_s, 0.0 if usual is None else usual.waited_s)
    limit_s = max(trial.tidal.pw.target_wait_s, round(expected_s * rules.worse_percent / 100))
    why = ""
    if queue.waiting >= rules.min_waiting and queue.waited_s >= limit_s:
        why = _missed_window(turn, trial) or _never_so_old(turn, usual)
    trial = replace(
        trial,
        worse=trial.worse + 1 if why else 0,
        left_min=trial.left_min - (turn.state.hall_phase != "closed"),
        waited_s=round(queue.waited_s),
        limit_s=limit_s,
    )
    turn.state.trial = trial
    if trial.worse > rules.worse_min:
        _condemn(turn, trial, queue.waiting, why)
    elif trial.left_min <= 0:
        turn.state.trial = None
        turn.note("policy.kept", str(turn.state.policy_version), watched_min=rules.watch_min)
    else:
        turn.set_timer(NAME, turn.at_ms + CHECK_MS)


def _missed_window(turn: Turn, trial: PolicyTrial) -> str:
    """The area where the previous policy would open a window now and could; "" if there is none."""
    tidal = trial.tidal
    if not tidal.enabled or tidal.rule == "never" or arbiter.pool_used(turn) >= tidal.pool:
        return ""
    for area, state in turn.state.areas.items():
        if area in turn.lookup.case_areas or not opening.tide_runs(turn, area):
            continue
        if state.tried_staff or state.tried_windows or state.escalated_ms is not None:
            continue  # nobody comes there, whatever the policy
        load, ordered = demand.load_of(turn, area), len(demand.commanded(turn, area))
        pw, band = tidal.pw_areas.get(area, tidal.pw), tidal.areas.get(area, tidal.band)
        if tidal.rule == "band":
            wants = state.waiting > band.open_above + band.open_step * ordered and ordered < band.max_windows
        else:
            wait_s = forecast.newcomer_wait_s(load, load.windows)
            wants = wait_s >= pw.open_wait_s and ordered < pw.max_windows
        window = arbiter.idle_window(turn, area) if wants else None
        if window is not None and (turn.window(window).staff or staffing.pick(turn, area)):
            return area
    return ""


def _never_so_old(turn: Turn, usual: UsualQueue | None) -> str:
    """The hall's id if waits above the limit cannot be due to a rush: as many visitors per window have come at this
    time of day before, and ``KNOWN_DAYS`` days are on record. "" otherwise.
    """
    if usual is None or usual.days < KNOWN_DAYS or _pressure(turn) > usual.pressure:
        return ""
    return turn.lookup.site.hall


def _condemn(turn: Turn, trial: PolicyTrial, waiting: int, why: str) -> None:
    turn.state.trial = replace(trial, harmful=True)
    version, usual = turn.state.policy_version, _usual(turn)
    area = why if why in turn.lookup.areas else None
    turn.note(
        "policy.harmful",
        str(version),
        back_to=trial.good_version,
        reason="window_missed" if area else "never_so_old",
        area=area,
        waiting=waiting,
        waited_s=trial.waited_s,
        before_s=trial.before_s,
        usual_s=None if usual is None else round(usual.waited_s),
        limit_s=trial.limit_s,
        worse_percent=trial.rules.worse_percent,
        worse_min=trial.rules.worse_min,
    )
    alarms.sound(turn, ALARM, turn.lookup.site.hall, version=version, back_to=trial.good_version)


def after_gap(turn: Turn, gap_ms: int) -> None:
    """Add the time in which the process did not run to the expected waits: it is not the policy's fault."""
    trial = turn.state.trial
    if trial is not None:
        turn.state.trial = replace(trial, before_s=trial.before_s + round(gap_ms / 1000))


def _pressure(turn: Turn) -> float:
    """Arrivals in the last hour per working regular window: the load, which no policy can change."""
    areas = [turn.area(area).learnt for area in turn.lookup.areas if area not in turn.lookup.case_areas]
    came = sum(forecast.arrivals_since(learnt, turn.at_ms, PRESSURE_MIN) for learnt in areas)
    working = sum(
        turn.window(window).state in WORKING
        for window, known in turn.lookup.windows.items()
        if not known.tidal
    )
    return round(came / max(1, working), 2)


def _learn(turn: Turn) -> None:
    """Record the present wait and load for this half hour of the day, if higher than those on record, which fade by a
    tenth each day. Not before the clock was ever set.
    """
    local = wall.local_ms(turn)
    if local is None:
        return
    turn.state.usual_due_ms = turn.at_ms + LEARN_MS
    slot, today = wall.minute(local) // SLOT_MIN, wall.day(local)
    known = turn.state.usual.get(slot, UsualQueue(0.0, 0.0, 0, today - 1))
    fade = 1.0 if known.day == today else FADES
    turn.state.usual[slot] = UsualQueue(
        max(known.waited_s * fade, round(queue_now(turn).waited_s, 1)),
        max(known.pressure * fade, _pressure(turn)),
        known.days + (known.day != today),
        today,
    )


def _usual(turn: Turn) -> UsualQueue | None:
    """Return the longest average wait and the highest load on record for this hall within half an hour of this time of
    day. None if there are none or the clock was never set.
    """
    local = wall.local_ms(turn)
    if local is None:
        return None
    slot = wall.minute(local) // SLOT_MIN
    near = [turn.state.usual.get((slot + step) % SLOTS) for step in (-1, 0, 1)]
    seen = [one for one in near if one is not None]
    if not seen:
        return None
    return UsualQueue(
        max(one.waited_s for one in seen),
        max(one.pressure for one in seen),
        min(one.days for one in seen),
        max(one.day for one in seen),
    )
