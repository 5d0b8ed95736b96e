"""Reads the notes in a journal, for commands that explain decisions or learn from them.

Only steps with a note of a wanted kind are read, and steps that changed the site or the clock. Commands are not decoded
and the hash chain is not verified: the daemon and ``edged replay`` do that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import apsw

from edged.core.model.commands import Note
from edged.core.model.events import ClockSet, SiteLoaded
from edged.core.model.site import Site
from edged.core.model.state import State
from edged.store import codec, database
from edged.store.database import Damaged, Snapshot, StoreError

SPAN_STEPS = 4_000  # rows per batch: about ten milliseconds, after which progress is reported
Progress = Callable[[int, int], None]


class Unreadable(Exception):
    """The journal cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Noted:
    """The notes of a step, and the site (areas, services, windows, staff) in force at that step. ``offset_ms``: wall
    time minus hall time, None if the wall time was not known. ``zone_min``: UTC offset in minutes.
    """

    seq: int
    at_ms: int
    wall_ms: int
    site: Site | None
    offset_ms: int | None
    zone_min: int
    notes: tuple[Note, ...]


class NotedRow(NamedTuple):
    """Like ``Noted``, with ``notes`` as JSON: for readers that want a few fields of very many notes."""

    seq: int
    at_ms: int
    wall_ms: int
    site: Site | None
    offset_ms: int | None
    zone_min: int
    notes: bytes | None


@contextmanager
def opened(path: Path) -> Iterator[apsw.Connection]:
    """Open a journal for reading only. Errors, also those inside the ``with`` block, are raised as ``Unreadable``."""
    try:
        if not path.is_file():
            raise Unreadable(f"{path}: there is no such file")
        database.refuse_foreign(path)
        connection = database.connect(path, read_only=True)
        try:
            yield connection
        finally:
            connection.close(True)
    except PermissionError:
        raise Unreadable(f"{path}: no permission to read it; ask as root, or as the daemon's user") from None
    except (apsw.Error, OSError, StoreError, codec.CodecError, Damaged) as error:
        raise Unreadable(f"{path}: {error}") from None


def day_start(connection: apsw.Connection, days: int) -> Snapshot | None:
    """The state dump at the beginning of the last ``days`` business days; None if the journal holds no more days than
    that.
    """
    first = database.first_seq(connection) or 1
    seen: set[int] = set()
    begin: Snapshot | None = None
    for one in database.snapshots(connection):  # newest first
        if one.seq < first - 1 or not one.good:
            continue
        day = -1 - one.at_ms // database.DAY_MS if one.day is None else one.day
        if day not in seen and len(seen) == days:
            return begin
        seen.add(day)
        begin = one
    return None


def oldest_dump(connection: apsw.Connection) -> Snapshot | None:
    """The oldest readable state dump of a journal whose first steps were pruned; None if the journal begins with step
    1, or has no readable dump.
    """
    first = database.first_seq(connection)
    found = None
    if first != 1:
        for one in database.snapshots(connection):
            if one.good and (first is None or one.seq >= first - 1):
                found = one
    return found


def noted(
    connection: apsw.Connection,
    start: Snapshot | None,
    kinds: Sequence[str],
    progress: Progress = lambda done, total: None,
) -> Iterator[Noted]:
    """Steps after ``start`` (None: from the first) that have a note whose kind begins with one of ``kinds``, in order,
    with all their notes.

    ``progress(done, total)`` counts steps. Raises ``codec.CodecError`` for a row that is not valid, ``apsw.Error`` if
    the file cannot be read.
    """
    for row in noted_rows(connection, start, kinds, progress):
        yield Noted(*row[:-1], codec.decode_notes(row.notes))


def noted_rows(
    connection: apsw.Connection,
    start: Snapshot | None,
    kinds: Sequence[str],
    progress: Progress = lambda done, total: None,
) -> Iterator[NotedRow]:
    """Like ``noted``, with the same errors, but the notes are not decoded."""
    site, offset_ms, zone_min, after = _start_values(start)
    after = after or (database.first_seq(connection) or 1) - 1
    begin, last = after, int(connection.execute("SELECT max(seq) FROM steps").get or after)
    wanted = [b'"kind":"' + kind.encode() for kind in kinds]
    has = " OR ".join(["instr(notes, ?) > 0"] * len(wanted))
    query = (
        "SELECT seq, at_ms, wall_ms, kind, CASE WHEN kind IN ('SiteLoaded', 'ClockSet') THEN event END, notes"  # noqa: S608
        f" FROM steps WHERE seq > ? AND seq <= ? AND (kind IN ('SiteLoaded', 'ClockSet') OR {has}) ORDER BY seq"
    )
    while after < last:
        progress(after - begin, last - begin)
        upto = after + SPAN_STEPS
        for seq, at_ms, wall_ms, kind, event, notes in list(
            connection.execute(query, (after, upto, *wanted))
        ):
            change = None if event is None else codec.decode_event(kind, event)
            if isinstance(change, SiteLoaded):
                site = change.site
            elif isinstance(change, ClockSet):
                offset_ms, zone_min = change.wall_ms - at_ms, change.utc_offset_min
            yield NotedRow(seq, at_ms, wall_ms, site, offset_ms, zone_min, notes)
        after = upto
    progress(last - begin, last - begin)


def _start_values(start: Snapshot | None) -> tuple[Site | None, int | None, int, int]:
    if start is None:
        return None, None, 0, 0
    state: State = codec.load_state(start.blob or b"", State)
    return state.site, state.wall_offset_ms, state.utc_offset_min, start.seq
