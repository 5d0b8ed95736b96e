"""Opens the journal in whatever state its file is: healthy, new, damaged, missing, or restored from an old copy.

Rules: nothing that might still be read is deleted (a bad file is moved to the folder ``quarantine``). Everything before
the first step that cannot be proven right is carried over to a new file; if only the newest steps are missing, the file
itself is continued. A new epoch begins whenever the file is not the one that was written last, so that the centre
notices. The same damage never stops the process twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import apsw

from edged.clock import wall_ms
from edged.store import database
from edged.store.database import Damaged, Head, JournalBroken, PolicyRow, Row, Snapshot
from edged.store.identity import Renewal, Whereabouts, Why, leave_renewal, read_mark, read_renewal
from edged.store.keep import Keep, keep_path, read_keep, write_keep
from edged.store.uplink import CARRIED

QUARANTINE_KEPT = 3  # damaged files kept for analysis; more could fill the disk
_ENVIRONMENT = (
    apsw.FullError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.PermissionsError,
    apsw.NoMemError,
    apsw.ProtocolError,
)
# An unreadable sector stays unreadable after a restart; moving the file aside needs no read.
_UNREADABLE = (apsw.SQLITE_IOERR_READ, apsw.SQLITE_IOERR_SHORT_READ, apsw.SQLITE_IOERR_CORRUPTFS)
SUFFIXES = ("", "-wal", "-shm")
SUSPICION_CHARS = 200


@dataclass(slots=True)
class OpenedJournal:
    """An open database, its epoch and last step. ``notices``: sentences for the log. ``renewal``: set if this start
    begins a new epoch.
    """

    connection: apsw.Connection
    epoch: int
    head: Head
    notices: list[str] = field(default_factory=list)
    renewal: Renewal | None = None


@dataclass(slots=True)
class _Salvage:
    """Everything in a damaged file and in the keep file that could be proven right."""

    epoch: int = 0
    high_water: int = 0
    lines: dict[str, str] = field(default_factory=dict)
    policies: list[PolicyRow] = field(default_factory=list)
    snapshot: Snapshot | None = None
    rows: list[Row] = field(default_factory=list)

    @property
    def seq(self) -> int:
        return self.rows[-1].seq if self.rows else 0 if self.snapshot is None else self.snapshot.seq


class Cut(Damaged):
    """The database is right but its newest steps are missing: it ends at ``head`` of ``epoch`` (None: everything is
    missing).
    """

    def __init__(self, why: str, epoch: int = 0, head: Head | None = None) -> None:
        super().__init__(why)
        self.epoch = epoch
        self.head = head


def suspect(path: Path, why: str) -> None:
    """Write a file that makes the next start move the journal aside, because it was found damaged while in use
    (``why``).
    """
    with suppress(OSError):  # the disk may not even take this small file
        _suspect(path).write_text(why, "utf-8")
        database.sync_directory(path.parent)


def _suspect(path: Path) -> Path:
    return path.with_name(path.name + ".suspect")


def open_or_rescue(
    path: Path, vfs: str | None = None, alive: Callable[[], None] = lambda: None
) -> OpenedJournal:
    """Open the journal for writing, and repair it before if necessary. Raises a subclass of ``StoreError``, which says
    what to do, if the file can be neither used nor replaced.

    ``alive`` is called repeatedly meanwhile, because a damaged journal without a state dump is read as a whole, which
    takes long.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _finish_swap(path)
        keep, mark = read_keep(path), read_mark(path)
        try:
            opened = _open(path, keep, mark, vfs, alive)
        except (apsw.Error, ValueError, Damaged) as damage:
            if not _is_damage(damage):
                raise
            if isinstance(damage, Cut) and damage.head is not None and not _dumped_after(damage.head, keep):
                opened = _go_on(path, keep, mark, damage, vfs, alive)
                return _renewed(path, opened, keep)
            notice = _rebuild(path, keep, mark, damage, alive)
            opened = _open(path, Keep(), Whereabouts(0, 0), vfs, alive)
            opened.notices.append(notice)
        return _renewed(path, opened, keep)
    except (apsw.Error, OSError, ValueError, Damaged) as error:
        raise JournalBroken(f"{path}: {type(error).__name__}: {error}") from error


def _renewed(path: Path, opened: OpenedJournal, keep: Keep) -> OpenedJournal:
    """Begin the new epoch that an earlier process ordered (``identity.py``), if there is such an order."""
    opened.renewal = read_renewal(path)
    if opened.renewal is not None and opened.epoch < opened.renewal.epoch:
        opened.epoch = opened.renewal.epoch
        database.set_meta(opened.connection, "epoch", str(opened.epoch))
        database.settle(opened.connection)
        opened.notices.append(_words(opened.renewal, opened.head))
    _refresh_keep(path, opened, keep)
    return opened


def _dumped_after(head: Head, keep: Keep) -> bool:
    """Whether the keep file holds a state dump after ``head``, the last step in the database."""
    return keep.snapshot is not None and keep.snapshot.good and keep.snapshot.seq > head.seq


def _go_on(
    path: Path, keep: Keep, mark: Whereabouts, cut: Cut, vfs: str | None, alive: Callable[[], None]
) -> OpenedJournal:
    """Continue a file of which only the newest steps are missing, in a new epoch."""
    assert cut.head is not None
    _leave(
        path, 1 + max(cut.epoch, keep.epoch, mark.epoch), "cut", max(mark.seq, keep.seq) - cut.head.seq, mark
    )
    opened = _open(path, Keep(high_water=keep.high_water), Whereabouts(0, 0), vfs, alive)
    last = database.last_policy(opened.connection)
    if keep.policy is not None and (last is None or last.seq < keep.policy.seq):
        with opened.connection:
            database.insert_policy(opened.connection, keep.policy)
    return opened


def _leave(path: Path, epoch: int, why: Why, lost: int, mark: Whereabouts) -> None:
    """Write the order for a new epoch. If an earlier order's epoch had begun, but the steps that recorded it are lost,
    the new order also takes over the number of lost steps and the ticket numbers to skip from the earlier one.
    """
    before = read_renewal(path)
    fresh = Renewal(epoch, why, max(0, lost))
    if (
        before is not None and before.epoch <= mark.epoch
    ):  # that epoch had begun, and the steps that recorded it are lost
        fresh = replace(
            fresh, lost=fresh.lost + before.lost, day=before.day, numbers=before.numbers, skips=before.skips
        )
    leave_renewal(path, fresh, database.sync_directory)


def _is_damage(error: Exception) -> bool:
    """Whether the error means that the file's content is wrong, and not a failing disk or missing permission."""
    if isinstance(error, apsw.IOError):
        return getattr(error, "extendedresult", 0) in _UNREADABLE
    return not isinstance(error, _ENVIRONMENT)


def _words(renewal: Renewal, head: Head) -> str:
    return (
        f"journal renewed ({renewal.why}): {renewal.lost} acknowledged steps are not in it, going on from step"
        f" {head.seq} in epoch {renewal.epoch}"
    )


def _open(
    path: Path, keep: Keep, mark: Whereabouts, vfs: str | None, alive: Callable[[], None]
) -> OpenedJournal:
    with suppress(FileNotFoundError):
        raise Damaged(_suspect(path).read_text("utf-8", "replace")[:SUSPICION_CHARS])
    database.refuse_foreign(path, vfs)
    connection = database.connect(path, read_only=False, vfs=vfs)
    try:
        database.migrate(connection)
        head = database.check(connection, alive)
        known = database.get_meta(connection, "epoch")
        if known is None and keep.epoch:
            raise Cut("the database is gone or empty, and its keep file is not")
        if known is None and mark.epoch:
            raise Cut(f"the database is gone or empty, and step {mark.seq} was acknowledged")
        if known is None:
            database.set_meta(connection, "epoch", "1")
        epoch = int(known or 1)
        if (epoch, head.seq) < (keep.epoch, keep.seq if epoch == keep.epoch else 0):
            raise Cut(f"the file ends at step {head.seq} of epoch {epoch}; more was committed", epoch, head)
        if mark.epoch > epoch or (mark.epoch == epoch and mark.seq > head.seq):
            ends = f"the file ends at step {head.seq} of epoch {epoch}"
            raise Cut(f"{ends}; step {mark.seq} was acknowledged", epoch, head)
        if keep.high_water > int(database.get_meta(connection, "high_water") or 0):
            with connection:
                database.raise_high_water(connection, keep.high_water)
    except BaseException:
        connection.close(True)
        raise
    return OpenedJournal(connection, epoch, head)


def _rebuild(path: Path, keep: Keep, mark: Whereabouts, damage: Exception, alive: Callable[[], None]) -> str:
    """Write a new database from everything that can be proven right, and replace the damaged one with it. Returns a
    sentence for the log.
    """
    salvage = _read_salvage(path, alive)
    if keep.snapshot is not None and keep.snapshot.good and keep.snapshot.seq > salvage.seq:
        salvage.snapshot, salvage.rows = keep.snapshot, []
    if keep.policy is not None:
        salvage.policies.append(keep.policy)
    salvage.high_water = max(salvage.high_water, keep.high_water)
    epoch = 1 + max(salvage.epoch, keep.epoch, mark.epoch, len(_quarantined(path)) + 1)
    building = path.with_name(path.name + ".building")
    _remove(building)
    _build(building, salvage, epoch, alive)
    os.replace(building, path.with_name(path.name + ".new"))
    database.sync_directory(path.parent)
    lost = max(0, max(mark.seq, keep.seq) - salvage.seq)
    why: Why = "cut" if isinstance(damage, Cut) else "damaged"
    _leave(path, epoch, why, lost, mark)
    _finish_swap(path)
    return (
        f"journal damaged ({damage}): moved to quarantine, going on from step {salvage.seq} in epoch {epoch}"
    )


def _build(path: Path, salvage: _Salvage, epoch: int, alive: Callable[[], None]) -> None:
    connection = database.connect(path, read_only=False)
    try:
        database.migrate(connection)
        with connection:
            database.set_meta(connection, "epoch", str(epoch))
            for policy in sorted(salvage.policies, key=lambda row: row.seq):
                database.insert_policy(connection, policy)
            database.raise_high_water(connection, salvage.high_water)
            for key, value in salvage.lines.items():
                database.set_meta(connection, key, value)
            if salvage.snapshot is not None:
                database.insert_snapshot(connection, salvage.snapshot, keep=1)
            for start in range(0, len(salvage.rows), database.PAGE_ROWS):
                database.insert_rows(connection, salvage.rows[start : start + database.PAGE_ROWS])
                alive()
        database.check(connection, alive)
    finally:
        connection.close()  # the last connection: its close moves the WAL into the file


def _read_salvage(path: Path, alive: Callable[[], None]) -> _Salvage:
    """Read each part of a damaged file on its own; parts that cannot be read are left out."""
    salvage = _Salvage()
    unreadable = (apsw.Error, Damaged, ValueError, UnicodeError)
    try:
        connection = database.connect(path, read_only=True)
    except (*unreadable, OSError):
        return salvage
    try:
        with suppress(*unreadable):
            salvage.epoch = int(database.get_meta(connection, "epoch") or 0)
        with suppress(*unreadable):
            salvage.high_water = int(database.get_meta(connection, "high_water") or 0)
        with suppress(*unreadable):
            lines = {key: database.get_meta(connection, key) for key in CARRIED}
            salvage.lines = {key: value for key, value in lines.items() if value is not None}
        with suppress(*unreadable):
            policy = database.last_policy(connection)
            salvage.policies += [] if policy is None else [policy]
        with suppress(*unreadable):
            salvage.snapshot = database.newest_dump(connection)
        start = salvage.snapshot
        head = Head() if start is None else Head(start.seq, start.at_ms, 0, start.chain)
        with suppress(*unreadable):
            for row in database.rows(connection, head.seq):
                head = database.follow(head, row)
                salvage.rows.append(row)
                if row.seq % database.PAGE_ROWS == 0:
                    alive()
    finally:
        connection.close(True)
    return salvage


def _finish_swap(path: Path) -> None:
    """Move the finished new database into place. If the process dies meanwhile, the next start completes it."""
    fresh = path.with_name(path.name + ".new")
    if not fresh.exists():
        return
    folder = path.parent / "quarantine"
    folder.mkdir(exist_ok=True)
    name = f"{path.name}.{wall_ms()}"
    for suffix in SUFFIXES:
        old = path.with_name(path.name + suffix)
        if old.exists():
            os.replace(old, folder / (name + suffix))
    database.sync_directory(folder)
    os.replace(fresh, path)
    _suspect(path).unlink(missing_ok=True)
    database.sync_directory(path.parent)
    for extra in _quarantined(path)[:-QUARANTINE_KEPT]:
        _remove(extra)


def _quarantined(path: Path) -> list[Path]:
    """Journal files in quarantine, oldest first (their names end in ms since 1970)."""
    found = (path.parent / "quarantine").glob(path.name + ".*[0-9]")
    return sorted(found, key=lambda old: int(old.name.rpartition(".")[2]))


def _refresh_keep(path: Path, opened: OpenedJournal, keep: Keep) -> None:
    """Write the keep file again, if it differs from the database."""
    snapshot = database.newest_dump(opened.connection)
    high_water = int(database.get_meta(opened.connection, "high_water") or 0)
    now = Keep(opened.epoch, opened.head.seq, high_water, database.last_policy(opened.connection), snapshot)
    if replace(now, seq=keep.seq) == keep and keep_path(path).exists():
        return
    try:
        write_keep(path, now)
    except OSError as error:  # a full disk must not keep the hall from starting: the database itself is good
        opened.notices.append(
            "no second copy of state dump and policy (keep file), tried again later; until then a damaged journal"
            f" would be restored from an older copy: {error}"
        )


def _remove(path: Path) -> None:
    for suffix in SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
