"""The candidates that a backtest compares: a policy in the daemon's core, a baseline in the small simulator, or the
clairvoyant plan.

``never``, ``always``, ``naive10`` (opens at 10 waiting, no hysteresis) and ``band`` (opens at 6 waiting, closes when
nobody waits) are the published baselines and run in ``model``; policies of the core run in ``runner``. Policies by
name: ``pw`` (predicted wait, as shipped), ``pw-shorter-waits`` (opens two minutes sooner), ``pwf`` (an older forecast
of the wait), ``pw-reference`` (the published parameters), ``pw-no-release`` (no early release in a shared pool),
``core-band`` (the shipped band), ``core-never``, ``core-always``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from edged.backtest import pool
from edged.backtest.clairvoyant import carried_out, plan
from edged.backtest.measures import DEFAULT_PRICES, DayMeasures, Prices
from edged.backtest.model import BASELINES, simulate
from edged.backtest.runner import Scenario, fitted, run, site_of
from edged.backtest.traces import Day, Hall
from edged.core.model.policy import REFERENCE_PW, SHORTER_WAITS, Arbiter, Band, Policy, Tidal, Triggers

CLAIRVOYANT = "clairvoyant"
NO_TRIGGERS = Triggers(
    waiting_above=0,
    waiting_per_window=0,
    oldest_wait_s=0,
    priority_wait_s=0,
    people_above=0,
    special_need=False,
)
CORE_POLICIES: dict[str, Callable[[], Policy]] = {
    "pw": Policy,
    "pwf": lambda: Policy(tidal=Tidal(rule="pwf")),
    "pw-reference": lambda: Policy(tidal=Tidal(pw=REFERENCE_PW, triggers=NO_TRIGGERS)),
    "pw-shorter-waits": lambda: Policy(tidal=Tidal(pw=SHORTER_WAITS)),
    "pw-no-release": lambda: Policy(tidal=Tidal(arbiter=Arbiter(early_release=False))),
    "core-band": lambda: Policy(tidal=Tidal(rule="band")),
    "core-never": lambda: Policy(tidal=Tidal(rule="never")),
    "core-always": lambda: Policy(tidal=Tidal(rule="always")),
}


def _band_of(opens: int, closes: int) -> Policy:
    """Make a policy of the core that opens a "+1" window when ``opens`` or more people wait and closes it when
    ``closes`` or fewer wait, without delay, like the simple rules of the small simulator.
    """
    band = Band(
        open_above=opens - 1, open_step=0, close_at=closes, close_sustain_s=0, min_open_s=0, cooldown_s=0
    )
    return Policy(tidal=Tidal(rule="band", band=band, triggers=NO_TRIGGERS))


SHARED: dict[str, Callable[[], Policy]] = {
    "always": CORE_POLICIES["core-always"],
    "naive10": lambda: _band_of(10, 9),
    "band": lambda: _band_of(6, 0),
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate. If it has a ``policy``, this runs in the core; otherwise ``name`` is that of a simple baseline or
    of the clairvoyant plan.
    """

    name: str
    policy: Policy | None = None

    @property
    def where(self) -> str:
        """What runs the candidate: the daemon's core (``core``), the small simulator (``model``), or the clairvoyant
        plan (``plan``).
        """
        if self.policy is not None:
            return "core"
        return "plan" if self.name == CLAIRVOYANT else "model"


@dataclass(frozen=True, slots=True)
class CandidateDay:
    """A day of visitors to be run under one candidate.

    ``setup_ms``: from the order of a "+1" window to the arrival of its staff. ``with_profile``: the rule knows the
    hall's usual arrivals. ``quotes``: compare each visitor's predicted wait with the real one, which takes time.
    ``curves``: record the data of the day's charts; includes ``quotes``.
    """

    candidate: Candidate
    hall: Hall
    day: Day
    setup_ms: int
    prices: Prices = DEFAULT_PRICES
    with_profile: bool = True
    quotes: bool = False
    curves: bool = False


def named(name: str, shared: bool = False) -> Candidate:
    """Return the candidate of this name. Raises ``KeyError``, whose text lists the names, if there is none.

    ``shared``: several areas share one pool of "+1" windows. Simple rules then run in the core, where the pool is
    shared. In the small simulator each area would have the whole pool, as in a hall with several times the staff.
    """
    if shared and name in SHARED:
        return Candidate(name, SHARED[name]())
    if name in CORE_POLICIES:
        return Candidate(name, CORE_POLICIES[name]())
    if name == CLAIRVOYANT or name in BASELINES:
        return Candidate(name)
    known = ", ".join([*BASELINES, CLAIRVOYANT, *CORE_POLICIES])
    raise KeyError(f"no policy is called {name!r}; there are {known}")


def outcome(job: CandidateDay, over: Callable[[], bool] | None = None) -> DayMeasures:
    """Run one day under one candidate. Raises ``TimeOver`` if it runs in the core and ``over()`` becomes true
    meanwhile.
    """
    hall, day, policy = job.hall, job.day, job.candidate.policy
    if policy is not None:
        scenario = Scenario(
            site_of(hall, typed=policy.tidal.pw.typed),
            fitted(policy, hall, job.setup_ms, job.with_profile),
            job.setup_ms,
            hall.close_ms,
            hall.opens_min,
            urgent=pool.urgent(hall, day),
            quotes=job.quotes or job.curves,
            curves=job.curves,
            over=over,
        )
        return run(scenario, day)
    if hall.parts:  # small simulator and plan handle one area: each is run alone with the whole pool
        return pool.sum_areas(
            outcome(replace(job, hall=part, day=own)) for part, own in pool.split_areas(hall, day)
        )
    if job.candidate.name == CLAIRVOYANT:
        _, changes = plan(hall, day, job.setup_ms, job.prices)
        return carried_out(hall, day, job.setup_ms, changes)
    return simulate(hall, day, job.setup_ms, BASELINES[job.candidate.name]())


def with_pw(policy: Policy, **changes: Any) -> Policy:
    """Copy the policy with other values in its section ``pw``, the rule that opens and closes windows by the predicted
    wait.
    """
    return replace(policy, tidal=replace(policy.tidal, pw=dataclasses.replace(policy.tidal.pw, **changes)))
