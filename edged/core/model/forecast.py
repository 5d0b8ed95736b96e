"""How long somebody who came now would wait, and what the prediction uses: mean service times, arrivals, windows. Pure
arithmetic.

Quantities: ``x`` people present (those waiting, in units of the mean service time, and those at windows), ``c``
windows, ``m`` mean service time in seconds. A newcomer who finds ``x`` people waits ``max(0, x - c + 1) * m / c``
(queue-length predictor; exact in M/M/c). Means are exponentially aged sums with a prior, so that the first hour is
already usable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from math import ceil, exp, floor, inf, sqrt
from typing import NamedTuple

from edged.core.model.state import Learnt

BIN_MS = 30_000  # arrivals are counted in bins as long as the decision period
BINS_KEPT = 240  # two hours, over which the day's level is computed
BIN_MIN = 15  # one step of a profile
LEVEL_MIN = 120.0
RECENT_MIN = 20.0
LEVEL_WEIGHT = 20.0  # weight of the profile against the arrivals counted, in visitors
EXCESS_MIN = 15.0  # weight of "no excess" against the last RECENT_MIN, in minutes
EXCESS_FADES_MIN = 25.0  # time constant with which a group of arrivals, or a lull, passes
STEADY_LOAD = 0.8  # assumed load of the regular windows without a profile
MIX_KEPT = 1000  # visitors counted for the mix of services; then all counts are halved
Z10 = 1.2815515655446004  # the normal distribution's 90 % point


class Load(NamedTuple):
    """Demand and windows of an area at one moment. ``work``: the waiting tickets in units of ``mean_s`` (the mean
    service time in seconds); ``busy``: visitors being served; ``windows``: windows that serve, including those for
    which a clerk is on the way. A window that several areas share counts as a fraction, one with helpers as more than
    1.
    """

    work: float
    busy: float
    windows: float
    mean_s: float
    opening: tuple[float, ...] = ()  # seconds until each of the windows being staffed is ready
    leaving: tuple[tuple[float, float], ...] = ()  # (seconds until a shift ends, windows lost)
    hoped: tuple[float, ...] = ()  # those of ``opening`` for which nobody was paged

    @property
    def present(self) -> float:
        """How many people are in service or waiting."""
        return self.work + self.busy

    def staying(self, ahead_s: float) -> Load:
        """Return this load without windows whose clerk's shift ends within ``ahead_s`` seconds. At least one window
        stays, if there was one.
        """
        if not self.leaving:
            return self
        windows = self.windows
        for left_s, share in self.leaving:
            if left_s <= ahead_s:
                windows = _fewer(windows, share)
        return self._replace(windows=windows)

    def promised(self) -> Load:
        """Return this load as used for the waits that visitors are told. It leaves out "+1" windows whose lamp blinks
        but to which nobody was paged, because nobody may come.
        """
        if not self.hoped:
            return self
        sure = list(self.opening)
        for ready_s in self.hoped:
            sure.remove(ready_s)
        return self._replace(windows=self.windows - len(self.hoped), opening=tuple(sure), hoped=())


def _fewer(windows: float, share: float) -> float:
    """``windows`` less ``share``, but at least one where there was one."""
    return max(windows - share, min(windows, 1.0))


def learn(learnt: Learnt, service: str, service_s: float, prior_s: float, decay: float) -> None:
    """Add a visit that took ``service_s`` seconds to the statistics of an area. Earlier visits lose weight: their sums
    are multiplied by ``decay`` (0 to 1). ``prior_s``: the configured time of ``service``.
    """
    learnt.all_sum_s = learnt.all_sum_s * decay + service_s
    learnt.all_weight = learnt.all_weight * decay + 1
    learnt.ratio_sum = learnt.ratio_sum * decay + service_s / prior_s
    learnt.ratio_weight = learnt.ratio_weight * decay + 1
    learnt.sum_s[service] = learnt.sum_s.get(service, 0.0) * decay + service_s
    learnt.weight[service] = learnt.weight.get(service, 0.0) * decay + 1


def count_issued(learnt: Learnt, service: str, at_ms: int) -> None:
    """Count a ticket of ``service`` that was issued at ``at_ms``."""
    learnt.issued[service] = learnt.issued.get(service, 0) + 1
    if sum(learnt.issued.values()) > MIX_KEPT:
        for name in learnt.issued:
            learnt.issued[name] //= 2
    number = (at_ms - 1) // BIN_MS  # an arrival at the stamp of a decision counts after it
    learnt.arrived[number] = learnt.arrived.get(number, 0) + 1
    while next(iter(learnt.arrived)) < number - BINS_KEPT:
        del learnt.arrived[next(iter(learnt.arrived))]


def arrivals_since(learnt: Learnt, at_ms: int, minutes: float) -> int:
    """Return how many tickets were issued in the ``minutes`` before ``at_ms``. Tickets are counted in bins of 30
    seconds; the bin in which this period begins counts as a whole.
    """
    first = (at_ms - round(minutes * 60_000)) // BIN_MS
    return sum([count for number, count in learnt.arrived.items() if number >= first])


def overall_mean_s(learnt: Learnt, prior_s: float, prior_weight: int) -> float:
    """Return the mean service time of an area over all services, in seconds. ``prior_s`` (the assumed time) counts like
    ``prior_weight`` visits, so that few measured visits change it little.
    """
    return (prior_weight * prior_s + learnt.all_sum_s) / (prior_weight + learnt.all_weight)


def service_means_s(learnt: Learnt, priors_s: Mapping[str, float], prior_weight: int) -> dict[str, float]:
    """Return the mean service time of each service in seconds, from its own finished visits and a prior that counts
    like ``prior_weight`` visits.

    The prior is the configured time (``priors_s``) times one factor for all services: how long visits took in relation
    to their configured times.
    """
    ratio = (prior_weight + learnt.ratio_sum) / (prior_weight + learnt.ratio_weight)
    return {
        service: (prior_weight * prior_s * ratio + learnt.sum_s.get(service, 0.0))
        / (prior_weight + learnt.weight.get(service, 0.0))
        for service, prior_s in priors_s.items()
    }


def mix_of(learnt: Learnt, services: Sequence[str], given: Mapping[str, float]) -> dict[str, float]:
    """Return the share (0 to 1) of each service among visitors: as ``given`` by the policy, otherwise from the tickets
    issued so far. One ticket is added for each service, so that no share is 0.
    """
    shares = {service: given.get(service, 0.0) for service in services}
    if sum(shares.values()) <= 0:
        shares = {service: 1.0 + learnt.issued.get(service, 0) for service in services}
    total = sum(shares.values())
    return {service: share / total for service, share in shares.items()}


def newcomer_wait_s(load: Load, windows: float, present: float | None = None) -> float:
    """Return the predicted wait, in seconds, of somebody who comes now, with ``windows`` windows serving and
    ``present`` people there (None: those of ``load``). It is infinite without windows, unless nobody is present (0).
    """
    x = load.present if present is None else present
    if windows <= 0:
        return 0.0 if x <= 0 else inf
    return max(0.0, x - windows + 1) * load.mean_s / windows


def projected(load: Load, expected: float, horizon_s: float) -> float:
    """Return how many people will be present after ``horizon_s`` seconds if ``expected`` more come. The result is never
    below the number of those at windows now (or of all present, if fewer).
    """
    x = load.present
    served = horizon_s * min(load.windows, x) / load.mean_s
    return max(min(x, load.busy), x + expected - served)


@lru_cache(maxsize=128)
def _cumulated(profile: tuple[float, ...]) -> tuple[float, ...]:
    return (0.0, *accumulate(profile))


def profile_mass(profile: tuple[float, ...], from_min: float, to_min: float) -> float:
    """How many arrivals the profile expects between two times, both in minutes after the profile's start."""
    sums = _cumulated(profile)

    def until(minute: float) -> float:
        if minute <= 0:
            return 0.0
        number = int(minute // BIN_MIN)
        if number >= len(profile):
            return sums[-1]
        return sums[number] + (minute / BIN_MIN - number) * profile[number]

    return until(to_min) - until(from_min)


class Stream(NamedTuple):
    """Expected arrivals of an area.

    ``minute``: the present time, in minutes after the profile's start, or without a profile after the hall's day began.
    ``profile``: arrivals per 15 minutes; if empty, ``steady_per_min`` is used. ``level``: today's factor on both.
    ``excess_per_min``: a temporary addition per minute, which fades.
    """

    minute: float
    profile: tuple[float, ...]
    steady_per_min: float
    level: float = 1.0
    excess_per_min: float = 0.0
    opening_left: float | None = None  # arrivals still expected in the profile's first step

    def mass(self, from_min: float, to_min: float) -> float:
        """Return how many arrivals the profile (or the steady rate) expects between two times, not corrected by
        ``level`` and ``excess_per_min``. Both times are counted like ``minute``.
        """
        if self.profile:
            return profile_mass(self.profile, from_min, to_min)
        return self.steady_per_min * (to_min - from_min)

    def expected(self, horizon_min: float) -> float:
        """How many arrivals are expected in the next ``horizon_min`` minutes."""
        if self.opening_left is not None:
            left_min = BIN_MIN - self.minute
            inside = self.opening_left * min(1.0, horizon_min / left_min)
            return inside + self.mass(float(BIN_MIN), max(float(BIN_MIN), self.minute + horizon_min))
        passing = self.excess_per_min * EXCESS_FADES_MIN * (1 - exp(-horizon_min / EXCESS_FADES_MIN))
        return max(0.0, self.level * self.mass(self.minute, self.minute + horizon_min) + passing)


def stream_of(learnt: Learnt, at_ms: int, plain: Stream) -> Stream:
    """Return the expected arrivals ``plain``, corrected by the arrivals that were counted before ``at_ms``. ``level``
    follows from those of the last two hours, ``excess_per_min`` from those of the last 20 minutes.

    The first 15 minutes are an exception. Visitors who arrive then have waited at the door, as the profile expects, and
    say nothing about later arrivals. Only ``opening_left`` is set (arrivals of that quarter that are still to come);
    without a profile, nothing is corrected.
    """
    minute = plain.minute
    long_min, short_min = min(LEVEL_MIN, minute), min(RECENT_MIN, minute)
    if long_min <= 0:
        return plain
    if minute < BIN_MIN:
        if not plain.profile:
            return plain
        left = max(0.0, plain.mass(0, BIN_MIN) - arrivals_since(learnt, at_ms, minute))
        return plain._replace(opening_left=left)
    level = (arrivals_since(learnt, at_ms, long_min) + LEVEL_WEIGHT) / (
        plain.mass(minute - long_min, minute) + LEVEL_WEIGHT
    )
    seen = arrivals_since(learnt, at_ms, short_min)
    excess = (seen - level * plain.mass(minute - short_min, minute)) / (short_min + EXCESS_MIN)
    return Stream(minute, plain.profile, plain.steady_per_min, level, excess)


def look_ahead_wait_s(load: Load, learnt: Learnt, at_ms: int, plain: Stream, setup_s: float) -> float:
    """Return the longest predicted wait, in seconds, of newcomers in the 8 minutes after a window that is asked for now
    would be ready (in ``setup_s`` seconds). This is the older forecast, rule "pwf".
    """
    minute = plain.minute
    recent_min = min(RECENT_MIN, max(0.0, minute))
    seen = arrivals_since(learnt, at_ms, recent_min)
    factor = (seen + 6) / (plain.mass(minute - recent_min, minute) + 6)
    ready_min = round(setup_s / 60)
    x, longest = load.present, 0.0
    for step in range(ready_min + 9):
        if step >= ready_min:
            longest = max(longest, newcomer_wait_s(load, load.windows, x))
        fading = 1 + (factor - 1) * exp(-step / EXCESS_FADES_MIN)
        arriving = plain.mass(minute + step, minute + step + 1) * fading
        x = max(0.0, x + arriving - min(x, load.windows) * 60 / load.mean_s)
    return longest


class Range(NamedTuple):
    """A predicted wait in seconds: ``mean_s`` in the middle, and limits ``low_s`` and ``high_s`` between which 80 % of
    actual waits should lie.
    """

    low_s: float
    mean_s: float
    high_s: float

    def rounded_to_minutes_s(self) -> tuple[int, int, int]:
        """Return low, middle and high rounded to whole minutes for people, but still in seconds. The low limit is
        rounded down and the high one up, to at least one minute.
        """
        low, middle, high = floor(self.low_s / 60), round(self.mean_s / 60), max(1, ceil(self.high_s / 60))
        return low * 60, middle * 60, high * 60


def wait_range(load: Load, ahead: float) -> Range | None:
    """Return the predicted wait of a visitor before whom ``ahead`` others, each with a mean service time, are still to
    be called. None if no window serves and none is being staffed.

    While all windows are busy, ``ahead + 1`` services must finish first, so the wait is about gamma-distributed with
    that shape (quantiles by Wilson-Hilferty). A window for which a clerk is on the way counts from when it is ready.
    One whose clerk's shift ends counts until then.
    """
    load = load.promised()
    serving = load.windows - len(load.opening)
    if load.windows <= 0:
        return None
    finishes = ahead + load.busy - serving + 1
    if finishes <= 0:
        return Range(0.0, 0.0, 0.0)
    spread = 1 / (9 * finishes)
    low = finishes * max(0.0, 1 - spread - Z10 * sqrt(spread)) ** 3
    high = finishes * max(0.0, 1 - spread + Z10 * sqrt(spread)) ** 3
    if not load.opening and not load.leaving:
        each_s = load.mean_s / serving
        return Range(low * each_s, finishes * each_s, high * each_s)
    changes = [(ready_s, 1.0) for ready_s in load.opening] + [
        (left_s, -share) for left_s, share in load.leaving
    ]
    changes.sort()
    return Range(*[_until_done_s(load.mean_s, serving, changes, work) for work in (low, finishes, high)])


def _until_done_s(
    mean_s: float, serving: float, changes: Sequence[tuple[float, float]], finishes: float
) -> float:
    """Return the seconds until ``finishes`` visitors have been served, with ``serving`` windows now. ``changes``:
    (seconds from now, windows added or, if negative, lost), in order of time.

    A window that becomes ready takes the next visitor at once. A clerk who leaves finishes the visitor at the window
    first: one service fewer to wait for, and one window fewer.
    """
    now_s, windows, left = 0.0, serving, finishes
    for change_s, share in changes:
        need_s = left * mean_s / windows if windows > 0 else inf
        if now_s + need_s <= change_s:
            return now_s + need_s
        left -= (change_s - now_s) * windows / mean_s
        now_s = change_s
        if share > 0:
            windows, left = windows + share, left - share
        else:
            windows = _fewer(windows, -share)
        if left <= 0:
            return now_s
    return now_s + left * mean_s / windows
