"""A plan made with full knowledge of all arrivals and services: the reference for policies, which do not have it.

A beam search over a grid of ``GRID_MS``: at each grid time the number of serving "+1" windows may change by any amount.
Plans are kept per (next visitor, serving windows): the ``BEAM`` cheapest of those that no other plan beats in both cost
and residual work. Waits and ends of service are exact; only changes happen on the grid. A window that serves from time
g was ordered at g minus the set-up time (``setup_ms``), so the first one can serve from the first grid time after the
set-up. A release takes the window that is free soonest; it finishes its visitor. The result is an achievable plan, not
a proven lower bound.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from typing import Any

from edged.backtest.measures import MINUTE_MS, DayMeasures, Prices
from edged.backtest.traces import Day, Hall

GRID_MS = 150_000
BEAM = 24
# a plan is dropped if it costs this many openings more than another that has served as many visitors
SLACK = 5.0

Free = tuple[int, ...]  # when each window is free, ascending


Change = tuple[int, int]  # grid ms, serving windows from then on
# the changes of a plan as a linked list, last first; plans share common beginnings
Trail = tuple[Any, Change] | None


@dataclass(slots=True)
class _Openings:
    cost: float
    next: int
    regular: Free
    tidal: Free
    draining: Free
    trail: Trail = None


class _Search:
    def __init__(self, hall: Hall, day: Day, setup_ms: int, prices: Prices) -> None:
        self.hall, self.day, self.setup_ms, self.prices = hall, day, setup_ms, prices
        self.count = len(day.arrive_ms)
        self.wait_price, self.excess_price = prices.wait / MINUTE_MS, prices.excess / MINUTE_MS
        self.staff_price = prices.staff / MINUTE_MS
        self.target_ms = prices.target_min * MINUTE_MS
        self.order_cost = prices.opening + self.staff_price * setup_ms

    def run(self, beam: int) -> _Openings:
        start = _Openings(0.0, 0, (0,) * self.hall.regular, (), ())
        plans, at_ms = [start], 0
        best: _Openings | None = None
        while plans:
            buckets: dict[tuple[int, int], list[_Openings]] = {}
            for plan in plans:
                for child in self._children(plan, at_ms):
                    if best is not None and child.cost >= best.cost:
                        continue
                    if child.next == self.count:
                        ended = self._ended(child, at_ms + GRID_MS)
                        if best is None or ended.cost < best.cost:
                            best = ended
                    else:
                        buckets.setdefault((child.next, len(child.tidal)), []).append(child)
            at_ms += GRID_MS
            plans = self._kept(buckets, at_ms, beam)
        return best or start

    def _children(self, plan: _Openings, at_ms: int) -> list[_Openings]:
        draining = tuple(free for free in plan.draining if free > at_ms)
        most = self.hall.tidal - len(draining) if at_ms >= self.setup_ms else 0
        now = len(plan.tidal)
        found = []
        for serving in range(max(most, now) + 1):
            cost, tidal, left = plan.cost, plan.tidal, draining
            if serving > now:
                cost += (serving - now) * self.order_cost
                tidal = tuple(sorted((*tidal, *([at_ms] * (serving - now)))))
            elif serving < now:
                gone, tidal = tidal[: now - serving], tidal[now - serving :]
                cost += self.staff_price * sum(free - at_ms for free in gone if free > at_ms)
                left = (*draining, *(free for free in gone if free > at_ms))
            trail = plan.trail if serving == now else (plan.trail, (at_ms, serving))
            child = _Openings(cost, plan.next, plan.regular, tidal, left, trail)
            self._serve(child, at_ms + GRID_MS)
            found.append(child)
        return found

    def _serve(self, plan: _Openings, until_ms: int) -> None:
        """Extend ``plan`` to ``until_ms``: let every visitor whose service begins before then be served, first come
        first served, regular windows first.
        """
        regular, tidal = list(plan.regular), list(plan.tidal)
        arrive, service = self.day.arrive_ms, self.day.service_ms
        visitor, cost = plan.next, plan.cost + self.staff_price * len(tidal) * GRID_MS
        while visitor < self.count:
            came = arrive[visitor]
            line = regular
            if tidal and regular[0] > came and tidal[0] < regular[0]:
                line = tidal
            start = line[0] if line[0] > came else came
            if start >= until_ms:
                break
            wait = start - came
            if wait:
                cost += self.wait_price * wait
                if wait > self.target_ms:
                    cost += self.excess_price * (wait - self.target_ms)
            del line[0]
            insort(line, start + service[visitor])
            visitor += 1
        plan.cost, plan.next = cost, visitor
        plan.regular, plan.tidal = tuple(regular), tuple(tidal)

    def _kept(
        self, buckets: dict[tuple[int, int], list[_Openings]], at_ms: int, beam: int
    ) -> list[_Openings]:
        kept: list[_Openings] = []
        limit = self._limits(buckets)
        for key, plans in buckets.items():
            if len(plans) > 1:
                plans.sort(key=lambda plan: plan.cost)
            least, taken = float("inf"), 0
            for plan in plans:
                if plan.cost > limit[key[0]]:
                    break
                work = sum(free - at_ms for free in plan.regular if free > at_ms)
                work += sum(free - at_ms for free in plan.tidal if free > at_ms)
                if work < least:
                    least = work
                    kept.append(plan)
                    taken += 1
                    if taken == beam:
                        break
        return kept

    def _limits(self, buckets: dict[tuple[int, int], list[_Openings]]) -> dict[int, float]:
        """Return, by next visitor, the highest cost that a plan may have so far and still be kept: those above it can
        hardly become the best.
        """
        least: dict[int, float] = {}
        for (following, _), plans in buckets.items():
            cheapest = min(plan.cost for plan in plans)
            least[following] = min(least.get(following, cheapest), cheapest)
        limit, best = {}, float("inf")
        for following in sorted(least, reverse=True):
            best = min(best, least[following])
            limit[following] = best + SLACK * self.order_cost * max(1, self.hall.tidal)
        return limit

    def _ended(self, plan: _Openings, at_ms: int) -> _Openings:
        """Complete a plan in which the last service has begun before ``at_ms``: each "+1" window closes as soon as it
        is free.
        """
        cost = plan.cost + self.staff_price * sum(free - at_ms for free in plan.tidal if free > at_ms)
        return _Openings(cost, plan.next, plan.regular, plan.tidal, plan.draining, (plan.trail, (at_ms, 0)))


def plan(hall: Hall, day: Day, setup_ms: int, prices: Prices, beam: int = BEAM) -> tuple[float, list[Change]]:
    """Search a plan; returns its cost, and its changes: (grid ms, number of serving "+1" windows from then on).
    ``setup_ms``: from the order of a "+1" window to the arrival of its staff.
    """
    found = _Search(hall, day, setup_ms, prices).run(beam)
    changes: list[Change] = []
    trail = found.trail
    while trail is not None:
        trail, change = trail
        changes.append(change)
    return found.cost, changes[::-1]


def carried_out(hall: Hall, day: Day, setup_ms: int, changes: list[Change]) -> DayMeasures:
    """Simulate the plan (``changes``) visitor by visitor, independently of the search; returns the day's waits, staff
    time and openings.
    """
    windows = [[0, 0] for _ in range(hall.regular)]  # per window: (serves from, free at) in ms
    serving: list[list[int]] = []
    waits: list[int] = []
    staff_ms = openings = done = 0
    for at_ms, wanted in [*changes, (1 << 60, 0)]:
        while done < len(day.arrive_ms):
            came, pool = day.arrive_ms[done], [*windows, *serving]
            window = next((w for w in pool if w[1] <= came), None) or min(pool, key=lambda w: w[1])
            start = max(came, window[1])
            if start >= at_ms:
                break
            window[1] = start + day.service_ms[done]
            waits.append(start - came)
            done += 1
        while len(serving) < wanted:
            serving.append([at_ms, at_ms])
            openings += 1
            staff_ms += setup_ms
        while len(serving) > wanted and at_ms < 1 << 60:
            gone = min(serving, key=lambda w: w[1])
            serving.remove(gone)
            staff_ms += max(at_ms, gone[1]) - gone[0]
    return DayMeasures(tuple(waits), staff_ms, openings)
