"""Exact results of queueing theory with which simulators are compared: Erlang's C formula, Markov chains, the N-policy.

Sources: A. K. Erlang's recursion for B; W. Grassmann, M. Taksar, D. Heyman (1985) for the elimination without
subtractions; H. Tijms, *A First Course in Stochastic Models*, for the vacation decomposition behind ``n_policy_wait``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import exp, log

from edged.backtest.traces import Day, Hall

MINUTE_MS = 60_000
State = tuple[int, str]


def erlang_c(load: float, servers: int) -> float:
    """The probability that a visitor waits in M/M/c (Poisson arrivals, exponential service times, c servers). ``load``:
    arrival rate times mean service time, less than ``servers``.
    """
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = load * blocked / (k + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def mean_wait(load: float, servers: int, service: float) -> float:
    """The mean wait in M/M/c in the unit of ``service``, the mean service time. ``load``: see ``erlang_c``."""
    return erlang_c(load, servers) * service / (servers - load)


def wait_above(load: float, servers: int, service: float, limit: float) -> float:
    """The share (0 to 1) of visitors who wait longer than ``limit`` in M/M/c; ``service``: mean service time in the
    same unit.
    """
    return erlang_c(load, servers) * exp(-(servers - load) * limit / service)


def n_policy_wait(rate: float, service: float, start_at: int, setup: float, setup_square: float) -> float:
    """The mean wait in M/M/1 under the N-policy: the server leaves when nobody is there, and its set-up starts when
    ``start_at`` visitors are waiting. ``setup``, ``setup_square``: mean set-up time and mean of its square.
    """
    busy = rate * service
    plain = busy * service / (1 - busy)
    gathered = start_at * (start_at - 1) + 2 * start_at * rate * setup + rate**2 * setup_square
    return plain + gathered / (2 * rate * (start_at + rate * setup))


@dataclass(frozen=True)
class Hysteresis:
    """M/M/c with one extra window: it is ordered when ``open_at`` people are present, works after ``setup`` (mean), and
    is given back when ``close_at`` are left. Times in minutes, ``rate`` per minute.
    """

    servers: int
    rate: float
    service: float
    open_at: int
    close_at: int
    setup: float

    def exact(self, most: int = 300) -> tuple[float, float, float]:
        """The exact mean wait, share of time in which the extra window is ordered or open, and openings per hour. An
        order is not withdrawn during set-up. ``most``: people at which the chain is cut off.
        """
        rates: dict[State, dict[State, float]] = {}
        for mode in ("off", "setup", "on"):
            for n in range(most + 1):
                rates[n, mode] = self._out(n, mode, most)
        reachable = _stationary(rates, (0, "off"))
        waiting = sum(p * max(0, n - self.servers - (mode == "on")) for (n, mode), p in reachable.items())
        out = sum(p for (_, mode), p in reachable.items() if mode != "off")
        opens = reachable[self.open_at - 1, "off"] * self.rate * 60
        return waiting / self.rate, out, opens

    def _out(self, n: int, mode: str, most: int) -> dict[State, float]:
        found: dict[State, float] = {}
        if n < most:
            found[n + 1, "setup" if mode == "off" and n + 1 >= self.open_at else mode] = self.rate
        if n > 0:
            busy = min(n, self.servers + (mode == "on"))
            after = "off" if mode == "on" and n - 1 <= self.close_at else mode
            found[n - 1, after] = busy / self.service
        if mode == "setup":
            found[n, "on" if n > self.close_at else "off"] = 1 / self.setup
        return found


def _stationary(rates: dict[State, dict[State, float]], start: State) -> dict[State, float]:
    """The stationary probabilities of the states reachable from ``start``; ``rates``: by state, the rate to each next
    state.
    """
    order, seen = [start], {start}
    for state in order:
        for after in rates[state]:
            if after not in seen:
                seen.add(after)
                order.append(after)
    place = {state: k for k, state in enumerate(order)}
    out = [{place[after]: rate for after, rate in rates[state].items()} for state in order]
    into: list[dict[int, float]] = [{} for _ in order]
    for k, row in enumerate(out):
        for j, rate in row.items():
            into[j][k] = rate
    total = [0.0] * len(order)
    for k in range(len(order) - 1, 0, -1):
        total[k] = sum(rate for j, rate in out[k].items() if j < k)
        for i, rate in into[k].items():
            if i < k:
                for j, on in out[k].items():
                    if j < k and j != i:
                        out[i][j] = out[i].get(j, 0.0) + rate * on / total[k]
                        into[j][i] = out[i][j]
    weights = [1.0] * len(order)
    for k in range(1, len(order)):
        weights[k] = sum(weights[i] * rate for i, rate in into[k].items() if i < k) / total[k]
    everything = sum(weights)
    return {state: weights[k] / everything for state, k in place.items()}


def hall_of(regular: int, tidal: int, close_min: float, service_min: float = 5.0) -> Hall:
    """A hall with one service, for the small simulator; ``close_min``: closing time in minutes after opening."""
    mean_s = service_min * 60
    return Hall("made-up", regular, tidal, round(close_min * MINUTE_MS), mean_s, (mean_s,), (1.0,))


def poisson_day(seed: int, rate: float, service_min: float, count: int) -> Day:
    """``count`` visitors who arrive as a Poisson stream of ``rate`` per minute, with exponential service times (mean
    ``service_min``), rounded to ms.
    """
    chance = random.Random(seed)
    return _day(chance, rate, count, lambda: chance.expovariate(1 / service_min))


def lognormal_day(seed: int, rate: float, service_min: float, count: int) -> Day:
    """``count`` visitors who arrive as a Poisson stream of ``rate`` per minute, with lognormal service times (sigma 1,
    mean ``service_min``). Some have priority, about one in five.
    """
    chance = random.Random(seed)
    return _day(chance, rate, count, lambda: chance.lognormvariate(log(service_min) - 0.5, 1.0), marked=True)


def _day(chance, rate, count, service, marked=False) -> Day:  # type: ignore[no-untyped-def]
    at, arrive, need, kinds = 0.0, [], [], []
    for _ in range(count):
        at += chance.expovariate(rate)
        arrive.append(round(at * MINUTE_MS))
        need.append(max(1, round(service() * MINUTE_MS)))
        kinds.append(int(chance.random() < 0.2) if marked else 0)
    return Day("made-up", "day", "test", tuple(arrive), tuple(need), tuple(kinds))
