"""Simulated visitors: when each comes and for which service. The same seed gives the same visitors, whatever the hall
does.

Arrivals are a Poisson process per service. Its rate follows a real hall's morning: people queue before the doors open,
a rush peaks after about 40 minutes, then it is quiet, with a second, smaller peak. Service times are lognormal with
coefficient of variation 1 (bank counters measured 1.06 to 1.28).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from edged.core.model.events import Priority
from edged.core.model.site import Service, Site

RUSH_PEAK_S = 2400.0  # the rush peaks 40 min after opening
RUSH_WIDTH_S = 1500.0
AFTERNOON_S = 5.5 * 3600.0
AFTERNOON_WIDTH_S = 3600.0
PRIORITY_SHARE: tuple[tuple[Priority, float], ...] = (
    ("elderly", 0.05),
    ("disabled", 0.01),
    ("pregnant", 0.01),
    ("military", 0.01),
)
NO_SHOW_SHARE = 0.04
RATING_SHARE = 0.4
LEVELS, LEVEL_WEIGHTS = (5, 4, 3, 2, 1), (80, 15, 4, 0.7, 0.3)
SERVICE_SIGMA = math.sqrt(math.log(2.0))  # lognormal with CV 1


@dataclass(frozen=True, slots=True)
class Arrival:
    """A visitor who presses a button of a dispenser ``at_s`` hall seconds after opening."""

    at_s: float
    service: str
    priority: Priority


@dataclass(frozen=True, slots=True)
class Habits:
    """What the visitor with a ticket will do. Computed from seed and ticket number, so that nothing needs to be stored.
    ``comes``: False for a no-show; ``walk_s``: time to walk to the window and ``service_s``: time of the service, both
    in hall seconds; ``level``: the rating (1 to 5), None if the visitor gives none.
    """

    comes: bool
    walk_s: float
    service_s: float
    level: int | None  # of their rating; most give none


def load_at(at_s: float) -> float:
    """Demand ``at_s`` hall seconds after opening, as a multiple of the capacity of the regular windows."""
    rush = 1.5 * math.exp(-(((at_s - RUSH_PEAK_S) / RUSH_WIDTH_S) ** 2) / 2)
    afternoon = 0.7 * math.exp(-(((at_s - AFTERNOON_S) / AFTERNOON_WIDTH_S) ** 2) / 2)
    return 0.35 + rush + afternoon


def arrivals(site: Site, seed: int, hours: float) -> list[Arrival]:
    """Draw all visitors of a day of ``hours`` hall hours; returns them in order of arrival. There are none for services
    that take cases (办不成事).
    """
    found: list[Arrival] = []
    for service in site.services:
        if not service.case:
            rng = random.Random(f"{seed}/{service.id}")
            found.extend(_of_service(rng, service, _capacity_per_s(site, service), hours * 3600))
    return sorted(found, key=lambda arrival: (arrival.at_s, arrival.service))


def habits(seed: int, number: str, service: Service) -> Habits:
    """Compute the habits of the visitor with ticket ``number``; the same seed and number always give the same."""
    rng = random.Random(f"{seed}/{number}")
    mean_log = math.log(service.mean_s) - SERVICE_SIGMA**2 / 2
    return Habits(
        comes=rng.random() >= NO_SHOW_SHARE,
        walk_s=rng.uniform(6, 25),
        service_s=min(max(rng.lognormvariate(mean_log, SERVICE_SIGMA), 30.0), 4.0 * service.mean_s),
        level=rng.choices(LEVELS, LEVEL_WEIGHTS)[0] if rng.random() < RATING_SHARE else None,
    )


def _capacity_per_s(site: Site, service: Service) -> float:
    """Visitors of ``service`` per hall second that the regular windows can serve. A window with several skills gives
    each of them an equal share of its time.
    """
    return sum(
        1 / len(window.skills) / service.mean_s
        for window in site.windows
        if not window.tidal and service.id in window.skills
    )


def _of_service(
    rng: random.Random, service: Service, capacity_per_s: float, until_s: float
) -> Iterator[Arrival]:
    """Draw one service's arrivals until ``until_s`` hall seconds after opening: a Poisson process at the highest rate,
    of which each arrival is kept with a probability that follows ``load_at``.
    """
    top_per_s = capacity_per_s * 2.6
    at_s = 0.0
    while top_per_s > 0:
        at_s += rng.expovariate(top_per_s)
        if at_s >= until_s:
            return
        if rng.random() < load_at(at_s) * capacity_per_s / top_per_s:
            yield Arrival(at_s, service.id, _priority(rng))


def _priority(rng: random.Random) -> Priority:
    draw = rng.random()
    for priority, share in PRIORITY_SHARE:
        if draw < share:
            return priority
        draw -= share
    return "normal"
