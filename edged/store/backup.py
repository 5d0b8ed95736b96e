"""Copies a journal while the daemon writes it, so that another machine can continue from the copy; and restores a copy.

A copy holds the newest state dump and every step after it (a few MiB, in a second), or the whole history. It is
consistent, because an SQLite reader sees the database as of its first read. A hall that continues from a copy goes back
in time: ticket numbers issued after the copy may be on visitors' paper. So a restored journal begins a new epoch, in
which numbers and ids continue above all that can have been issued (``identity.py``, ``core/renewal.py``).
"""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from edged.core.model.state import State
from edged.core.renewal import SKIP_MAX
from edged.store import codec, database
from edged.store.identity import Renewal, leave_renewal

STEPS_PER_S = 10  # more than the busiest hall writes: how many steps can be lost since the copy
FEWEST_PER_S = 1 / 10  # least numbers to skip per service: a quiet hall may have had its rush after the copy
RUSH = 2  # assumed issuing rate: this many times the busiest minute in the copy
AT_LEAST = 20  # numbers skipped at least, however recent the copy is
ASIDE = ".before-restore"
PARTS = ("", "-wal", "-shm", ".keep", ".mark", ".renewed")


class BackupError(Exception):
    """The journal cannot be copied or restored; the text says why."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy holds: the journal's epoch, its last step ``seq``, and the number of steps copied."""

    epoch: int
    seq: int
    steps: int


def copy_journal(journal: Path, out: Path, whole: bool = False) -> Copied:
    """Write a copy of ``journal`` to ``out``, a file that must not exist yet. ``whole``: with all steps, not only those
    after the newest state dump. Raises ``BackupError`` if there is no journal, or it cannot be read or copied.
    """
    if not journal.is_file():
        raise BackupError(f"{journal}: no such journal; is [store] path of hall.toml right?")
    try:
        source = database.connect(journal, read_only=True)
    except apsw.Error as error:
        raise BackupError(f"{journal}: cannot be read: {error}") from None
    fresh = apsw.Connection(str(out))
    try:
        with fresh.backup("main", source, "main") as copy:
            while not copy.done:
                copy.step(-1)
        fresh.execute("PRAGMA journal_mode = DELETE")
        if not whole:
            _forget_history(fresh)
        epoch = int(database.get_meta(fresh, "epoch") or 0)
        found: Any = fresh.execute("SELECT coalesce(max(seq), 0), count(*) FROM steps").fetchall()[0]
        last = database.newest_dump(fresh)
        return Copied(epoch, max(found[0], 0 if last is None else last.seq), found[1])
    except apsw.Error as error:
        raise BackupError(f"{journal}: cannot be copied: {error}") from None
    finally:
        fresh.close()
        source.close()


def _forget_history(copy: apsw.Connection) -> None:
    """Delete all but the newest state dump and the steps after it, as if the steps before it had been pruned."""
    newest = copy.execute("SELECT max(seq) FROM snapshots WHERE blob IS NOT NULL").get
    if newest is None:
        return
    with copy:
        copy.execute("DELETE FROM steps WHERE seq <= ?", (newest,))
        copy.execute("DELETE FROM snapshots WHERE seq < ?", (newest,))
    copy.execute("VACUUM")


@dataclass(frozen=True, slots=True)
class LastSeen:
    """The last ticket number of each service that somebody read off a visitor's paper, on business day ``day`` (days
    since 1970-01-01).
    """

    day: int = 0
    numbers: tuple[tuple[str, int], ...] = ()


def issued_at_most(copy: apsw.Connection, age_s: int) -> dict[str, int]:
    """Estimate, on the high side, how many ticket numbers each service has issued since the copy was taken, ``age_s``
    seconds ago.

    The estimate takes ``RUSH`` times the rate of the busiest minute in the copy for the whole time (at least
    ``FEWEST_PER_S`` a second), and adds ``AT_LEAST``. More than ``SKIP_MAX`` numbers cannot be skipped; then somebody
    has to read the last number off paper (``LastSeen``).
    """
    minutes: Counter[tuple[str, int]] = Counter()
    for row in database.rows(copy):
        for note in codec.decode_notes(row.notes):
            if note.kind == "ticket.issued":
                minutes[str(note.data.get("service")), row.at_ms // 60_000] += 1
    dump = database.newest_dump(copy)
    site = None if dump is None else codec.load_state(dump.blob or b"", State).site
    services = {service for service, _ in minutes} | {
        one.id for one in (() if site is None else site.services)
    }
    most: dict[str, int] = {}
    for name in sorted(services):
        busiest = max((count for (service, _), count in minutes.items() if service == name), default=0)
        most[name] = AT_LEAST + math.ceil(age_s * max(FEWEST_PER_S, RUSH * busiest / 60))
    return most


def _give_to_folders_owner(journal: Path) -> None:
    """Change the owner of the journal's files to that of their folder, because root restores but the daemon runs as
    that user.
    """
    owner = journal.parent.stat()
    for part in PARTS:
        there = journal.with_name(journal.name + part)
        if there.exists() and there.stat().st_uid != owner.st_uid:
            os.chown(there, owner.st_uid, owner.st_gid)


def _undo(made: list[Path], aside: list[tuple[Path, Path]]) -> None:
    """After a restore failed: delete the files it made, and move those back that it moved aside."""
    for file in made:
        file.unlink(missing_ok=True)
    for there, moved in aside:
        os.replace(moved, there)


def put_back(copy: Path, journal: Path, age_s: int, seen: LastSeen = LastSeen()) -> Renewal:
    """Make ``copy`` the journal; an existing journal is moved aside. ``age_s``: seconds since the copy was taken.
    ``seen``: ticket numbers read off paper. Returns the order for a new epoch that the next start carries out.

    The epoch grows by ``age_s``, so that two machines that continue from the same copy do not report different
    histories to the centre under one epoch. Raises ``BackupError`` if the copy cannot be read or the disk refuses; the
    previous journal is then back in its place.
    """
    fresh = journal.with_name(journal.name + ".restoring")
    made, aside = [fresh], list[tuple[Path, Path]]()  # aside: (where a file was, where it is now)
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(copy.read_bytes())
        connection = apsw.Connection(str(fresh), apsw.SQLITE_OPEN_READONLY)
        epoch = int(database.get_meta(connection, "epoch") or 0)
        skips = issued_at_most(connection, max(0, age_s))
        connection.close()
        lost = max(SKIP_MAX, age_s * STEPS_PER_S)
        renewal = Renewal(
            epoch + 1 + max(0, age_s), "older-copy", lost, seen.day, seen.numbers, tuple(skips.items())
        )
        for part in PARTS:  # only now: an unreadable copy or a full disk must change nothing
            there, moved = (journal.with_name(journal.name + end) for end in (part, ASIDE + part))
            if there.exists():
                os.replace(there, moved)
                aside.append((there, moved))
        made += [journal.with_name(journal.name + ".renewed"), journal]
        leave_renewal(journal, renewal, database.sync_directory)
        os.replace(fresh, journal)
        _give_to_folders_owner(journal)
        database.sync_directory(journal.parent)
    except (OSError, apsw.Error, codec.CodecError, database.Damaged) as error:
        _undo(made, aside)
        raise BackupError(f"{journal}: cannot be restored: {error}") from None
    return renewal
