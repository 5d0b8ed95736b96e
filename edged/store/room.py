"""Limits the journal's disk space: prunes steps older than ``keep_days``, and has a reserve file (the ballast) to
delete when the disk is full.

On a full disk SQLite can neither delete nor checkpoint, so pruning alone cannot free space (measured: INSERT, DELETE
and ``wal_checkpoint`` all return ``SQLITE_FULL``). The ballast file exists for that moment only. Steps are pruned from
the oldest on, up to a state dump that stays and from which a replay starts.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

import apsw

from edged.clock import monotonic_s
from edged.store import database
from edged.store.uplink import KEY, read_cursor

BALLAST_BYTES = 16 * 1024 * 1024  # size of the ballast: room for a WAL of deletions and its checkpoint
FREE_FACTOR = 3  # the ballast is created only if this many times its size is free
DAY_MS = 86_400_000
PRUNE_ROWS = 500  # steps in one transaction: a few ms, so that no commit of the hall waits long behind it
HELD_FACTOR = 2
CHECK_S = 10.0  # between checks of the disk
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Room:
    """The disk space of one journal. ``maintain`` and ``free`` are called in the writer thread, between commits."""

    def __init__(self, path: Path, epoch: int, keep_days: int) -> None:
        self._epoch = epoch
        self.path = path
        self._ballast = path.with_name(path.name + ".ballast")
        self._bytes = BALLAST_BYTES
        self._keep_ms = keep_days * DAY_MS
        self._maintained_s = -CHECK_S

    def maintain(self, connection: apsw.Connection, now_ms: int) -> bool:
        """Every ``CHECK_S`` seconds: create the ballast file if there is space for it, and prune a batch of steps. True
        if more steps can be pruned now.

        ``now_ms``: hall time of the last step. Raises ``apsw.FullError`` if the disk is full, another ``apsw.Error`` if
        it fails.
        """
        if monotonic_s() - self._maintained_s < CHECK_S:
            return False
        self._lay_in()
        if self._prune(connection, now_ms) == PRUNE_ROWS:
            return True
        self._maintained_s = monotonic_s()
        return False

    def free(self, connection: apsw.Connection, now_ms: int) -> bool:
        """Free space on a full disk: delete the ballast file, prune every step that is old enough, shrink the WAL.
        False: there was no ballast file to delete.
        """
        if not self._ballast.exists():
            return False
        self._ballast.unlink()
        with suppress(apsw.FullError, apsw.BusyError):
            while self._prune(connection, now_ms) == PRUNE_ROWS:
                pass
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        return True

    def _prune(self, connection: apsw.Connection, now_ms: int) -> int:
        """Prune a batch of steps that are older than ``keep_days`` and that the centre has acknowledged. If there are
        none, prune steps that the centre has not acknowledged, but only those older than ``HELD_FACTOR`` times
        ``keep_days``. Returns the number of steps deleted.
        """
        acknowledged = read_cursor(database.get_meta(connection, KEY), self._epoch, 2**63 - 1).step
        pruned = prune(connection, now_ms - self._keep_ms, acknowledged)
        return pruned or prune(connection, now_ms - HELD_FACTOR * self._keep_ms, None)

    def _lay_in(self) -> None:
        with suppress(OSError):
            if self._ballast.stat().st_size == self._bytes:
                return
        disk = os.statvfs(self._ballast.parent)
        if disk.f_bavail * disk.f_frsize < FREE_FACTOR * self._bytes:
            return
        try:
            with open(self._ballast, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._bytes)
        except OSError as error:
            self._ballast.unlink(missing_ok=True)
            if error.errno not in NO_ROOM:
                raise


def prune(connection: apsw.Connection, before_ms: int, upto_seq: int | None) -> int:
    """Delete the oldest steps, at most ``PRUNE_ROWS``, up to the last state dump before hall time ``before_ms``.

    ``upto_seq``: no step after this one is deleted (None: no such limit). Returns the number of steps deleted.
    """
    limit = 2**63 - 1 if upto_seq is None else upto_seq
    boundary = connection.execute(
        "SELECT max(seq) FROM snapshots WHERE blob IS NOT NULL AND at_ms < ? AND seq <= ?", (before_ms, limit)
    ).get
    if boundary is None:
        return 0
    with connection:
        connection.execute(
            "DELETE FROM steps WHERE seq IN (SELECT seq FROM steps WHERE seq <= ? ORDER BY seq LIMIT ?)",
            (boundary, PRUNE_ROWS),
        )
        deleted = int(connection.changes())
        if deleted < PRUNE_ROWS:
            connection.execute("DELETE FROM snapshots WHERE seq < ?", (boundary,))
            connection.execute(
                "DELETE FROM policy WHERE seq < ? AND seq < (SELECT max(seq) FROM policy)", (boundary,)
            )
    return deleted
