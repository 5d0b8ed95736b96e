"""Reads journals as recorded days of visitors, so that the same people can be simulated with other policies.

A visitor arrives when the ticket was issued and needs the recorded service time; whoever left without being served is
left out. Each area of the site becomes a ``Hall`` of its own. "+1" windows count fully in every area that they can
serve. A regular window that serves several areas counts in each by an equal share. Days are dates in the hall's zone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import msgspec

from edged.backtest.traces import (
    BIN_MIN,
    MINUTE_MS,
    BadTrace,
    Day,
    Hall,
    Part,
    TraceHall,
    Traces,
    guess,
    profile_of,
)
from edged.core.model.site import Area, Site
from edged.store.notes import NotedRow, Progress, Unreadable, day_start, noted_rows, oldest_dump, opened

DAY_MS = 86_400_000
BIN_MS = BIN_MIN * MINUTE_MS
TRAIN_SHARE = 0.6  # share of days for training: the earlier ones, because a hall changes
KINDS = ("ticket.issued", "ticket.finished")
SPLIT_FROM_DAYS = 3  # fewer cannot be split


@dataclass(slots=True)
class _Visit:
    at_ms: int  # since the epoch, in the hall's zone
    service: str
    service_ms: int | None = None


class _FactData(msgspec.Struct, gc=False):
    """The fields of a note's data that are needed here; all others are skipped."""

    service: str | float | None = None
    service_s: str | float | None = None


class _NoteRead(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A note reduced to the fields needed here; decoding it takes a third of the time of a whole ``Note``."""

    kind: str
    subject: str
    data: _FactData


_FACTS = msgspec.json.Decoder(list[_NoteRead])


@dataclass(slots=True)
class _HallRecorded:
    site: Site | None = None
    offset_ms: int = 0
    visits: list[_Visit] = field(default_factory=list)
    by_number: dict[str, _Visit] = field(default_factory=dict)


def read_journals(
    paths: Iterable[Path],
    split: bool = False,
    days: int = 0,
    progress: Progress = lambda done, total: None,
) -> Traces:
    """Read every area and day in these journals; ``days``: only the last so many days, 0 for all. ``split``: the
    earlier days become part ``train``, the later ones ``test``; otherwise all are ``test``.

    ``progress(done, total)`` counts steps within each journal. Raises ``BadTrace`` if a journal cannot be read or holds
    no site, or if nobody was served.
    """
    halls: dict[str, Hall] = {}
    found_days: list[Day] = []
    for path in paths:
        recorded = _read(path, days, progress)
        if recorded.site is None:
            raise BadTrace(f"{path}: the journal holds no site")
        visits = _by_area(recorded.site, recorded.visits)
        for area in recorded.site.areas:
            name = area.id if area.id not in halls else f"{path.stem}-{area.id}"
            found = _area(name, area, recorded.site, visits[area.id], split)
            if found is not None:
                halls[name] = found[0]
                found_days += found[1]
    if not found_days:
        raise BadTrace("nobody was served in these journals")
    return Traces(halls, tuple(found_days))


def _read(path: Path, days: int, progress: Progress) -> _HallRecorded:
    recorded = _HallRecorded()
    try:
        with opened(path) as connection:
            start = (day_start(connection, days) if days else None) or oldest_dump(connection)
            for row in noted_rows(connection, start, KINDS, progress):
                recorded.site = row.site
                if row.offset_ms is not None:
                    recorded.offset_ms = row.offset_ms + row.zone_min * MINUTE_MS
                for note in _facts(row):
                    _note(recorded, row.at_ms, note)
    except Unreadable as error:
        raise BadTrace(str(error)) from None
    return recorded


def _facts(row: NotedRow) -> list[_NoteRead]:
    """Decode the notes (what happened) of a step. Raises ``Unreadable`` if they are not notes as JSON."""
    try:
        return _FACTS.decode(row.notes or b"[]")
    except msgspec.MsgspecError as error:
        raise Unreadable(f"notes of step {row.seq}: {error}") from None


def _note(recorded: _HallRecorded, at_ms: int, note: _NoteRead) -> None:
    if note.kind == "ticket.issued":
        visit = _Visit(at_ms + recorded.offset_ms, str(note.data.service))
        recorded.visits.append(visit)
        recorded.by_number[note.subject] = visit
    elif note.kind == "ticket.finished":
        finished = recorded.by_number.pop(note.subject, None)
        seconds = note.data.service_s
        if finished is not None and isinstance(seconds, int | float):
            finished.service = str(note.data.service)
            finished.service_ms = max(1, round(seconds * 1000))


def _by_area(site: Site, visits: Iterable[_Visit]) -> dict[str, list[_Visit]]:
    """Group the visitors by the area of their service, each group in order of arrival. Visitors who were not served are
    left out.
    """
    found: dict[str, list[_Visit]] = {area.id: [] for area in site.areas}
    of_service = {service.id: found[service.area] for service in site.services}
    for visit in visits:
        if visit.service_ms is not None and visit.service in of_service:
            of_service[visit.service].append(visit)
    return found


def _area(
    name: str, built: Area, site: Site, visits: list[_Visit], split: bool
) -> tuple[Hall, list[Day]] | None:
    area = built.id
    services = {id_: place for place, id_ in enumerate(one.id for one in site.services if one.area == area)}
    if not visits:
        return None
    opens_ms = min(visit.at_ms % DAY_MS for visit in visits) // BIN_MS * BIN_MS
    closes_ms = max(-(-(visit.at_ms % DAY_MS + 1) // BIN_MS) * BIN_MS for visit in visits)
    by_date: dict[int, list[_Visit]] = {}
    for visit in visits:
        by_date.setdefault(visit.at_ms // DAY_MS, []).append(visit)
    dates = sorted(by_date)
    train = (
        set(dates[: round(len(dates) * TRAIN_SHARE)]) if split and len(dates) >= SPLIT_FROM_DAYS else set()
    )
    days = []
    for number in dates:
        today = sorted(by_date[number], key=lambda v: v.at_ms)
        part: Part = "train" if number in train else "test"
        days.append(
            Day(
                name,
                _date(number),
                part,
                tuple(v.at_ms % DAY_MS - opens_ms for v in today),
                tuple(v.service_ms or 1 for v in today),
                tuple(services[v.service] for v in today),
            )
        )
    regular, tidal = _windows(site, area)
    learnt = guess(name, days, TraceHall(regular, tidal, (closes_ms - opens_ms) / 3_600_000))
    configured = tuple(float(service.mean_s) for service in site.services if service.area == area)
    shares = (*learnt.shares, *[0.0] * (len(configured) - len(learnt.shares)))
    profile = profile_of(day for day in days if day.part == "train") if train else ()
    hall = Hall(
        name,
        regular,
        tidal,
        learnt.close_ms,
        learnt.mean_s,
        configured,
        shares,
        profile,
        opens_ms // MINUTE_MS,
        area,
        kind=built.kind,
    )
    return hall, days


def _windows(site: Site, area: str) -> tuple[int, int]:
    areas = {service.id: service.area for service in site.services}
    regular, tidal = 0.0, 0
    for window in site.windows:
        served = {areas[skill] for skill in window.skills}
        if area in served:
            regular += 0 if window.tidal else 1 / len(served)
            tidal += window.tidal
    return max(1, round(regular)), tidal


def _date(number: int) -> str:
    """Format a number of days since 1970 as YYYY-MM-DD."""
    return date.fromordinal(date(1970, 1, 1).toordinal() + number).isoformat()
