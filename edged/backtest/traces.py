"""Traces: recorded or invented days of visitors, by hall.

A trace is either a folder or one CSV file. A folder has ``sets.json`` (the halls) and ``traces.csv.gz`` with the
columns ``set,day,part,t_min,service_min,stype``: hall, day, "train" or "test", arrival in minutes after opening,
minutes of service, index of the service. A CSV file needs only ``t_min,service_min``. Without a ``sets.json`` beside
it, a ``TraceHall`` describes the hall. Every mistake raises ``BadTrace`` with file and line.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast

from edged.encoding import file_text

Part = Literal["test", "train"]
MINUTE_MS = 60_000
BIN_MIN = 15  # arrival profiles count visitors per quarter of an hour
VISITS_MAX = 5_000_000  # of one file: a hall of 2,000 visitors a day for ten years
SERVICE_MAX_MIN = 24 * 60
KINDS_MAX = 200  # services of one area


class BadTrace(Exception):
    """A trace that cannot be used; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Hall:
    """A hall of the backtest: one area with ``regular`` windows all day and up to ``tidal`` "+1" windows on demand.
    ``close_ms``: closing time, after opening.

    Per service: ``means_s``, the mean service time known in advance, and ``shares``, its share of the visitors.
    ``mean_s``: the mean over all services. ``profile``: expected arrivals in each quarter of an hour after opening,
    empty if unknown. ``opens_min``: opening time, minutes after midnight. ``kind``: the area's kind, by which a policy
    for many halls may name it. ``parts``: the areas of a hall that share its ``tidal`` windows (see ``pool.py``);
    ``urgent``: share of visitors with priority.
    """

    name: str
    regular: int
    tidal: int
    close_ms: int
    mean_s: float
    means_s: tuple[float, ...]
    shares: tuple[float, ...]
    profile: tuple[float, ...] = ()
    opens_min: int = 540
    area: str = "hall"
    parts: tuple[Hall, ...] = ()
    urgent: float = 0.0
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Day:
    """The visitors of one day, in order of arrival. For each: ``arrive_ms`` after opening, ``service_ms`` of service,
    and the index of the service (``kinds``). ``part``: whether the day is for training or for the test.
    """

    hall: str
    name: str
    part: Part
    arrive_ms: tuple[int, ...]
    service_ms: tuple[int, ...]
    kinds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Traces:
    """Several halls, by name, and the days of all of them."""

    halls: Mapping[str, Hall]
    days: tuple[Day, ...]

    def part(self, part: str) -> tuple[Day, ...]:
        """The days of one part: "train" (for fitting), "test", or "all" for every day."""
        return tuple(day for day in self.days if part in ("all", day.part))


@dataclass(frozen=True, slots=True)
class TraceHall:
    """The hall of a trace that has no ``sets.json``: number of windows that are open all day (``regular``) and of "+1"
    windows (``tidal``), and for how many hours a day it is open.
    """

    regular: int = 4
    tidal: int = 3
    hours: float = 8.0


def read(path: Path, shape: TraceHall | None = None) -> Traces:
    """Read a trace: a folder or a CSV file. ``shape`` describes the hall of a file without ``sets.json``; None: the
    default one. Raises ``BadTrace`` if the trace cannot be read or is not in the form that the head of this module
    describes.
    """
    shape = shape or TraceHall()
    try:
        if path.is_dir():
            return _folder(path)
        described = path.with_name("sets.json")
        days = tuple(_days(path, path.name.split(".")[0]))
        if described.exists() and {day.hall for day in days} <= _sets(described).keys():
            return Traces(_sets(described), days)
        names = dict.fromkeys(day.hall for day in days)
        return Traces({name: guess(name, [d for d in days if d.hall == name], shape) for name in names}, days)
    except UnicodeDecodeError:
        raise BadTrace(f"{path}: not UTF-8 text; export it from Excel as CSV UTF-8") from None
    except (OSError, EOFError, csv.Error) as error:
        raise BadTrace(f"{path}: {error}") from None


def _folder(path: Path) -> Traces:
    halls = _sets(path / "sets.json")
    days = tuple(_days(path / "traces.csv.gz", path.name))
    unknown = sorted({day.hall for day in days} - halls.keys())
    if unknown:
        raise BadTrace(f"{path}/traces.csv.gz: set {unknown[0]!r} is not in sets.json")
    return Traces(halls, days)


def _sets(path: Path) -> dict[str, Hall]:
    try:
        document = json.loads(file_text(path))
        return {str(name): _hall(str(name), one) for name, one in document.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadTrace(f"{path}: {type(error).__name__}: {error}") from None


def _hall(name: str, one: dict[str, Any]) -> Hall:
    means, shares = one.get("type_mean") or [one["mean_service"]], one.get("type_share") or [1.0]
    profile = one.get("profile_per_min_15min_bins") or []
    hall = Hall(
        name,
        int(one["K"]),
        int(one["T"]),
        round(float(one["close_min"]) * MINUTE_MS),
        float(one["mean_service"]) * 60,
        tuple(float(mean) * 60 for mean in means),
        tuple(float(share) for share in shares),
        tuple(float(rate) * BIN_MIN for rate in profile),
    )
    numbers = (hall.mean_s, *hall.means_s, *hall.shares, *hall.profile)
    if not all(math.isfinite(number) and number >= 0 for number in numbers) or hall.mean_s <= 0:
        raise ValueError(f"{name}: means, shares and profile must be finite and not negative")
    if hall.regular < 1 or hall.tidal < 0 or hall.close_ms <= 0 or len(means) != len(shares):
        raise ValueError(f"{name}: K must be 1 or more, T 0 or more, close_min above 0, one share per mean")
    return hall


def _days(path: Path, stem: str) -> Iterator[Day]:
    found: dict[tuple[str, str, str], list[tuple[int, int, int]]] = {}
    with _text(path) as file:
        reader = csv.DictReader(file)
        if not {"t_min", "service_min"} <= set(reader.fieldnames or ()):
            raise BadTrace(f"{path}:1: the columns t_min and service_min are needed")
        for number, row in enumerate(reader, 2):
            if number > VISITS_MAX:
                raise BadTrace(f"{path}: more than {VISITS_MAX} visitors")
            try:
                visit = _visit(row)
            except (ValueError, TypeError) as error:
                raise BadTrace(f"{path}:{number}: {error}") from None
            key = (row.get("set") or stem, row.get("day") or "day", row.get("part") or "test")
            found.setdefault(key, []).append(visit)
    for (hall, name, part), visits in found.items():
        if part not in ("test", "train"):
            raise BadTrace(f"{path}: part is {part!r}, neither test nor train")
        visits.sort(key=lambda visit: visit[0])
        arrive, service, kinds = zip(*visits, strict=True)
        yield Day(hall, name, cast(Part, part), arrive, service, kinds)


def _text(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _visit(row: Mapping[str, str]) -> tuple[int, int, int]:
    at, service, kind = float(row["t_min"]), float(row["service_min"]), int(row.get("stype") or 0)
    if not (0 <= at < 24 * 60 and 0 < service <= SERVICE_MAX_MIN and 0 <= kind < KINDS_MAX):
        raise ValueError("t_min must be within a day, service_min above 0 and within a day, stype an index")
    return round(at * MINUTE_MS), max(1, round(service * MINUTE_MS)), kind


def guess(name: str, days: Iterable[Day], shape: TraceHall) -> Hall:
    """Describe the hall of days that came without a description. ``shape`` gives its windows and hours. Mean service
    times and the mix of services are those of the train days (of all days if there are none); usual arrivals are known
    only from train days.
    """
    days = list(days)
    known = [day for day in days if day.part == "train"] or days
    kinds = max((kind for day in days for kind in day.kinds), default=0) + 1
    sums, counts = [0] * kinds, [0] * kinds
    for day in known:
        for kind, service in zip(day.kinds, day.service_ms, strict=True):
            sums[kind] += service
            counts[kind] += 1
    total = sum(counts) or 1
    mean_s = max(1.0, sum(sums) / total / 1000)
    return Hall(
        name,
        shape.regular,
        shape.tidal,
        round(shape.hours * 60 * MINUTE_MS),
        mean_s,
        tuple(s / c / 1000 if c else mean_s for s, c in zip(sums, counts, strict=True)),
        tuple(c / total for c in counts),
        profile_of(known) if any(day.part == "train" for day in days) else (),
    )


def profile_of(days: Iterable[Day]) -> tuple[float, ...]:
    """Mean number of arrivals in each quarter of an hour after opening, over ``days``."""
    counts: dict[int, int] = {}
    number = 0
    for day in days:
        number += 1
        for at in day.arrive_ms:
            counts[at // (BIN_MIN * MINUTE_MS)] = counts.get(at // (BIN_MIN * MINUTE_MS), 0) + 1
    return tuple(counts.get(place, 0) / max(1, number) for place in range(max(counts, default=-1) + 1))
