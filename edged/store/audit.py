"""Verifies the hash chain of the whole journal in the background, a few steps at a time, while the hall is served.

A start verifies only the steps after the newest good state dump, so that an old journal starts as fast as a new one.
All steps are verified here, from the oldest to the last, once after every start and once a day, by the writer thread
while it is idle. With ``ROWS`` steps every ``EVERY_S`` seconds, a million steps take half an hour; a flipped bit among
them is found after a day and half an hour at the latest. The hashes of state dumps are verified as well.

Steps that the first version of this program wrote uncompressed are compressed in the same pass, after they were
verified. Fewer of them are handled at a time, so that a commit waits for at most ``PACK_S`` of work and one sync. No
progress is stored: after a restart, steps that are compressed already are only verified. At the end of a pass, free
pages are given back to the file system as holes (holes.py).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import apsw

from edged.clock import monotonic_s, perf_s
from edged.store import codec, database, packing
from edged.store.database import GENESIS, Damaged, Head, Row
from edged.store.holes import Holes

ROWS = 60  # steps in one slice: half a millisecond, in which the loop may wait for Python's lock
EVERY_S = 0.1
PAUSE_S = 86_400.0  # from the end of one pass to the next
PACKED_ROWS = 30  # steps in one slice that is rewritten: about 100 KiB of WAL
PACK_S = 0.01  # work per rewritten slice, without the sync; a slower machine takes fewer steps


class Audit:
    """The background verification of one journal. ``verify_next`` is called in the writer thread, between commits."""

    def __init__(self, path: Path) -> None:
        self.holes = Holes(path)
        self._to_pack = 0  # number of steps in the next slice while uncompressed ones are found
        self._head: Head | None = None  # the last step verified; None: a pass begins
        self._dumps: list[tuple[int, int]] = []
        self._due_s = 0.0
        self.passes = 0

    @property
    def wait_s(self) -> float:
        """Seconds until the next slice of the journal is to be verified."""
        return max(0.0, self._due_s - monotonic_s())

    def verify_next(self, connection: apsw.Connection) -> str | None:
        """Verify the next slice of the journal, if it is due. Returns a sentence for the log if a state dump was not
        what was written and has been deleted; None otherwise.

        Raises ``Damaged`` if a step is not what was written.
        """
        if monotonic_s() < self._due_s:
            return None
        self._due_s = monotonic_s() + EVERY_S
        if self.holes.digging:
            self.holes.dig(connection)
            self._due_s += 0.0 if self.holes.digging else PAUSE_S
            return None
        if self._dumps:
            return _check_dump(connection, self._dumps.pop())
        first = database.first_seq(connection)
        if first is None:
            self._end(connection)
            return None
        if self._head is None or self._head.seq < first - 1:
            self._head = _before(connection, first)
            self._dumps = _dumps(connection)
            return None
        wanted = self._to_pack or ROWS
        rows = list(database.rows(connection, self._head.seq, limit=wanted))
        packed = self._pack(connection, self._head, rows)
        for row in rows[:packed]:
            self._head = database.follow(self._head, row)
        if len(rows) < wanted and packed == len(rows):
            self._end(connection)
        return None

    def _pack(self, connection: apsw.Connection, head: Head, rows: list[Row]) -> int:
        """Verify and compress the first of ``rows`` (the steps after ``head``): as many as probably take at most
        ``PACK_S``, in one transaction. If all ``rows`` are compressed already, do nothing. Returns how many of ``rows``
        are compressed now, counted from the first.
        """
        if not database.any_unpacked(connection, rows):
            self._to_pack = 0
            return len(rows)
        some = rows[: self._to_pack or PACKED_ROWS]
        for row in some:
            head = database.follow(head, row)
        began_s = perf_s()
        with connection:
            database.write_again(connection, some)
            took_s = perf_s() - began_s
        slow = took_s > PACK_S
        self._to_pack = max(1, len(some) // 2) if slow else min(PACKED_ROWS, 2 * len(some))
        return len(some)

    def _end(self, connection: apsw.Connection) -> None:
        self.passes += 1
        self._head = None
        self.holes.begin(connection)
        if not self.holes.digging:
            self._due_s = monotonic_s() + PAUSE_S


def _before(connection: apsw.Connection, first: int) -> Head:
    """The position in the hash chain before ``first``, the oldest step in the journal: the fixed beginning of the chain
    for step 1, otherwise the mark of the state dump up to which older steps were pruned.

    While pruning is under way there is no such mark: then the position of ``first`` itself, which cannot be verified.
    """
    if first == 1:
        return Head(chain=GENESIS)
    chain = connection.execute("SELECT chain FROM snapshots WHERE seq = ? LIMIT 1", (first - 1,)).get
    if isinstance(chain, bytes):
        return Head(first - 1, chain=chain)
    row = next(
        database.rows(connection, first - 1, limit=1)
    )  # pruning is under way: this row cannot be verified
    return Head(row.seq, row.at_ms, row.wall_ms, row.chain)


def _dumps(connection: apsw.Connection) -> list[tuple[int, int]]:
    """(seq, at_ms) of the state dumps that still have their content."""
    query = "SELECT seq, at_ms FROM snapshots WHERE blob IS NOT NULL"
    return [(int(seq), int(at_ms)) for seq, at_ms in connection.execute(query)]


def _check_dump(connection: apsw.Connection, place: tuple[int, int]) -> str | None:
    found = connection.execute(
        "SELECT s.sha256, s.blob, s.chain, r.chain FROM snapshots s LEFT JOIN steps r ON r.seq = s.seq"
        " WHERE s.seq = ? AND s.at_ms = ?",
        place,
    ).fetchone()
    if found is None or found[1] is None:
        return None
    sha256, blob, chain, its_step = found
    if its_step is not None and its_step != chain:
        raise Damaged(f"the state dump of step {place[0]} belongs to another step")
    with suppress(packing.NotPacked, TypeError):
        if codec.sha256(packing.unpack_dump(blob)) == sha256:
            return None
    with connection:
        connection.execute("UPDATE snapshots SET blob = NULL WHERE seq = ? AND at_ms = ?", place)
    return f"the state dump of step {place[0]} was changed on the disk and is not used any more"
