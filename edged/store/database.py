"""The SQLite file of the journal: how it is opened, upgraded, checked, read and written.

Rules: WAL with ``synchronous=FULL`` (a commit is on the disk when it returns); checkpoints are explicit, so that their
errors are seen; a file of a newer schema is refused before it is changed; every row is chained to the one before it by
SHA-256, so that a flipped bit or a missing row is found even where SQLite's own check finds nothing. A start verifies
the chain from the newest good state dump on; audit.py verifies the rest later, in slices.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import apsw

from edged.store import codec, packing

SCHEMA_VERSION = 2
APPLICATION_ID = 0x45444744  # "EDGD": other programs' databases are not ours to open
BUSY_MS = 5_000  # a reader closing its connection may hold the lock for one checkpoint
CACHE_KIB = 512  # of pages: the writer appends, and deletes from the other end; 1.5 MiB less than by default
WAL_KEPT_BYTES = 16 * 1024 * 1024  # after a burst the WAL file shrinks to this at the next reset
PAGE_ROWS = 500  # rows read at a time: about half a MB
DAY_MS = 86_400_000
GENESIS = b"\0" * 32  # chain before the first row

# Scripts that lead from version i to i + 1, each run inside one transaction.
MIGRATIONS = tuple(
    Path(__file__).with_name(name).read_text("utf-8") for name in ("schema.sql", "schema_2.sql")
)
assert len(MIGRATIONS) == SCHEMA_VERSION

# For readers of a file that no daemon has upgraded yet: the new tables exist for them, and are empty.
_AS_VERSION_2 = "CREATE TEMP VIEW snapshots AS SELECT *, NULL AS day FROM main.snapshots"
_BLOB = (bytes, type(None))
_STEP_TYPES = (int, int, int, str, str, _BLOB, _BLOB, _BLOB, bytes)
_INSERT_SIZES = (64, 8, 1)  # rows per INSERT: so few statements that SQLite keeps all prepared
_STEP_COLUMNS = "seq, at_ms, wall_ms, kind, src, event, commands, notes, chain"
_SNAPSHOT_COLUMNS = "seq, at_ms, sha256, chain, blob, day"


class StoreError(Exception):
    """The journal cannot be used. ``exit_code``: the exit code of the process then (sysexits.h)."""

    exit_code = 74  # EX_IOERR


class JournalBroken(StoreError):
    """The disk failed or an invariant was broken: the process ends, and its next start recovers the journal."""


class JournalBusy(StoreError):
    """Another process writes this journal."""

    exit_code = 75  # EX_TEMPFAIL


class SchemaTooNew(StoreError):
    """A newer version of the program wrote this file (install that version again), or another program did. The file was
    not changed.
    """

    exit_code = 78  # EX_CONFIG


class Damaged(Exception):
    """The file does not hold what was written; it has to be moved aside."""


@dataclass(slots=True)
class Row:
    """A row of table ``steps``, with its commands decompressed. The writer fills in ``wall_ms`` and ``chain`` when it
    commits.
    """

    seq: int
    at_ms: int
    wall_ms: int
    kind: str
    src: str
    event: bytes | None
    commands: bytes | None
    notes: bytes | None
    chain: bytes = b""

    def values(self) -> tuple[int, int, int, str, str, bytes | None, bytes | None, bytes | None, bytes]:
        """The values as stored (commands compressed), in the order of the columns."""
        return (
            self.seq,
            self.at_ms,
            self.wall_ms,
            self.kind,
            self.src,
            self.event,
            packing.pack(self.commands),
            self.notes,
            self.chain,
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state dump: the state after step ``seq`` and every tick due up to hall time ``at_ms``, as JSON in ``blob``.
    ``blob`` None: the content was deleted, and position and hash remain (a mark).

    ``day``: the business day (days since 1970-01-01), None if the hall did not know the date.
    """

    seq: int
    at_ms: int
    sha256: str
    chain: bytes
    blob: bytes | None
    day: int | None = None

    @property
    def good(self) -> bool:
        """Whether the content still exists and its hash is right."""
        return self.blob is not None and codec.sha256(self.blob) == self.sha256


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """A policy that step ``seq`` applied at hall time ``at_ms``, with the signed document (envelope) that carried
    it.
    """

    version: int
    sha256: str
    envelope: bytes
    seq: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Head:
    """The last step of the journal. ``seq`` 0: the journal is empty."""

    seq: int = 0
    at_ms: int = 0
    wall_ms: int = 0
    chain: bytes = GENESIS


def connect(path: Path, *, read_only: bool, vfs: str | None = None) -> apsw.Connection:
    """Open a connection with the journal's settings. Raises ``apsw.Error`` if it cannot be opened, ``JournalBroken`` if
    the file system cannot do WAL.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = _reader(path, vfs) if read_only else apsw.Connection(str(path), flags, vfs=vfs)
    try:
        connection.set_busy_timeout(BUSY_MS)
        connection.pragma("cell_size_check", True)
        connection.pragma("trusted_schema", False)
        if not read_only:
            # SQLite answers with another mode where the file system cannot map shared memory.
            mode = connection.pragma("journal_mode", "wal")
            if mode != "wal":
                raise JournalBroken(f"{path}: the file system gives journal mode {mode!r}, not wal")
            # FULL: with NORMAL a power cut rolls back commits that were acknowledged (sqlite.org/pragma.html).
            connection.pragma("synchronous", 2)
            connection.pragma("wal_autocheckpoint", 0)
            connection.pragma("journal_size_limit", WAL_KEPT_BYTES)
            connection.pragma("secure_delete", True)
            connection.pragma("cache_size", -CACHE_KIB)
        elif connection.pragma("user_version") == 1:
            connection.execute(_AS_VERSION_2)
    except BaseException:
        connection.close(True)
        raise
    return connection


def _reader(path: Path, vfs: str | None) -> apsw.Connection:
    """A connection that only reads: it does not checkpoint the WAL when it closes."""
    connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY, vfs=vfs)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def refuse_foreign(path: Path, vfs: str | None = None) -> None:
    """Raise ``SchemaTooNew`` for a file of a newer schema or of another program, without changing it.

    Raises ``apsw.Error`` if the file cannot be read as a database.
    """
    if not path.exists() or path.stat().st_size < 100:
        return
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        connection = _reader(path, vfs)
        try:
            version, application = connection.pragma("user_version"), connection.pragma("application_id")
        finally:
            connection.close(True)
    else:  # even a reader would leave an empty WAL: both stand in the file header (sqlite.org/fileformat.html)
        with open(path, "rb") as file:
            magic, version, application = struct.unpack(">16s44xi4xi", file.read(72))
        if magic != b"SQLite format 3\0":
            return  # not a database at all: SQLite says so when it is opened
    if application not in (0, APPLICATION_ID):
        raise SchemaTooNew(f"{path} belongs to another program (application_id {application:#x}); left alone")
    if version > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"{path} has schema {version}, this program knows {SCHEMA_VERSION}: install the newer version; left alone"
        )


def migrate(connection: apsw.Connection) -> bool:
    """Upgrade the schema to ``SCHEMA_VERSION`` in one transaction; True if the file was empty before."""
    version = int(connection.pragma("user_version"))
    if version == SCHEMA_VERSION:
        return False
    with connection:
        for script in MIGRATIONS[version:]:
            connection.execute(script)
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", SCHEMA_VERSION)
    # The version must stand in the main file, where an older program looks for it without reading the WAL.
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    return version == 0


def check(connection: apsw.Connection, alive: Callable[[], None] = lambda: None) -> Head:
    """Check the schema, and the hash chain from the newest good state dump on. Returns the last step.

    ``alive`` is called every ``PAGE_ROWS`` steps. Raises ``Damaged`` if the file does not hold what was written.
    """
    if _schema(connection) != _expected_schema():
        raise Damaged("the schema is not what was written")
    last_policy(connection)
    start = newest_dump(connection)
    head = Head() if start is None else Head(start.seq, start.at_ms, 0, start.chain)
    if start is None:
        first = first_seq(connection)
        if first not in (None, 1):
            raise Damaged(f"steps before {first} are gone and there is no good snapshot")
    else:
        head = _with_wall(connection, head)
    for row in rows(connection, head.seq):
        head = follow(head, row)
        if row.seq % PAGE_ROWS == 0:
            alive()
    return head


def first_seq(connection: apsw.Connection) -> int | None:
    """Number of the oldest step that was not pruned; None if there is no step."""
    found = connection.execute("SELECT min(seq) FROM steps").get
    return None if found is None else int(found)


def follow(head: Head, row: Row) -> Head:
    """Check that ``row`` follows ``head`` in number and hash chain; returns the new head. Raises ``Damaged`` if it does
    not.
    """
    if row.seq != head.seq + 1:
        raise Damaged(f"step {head.seq + 1} is missing")
    if chained(head.chain, row) != row.chain:
        raise Damaged(f"step {row.seq} is not what was written")
    return Head(row.seq, max(row.at_ms, head.at_ms), row.wall_ms, row.chain)


def chained(previous: bytes, row: Row) -> bytes:
    """The chain hash of ``row``: SHA-256 over the previous chain hash and all other columns of ``row``, each with its
    length.
    """
    parts = [previous, struct.pack(">qqq", row.seq, row.at_ms, row.wall_ms)]
    for part in (row.kind.encode(), row.src.encode(), row.event, row.commands, row.notes):
        parts.append(struct.pack(">q", -1 if part is None else len(part)))
        parts.append(part or b"")
    return hashlib.sha256(b"".join(parts)).digest()


def rows(connection: apsw.Connection, after_seq: int = 0, limit: int | None = None) -> Iterator[Row]:
    """Steps after ``after_seq`` in order, at most ``limit``. They are read in pages, and no read transaction stays open
    between two pages.

    Raises ``Damaged`` if a row has values of wrong types or cannot be decompressed.
    """
    query = f"SELECT {_STEP_COLUMNS} FROM steps WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608 (a constant)
    left = 2**63 - 1 if limit is None else limit
    while left > 0:
        wanted = min(left, PAGE_ROWS)
        page = [_row(values) for values in connection.execute(query, (after_seq, wanted))]
        yield from page
        if len(page) < wanted:
            return
        left -= len(page)
        after_seq = page[-1].seq


def entries(connection: apsw.Connection, start: Snapshot | None = None) -> Iterator[Row | Snapshot]:
    """Steps after ``start`` (None: from the first), and between them the marks of state dumps, each after its step."""
    after = (0, -1) if start is None else (start.seq, start.at_ms)
    left = marks(connection, after)  # newest first
    for row in rows(connection, after[0]):
        while left and left[-1].seq < row.seq:
            yield left.pop()
        yield row
    yield from reversed(left)


def insert_rows(connection: apsw.Connection, many: list[Row]) -> None:
    """Insert steps, inside the caller's transaction.

    Many rows go into one statement: SQLite then releases and takes Python's lock (the GIL) once, not once per row.
    """
    start = 0
    while start < len(many):
        size = next(size for size in _INSERT_SIZES if size <= len(many) - start)
        values = [value for row in many[start : start + size] for value in row.values()]
        connection.execute(_insert(size), values)
        start += size


def any_unpacked(connection: apsw.Connection, many: list[Row]) -> bool:
    """Whether any of these consecutive steps is stored uncompressed, as the first version of this program wrote
    them.
    """
    return bool(many) and bool(
        connection.execute(
            "SELECT EXISTS (SELECT 1 FROM steps WHERE seq BETWEEN ? AND ?"
            " AND substr(commands, 1, 1) = x'5b' AND length(commands) >= ?)",
            (many[0].seq, many[-1].seq, packing.WORTH_BYTES),
        ).get
    )


def write_again(connection: apsw.Connection, many: list[Row]) -> None:
    """Rewrite these consecutive steps compressed, inside the caller's transaction.

    They are deleted first: an ``UPDATE`` would leave every database page where it is, a quarter full.
    """
    connection.execute("DELETE FROM steps WHERE seq BETWEEN ? AND ?", (many[0].seq, many[-1].seq))
    insert_rows(connection, many)


@cache
def _insert(size: int) -> str:
    return f"INSERT INTO steps ({_STEP_COLUMNS}) VALUES {','.join(['(?,?,?,?,?,?,?,?,?)'] * size)}"  # noqa: S608


def snapshots(connection: apsw.Connection) -> Iterator[Snapshot]:
    """State dumps and marks, newest first; rows whose column types are wrong (a damaged database page) are skipped."""
    query = f"SELECT {_SNAPSHOT_COLUMNS} FROM snapshots ORDER BY seq DESC, at_ms DESC"  # noqa: S608 (a constant)
    for values in connection.execute(query):
        if _typed(values, (int, int, str, bytes, _BLOB, (int, type(None)))):
            found = Snapshot(*values)
            yield found if found.blob is None else replace(found, blob=_unpacked(found.blob))


def newest_dump(connection: apsw.Connection) -> Snapshot | None:
    """The newest state dump whose hash is right; None if there is none."""
    return next((one for one in snapshots(connection) if one.good), None)


def marks(connection: apsw.Connection, after: tuple[int, int], limit: int = -1) -> list[Snapshot]:
    """Marks of the state dumps after (seq, at_ms), newest first, at most ``limit`` (-1: all); their contents are not
    read.
    """
    found = connection.execute(
        "SELECT seq, at_ms, sha256, chain, NULL, day FROM snapshots WHERE (seq, at_ms) > (?, ?)"
        " ORDER BY seq DESC, at_ms DESC LIMIT ?",
        (*after, limit),
    )
    return [
        Snapshot(*values)
        for values in found
        if _typed(values, (int, int, str, bytes, _BLOB, (int, type(None))))
    ]


def dumps_from_the_oldest(connection: apsw.Connection) -> Iterator[Snapshot]:
    """Yield the state dumps whose content was not deleted yet, oldest first, each without its content."""
    query = "SELECT seq, at_ms, sha256, chain, NULL, day FROM snapshots WHERE blob IS NOT NULL ORDER BY seq, at_ms"
    for values in connection.execute(query):
        if _typed(values, (int, int, str, bytes, _BLOB, (int, type(None)))):
            yield Snapshot(*values)


def dump_at(connection: apsw.Connection, mark: Snapshot) -> bytes | None:
    """The content of the state dump at ``mark``; None if it was deleted or its hash is wrong."""
    query = "SELECT blob FROM snapshots WHERE seq = ? AND at_ms = ?"
    blob = connection.execute(query, (mark.seq, mark.at_ms)).get
    found = replace(mark, blob=_unpacked(blob) if isinstance(blob, bytes) else None)
    return found.blob if found.good else None


def _unpacked(stored: bytes) -> bytes:
    """The decompressed dump, over which the hash is taken. Bytes that cannot be decompressed are returned as they are,
    and their hash is wrong.
    """
    try:
        return packing.unpack_dump(stored)
    except packing.NotPacked:
        return stored


def insert_snapshot(connection: apsw.Connection, snapshot: Snapshot, keep: int) -> None:
    """Insert a state dump, and delete the contents of older ones except the newest ``keep`` and the first of each
    business day.

    The marks of all of them stay, for replay; the first dump of a day is where a replay starts once older steps are
    pruned.
    """
    packed = None if snapshot.blob is None else packing.pack_dump(snapshot.blob)
    connection.execute(
        f"INSERT OR REPLACE INTO snapshots ({_SNAPSHOT_COLUMNS}) VALUES (?,?,?,?,?,?)",  # noqa: S608 (a constant)
        (snapshot.seq, snapshot.at_ms, snapshot.sha256, snapshot.chain, packed, snapshot.day),
    )
    connection.execute(
        "UPDATE snapshots SET blob = NULL WHERE blob IS NOT NULL AND (seq, at_ms) NOT IN"
        " (SELECT seq, at_ms FROM snapshots WHERE blob IS NOT NULL ORDER BY seq DESC, at_ms DESC LIMIT ?)"
        " AND (seq, at_ms) NOT IN"
        " (SELECT seq, min(at_ms) FROM snapshots GROUP BY coalesce(day, -1 - at_ms / ?))",
        (keep, DAY_MS),
    )


def last_policy(connection: apsw.Connection) -> PolicyRow | None:
    """The policy applied last; None if none was ever applied. Raises ``Damaged`` if the row has values of wrong
    types.
    """
    found = connection.execute(
        "SELECT version, sha256, envelope, seq, at_ms FROM policy ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    if found is not None and not _typed(found, (int, str, bytes, int, int)):
        raise Damaged("the policy is not what was written")
    return None if found is None else PolicyRow(*found)


def newest_policies(connection: apsw.Connection, count: int) -> list[PolicyRow]:
    """The policies with the highest versions that were ever applied, highest first."""
    query = "SELECT version, sha256, envelope, seq, at_ms FROM policy ORDER BY version DESC LIMIT ?"
    return [PolicyRow(*values) for values in connection.execute(query, (count,))]


def insert_policy(connection: apsw.Connection, row: PolicyRow) -> None:
    """Insert a policy. If its version is the highest so far, it becomes the high-water mark, up to which later policies
    are refused.
    """
    connection.execute(
        "INSERT OR REPLACE INTO policy (version, sha256, envelope, seq, at_ms) VALUES (?,?,?,?,?)",
        (row.version, row.sha256, row.envelope, row.seq, row.at_ms),
    )
    raise_high_water(connection, row.version)


def raise_high_water(connection: apsw.Connection, version: int) -> None:
    """Store that every policy up to ``version`` is refused from now on. A lower version than the stored one changes
    nothing.
    """
    set_meta(connection, "high_water", str(max(version, int(get_meta(connection, "high_water") or 0))))


def get_meta(connection: apsw.Connection, key: str) -> str | None:
    """The value of ``key`` in table ``meta``; None if there is none."""
    value = connection.execute("SELECT v FROM meta WHERE k = ?", (key,)).get
    return None if value is None else str(value)


def set_meta(connection: apsw.Connection, key: str, value: str) -> None:
    """Set the value of ``key`` in table ``meta``, inside the caller's transaction if there is one."""
    connection.execute("INSERT OR REPLACE INTO meta (k, v) VALUES (?, ?)", (key, value))


def settle(connection: apsw.Connection) -> bool:
    """Checkpoint the whole WAL into the main file, so that a WAL whose end is lost loses no step. False if some of it
    could not be moved.

    Raises ``apsw.BusyError`` while another connection checkpoints, ``apsw.LockedError`` within a transaction.
    """
    try:
        pages, moved = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    except apsw.FullError:
        return False
    return pages == moved


def sync_directory(path: Path) -> None:
    """fsync a directory, so that new and renamed files in it survive a power cut."""
    sync_file(path)


def sync_file(path: Path) -> None:
    """fsync a file or directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _with_wall(connection: apsw.Connection, head: Head) -> Head:
    wall_ms = connection.execute("SELECT wall_ms FROM steps WHERE seq = ?", (head.seq,)).get
    return Head(head.seq, head.at_ms, int(wall_ms or 0), head.chain)


def _schema(connection: apsw.Connection) -> list[tuple[Any, ...]]:
    return list(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"))


@cache
def _expected_schema() -> list[tuple[Any, ...]]:
    fresh = apsw.Connection(":memory:")
    try:
        for script in MIGRATIONS:
            fresh.execute(script)
        return _schema(fresh)
    finally:
        fresh.close()


def _row(values: tuple[Any, ...]) -> Row:
    if not _typed(values, _STEP_TYPES):
        raise Damaged(f"step {values[0]} is not what was written")
    row = Row(*values)
    try:
        row.commands = packing.unpack(row.commands)
    except packing.NotPacked as error:
        raise Damaged(f"step {row.seq}: its commands are not what was written: {error}") from error
    return row


def _typed(values: tuple[Any, ...], types: tuple[Any, ...]) -> bool:
    """Whether the values of a row have these types: a damaged page may hold any type in any column, whatever the schema
    says.
    """
    return all(map(isinstance, values, types))
