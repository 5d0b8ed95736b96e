"""Several areas that share one pool of "+1" windows and staff: joins their days into one, and splits it again.

For such a day the small simulator and the clairvoyant plan give the sum over its areas, each with the whole pool to
itself: a reference that no shared pool can reach.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from edged.backtest.measures import DayMeasures
from edged.backtest.traces import BadTrace, Day, Hall, Traces


def joined(traces: Traces, areas: Sequence[tuple[str, int]], pool: int, urgent: float) -> Traces:
    """Make one hall of several ``areas`` (name of a trace set, regular windows) that share ``pool`` "+1" windows. Its
    n-th day consists of the n-th day of each. ``urgent``: share of visitors with priority. Raises ``BadTrace`` if a set
    is missing or named twice, or if there is only one.

    An area with fewer regular windows than its set gets proportionally fewer of its visitors, chosen by a fixed seed. 0
    windows: as many as the set has.
    """
    unknown = [name for name, _ in areas if name not in traces.halls]
    if unknown:
        raise BadTrace(f"there is no set {unknown[0]!r}; there are {', '.join(traces.halls)}")
    if len({name for name, _ in areas}) < max(2, len(areas)):
        raise BadTrace("a shared pool needs two different sets or more")
    parts = tuple(_part(traces.halls[name], count, pool) for name, count in areas)
    hall = Hall(
        "+".join(part.name for part in parts),
        sum(part.regular for part in parts),
        pool,
        max(part.close_ms for part in parts),
        sum(part.mean_s for part in parts) / len(parts),
        tuple(mean for part in parts for mean in part.means_s),
        tuple(share / len(parts) for part in parts for share in part.shares),
        opens_min=parts[0].opens_min,
        parts=parts,
        urgent=urgent,
    )
    found = []
    for part_of in ("train", "test"):
        own = [[day for day in traces.part(part_of) if day.hall == name] for name, _ in areas]
        for days in zip(*own, strict=False):
            shares = [one.regular / traces.halls[one.name].regular for one in parts]
            found.append(_beside(hall, list(map(_thinned, days, shares))))
    return Traces({hall.name: hall}, tuple(found))


def _part(hall: Hall, regular: int, pool: int) -> Hall:
    regular = regular or hall.regular
    profile = tuple(count * min(1.0, regular / hall.regular) for count in hall.profile)
    return replace(hall, area=hall.name.lower(), tidal=pool, regular=regular, profile=profile)


def _thinned(day: Day, share: float) -> Day:
    if share >= 1:
        return day
    chance = random.Random(f"thinned {day.hall} {day.name}")  # noqa: S311 (no secret)
    return _only(day, [n for n in range(len(day.arrive_ms)) if chance.random() < share])


def _only(day: Day, kept: Sequence[int]) -> Day:
    return replace(
        day,
        arrive_ms=tuple(day.arrive_ms[n] for n in kept),
        service_ms=tuple(day.service_ms[n] for n in kept),
        kinds=tuple(day.kinds[n] for n in kept),
    )


def _beside(hall: Hall, days: Sequence[Day]) -> Day:
    visits, first = [], 0
    for part, day in zip(hall.parts, days, strict=True):
        visits += [
            (at, service, first + kind)
            for at, service, kind in zip(day.arrive_ms, day.service_ms, day.kinds, strict=True)
        ]
        first += len(part.means_s)
    visits.sort(key=lambda visit: visit[0])
    arrive, service, kinds = zip(*visits, strict=True) if visits else ((), (), ())
    return Day(hall.name, "+".join(day.name for day in days), days[0].part, arrive, service, kinds)


def split_areas(hall: Hall, day: Day) -> Iterator[tuple[Hall, Day]]:
    """Split a day of a joined hall; yields each area as a hall of its own, with its day."""
    first = 0
    for part in hall.parts:
        kinds = range(first, first + len(part.means_s))
        own = [n for n, kind in enumerate(day.kinds) if kind in kinds]
        alone = _only(day, own)
        yield part, replace(alone, hall=part.name, kinds=tuple(kind - first for kind in alone.kinds))
        first = kinds.stop


def sum_areas(outcomes: Iterable[DayMeasures]) -> DayMeasures:
    """Add up the measures of several areas on one day; the waits are in the order of the areas."""
    each = list(outcomes)
    return DayMeasures(
        tuple(wait for one in each for wait in one.waits_ms),
        sum(one.staff_ms for one in each),
        sum(one.openings for one in each),
        tuple(minutes for one in each for minutes in one.open_min),
    )


def urgent(hall: Hall, day: Day) -> frozenset[int]:
    """Draw the visitors (by index) of a day who have priority. They depend only on hall and day, so they are the same
    for every policy.
    """
    chance = random.Random(f"urgent {day.hall} {day.name}")  # noqa: S311 (no secret)
    return frozenset(n for n in range(len(day.arrive_ms)) if chance.random() < hall.urgent)
