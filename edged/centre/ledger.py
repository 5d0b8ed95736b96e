"""The city's PostgreSQL: stores each event once, and up to which number each hall's history is complete.

Rules: a batch is one transaction, which locks the ``cursors`` rows of its halls, so that several processes may store
batches in any order. An event that is sent again is not stored again. ``upto`` advances only as far as the events'
``previous`` numbers show no gap; only events up to it are acknowledged, after the commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import NamedTuple

import psycopg

from edged.centre.hall_messages import HallEvent, RetainedMessage
from edged.clock import wall_ms

FIRST_MONTH = (2026, 1)  # an earlier date comes from a clock that was never set
AHEAD_MONTHS = 1
TAIL_MAX = 20_000  # events beyond a gap that are looked at in one go
SCHEMA_LOCK = 0x6564_6765  # two processes that start at once make the tables one after the other

# A server configured with synchronous_commit = off may lose its last commits; acknowledged events must not be lost.
_DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)
_INCOMING = """
CREATE TEMP TABLE IF NOT EXISTS incoming (
  hall text, epoch integer, seq bigint, previous bigint, at timestamptz, kind text, subject text, historical boolean,
  data jsonb
) ON COMMIT DELETE ROWS
"""
_COPY = "COPY incoming (hall, epoch, seq, previous, at, kind, subject, historical, data) FROM STDIN"
_KEEP = """
INSERT INTO events (hall, epoch, seq, previous, at, kind, subject, historical, data)
SELECT i.hall, i.epoch, i.seq, i.previous, i.at, i.kind, i.subject, i.historical, i.data
FROM (SELECT DISTINCT ON (hall, epoch, seq) * FROM incoming ORDER BY hall, epoch, seq, previous) i
JOIN cursors c USING (hall, epoch)
WHERE i.seq > c.seen OR NOT EXISTS (
  SELECT 1 FROM events e WHERE e.hall = i.hall AND e.epoch = i.epoch AND e.seq = i.seq)
"""
# A hall that sends an event again may name a smaller ``previous``, because fewer events are missing before it.
_CLOSER = """
UPDATE events e SET previous = i.previous
FROM incoming i JOIN cursors c USING (hall, epoch)
WHERE e.hall = i.hall AND e.epoch = i.epoch AND e.seq = i.seq AND e.seq > c.upto AND e.seq <= c.seen
  AND i.previous < e.previous
"""
_TAIL = "SELECT seq, previous FROM events WHERE hall = %s AND epoch = %s AND seq > %s ORDER BY seq LIMIT %s"
_RETAINED = """
INSERT INTO pictures (topic, hall, payload) VALUES (%s, %s, %s)
ON CONFLICT (topic) DO UPDATE SET payload = EXCLUDED.payload, at = now()
WHERE pictures.payload IS DISTINCT FROM EXCLUDED.payload
"""

HallEpoch = tuple[str, int]


class KeptBatch(NamedTuple):
    """The result of storing a batch. ``new`` and ``doubles``: how many events were stored, and were stored already.
    ``upto``: the last number before the first gap, by hall and epoch; ``gaps``: the halls and epochs that have a gap
    after it.
    """

    new: int
    doubles: int
    upto: dict[HallEpoch, int]
    gaps: set[HallEpoch]


class CentreLedger:
    """A connection for one thread. Every method is one transaction; it raises ``psycopg.Error``, and has stored
    nothing, if the database is away or refuses.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection | None = None
        self._months: set[tuple[int, int]] = set()

    def connection(self) -> psycopg.Connection:
        """The open connection; connects again if it was lost, and creates missing tables."""
        if self._connection is None or self._connection.closed:
            made = psycopg.connect(self._dsn, application_name="edged centre", connect_timeout=5)
            try:
                prepare(made)
                made.execute(_DURABLE)
                made.execute(_INCOMING)
                made.commit()
            except BaseException:
                made.close()
                raise
            self._connection = made
            self._months.clear()
        return self._connection

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def keep(self, events: Sequence[HallEvent], retained: Sequence[RetainedMessage] = ()) -> KeptBatch:
        """Store a whole batch. Raises ``psycopg.Error``, and stores nothing, if the database is away or refuses one
        message of it.
        """
        connection = self.connection()
        self._make_months(event.at for event in events)
        with connection.transaction(), connection.cursor() as cursor:
            kept = _keep(cursor, events) if events else KeptBatch(0, 0, {}, set())
            newest = {message.topic: message for message in retained}
            for topic in sorted(newest):  # in a fixed order, so that two processes cannot deadlock
                cursor.execute(_RETAINED, newest[topic])
        return kept

    def _make_months(self, moments: Iterable[datetime]) -> None:
        """Make the tables for a batch's months; events outside of the allowed months go to ``events_other``."""
        connection = self.connection()
        latest = month_after(utc_now(), AHEAD_MONTHS)
        for month in {(moment.year, moment.month) for moment in moments} - self._months:
            if FIRST_MONTH <= month <= latest:
                make_month(connection, month)
            self._months.add(month)


def _keep(cursor: psycopg.Cursor, events: Sequence[HallEvent]) -> KeptBatch:
    epochs = sorted({(event.hall, event.epoch) for event in events})
    cursor.executemany("INSERT INTO cursors (hall, epoch) VALUES (%s, %s) ON CONFLICT DO NOTHING", epochs)
    before: dict[HallEpoch, tuple[int, int]] = {}
    for hall, epoch in epochs:
        cursor.execute(
            "SELECT upto, seen FROM cursors WHERE hall = %s AND epoch = %s FOR UPDATE", (hall, epoch)
        )
        found = cursor.fetchone()
        assert found is not None
        before[hall, epoch] = found
    with cursor.copy(_COPY) as copy:
        for event in events:
            copy.write_row(event)
    cursor.execute(_KEEP)
    new = cursor.rowcount
    cursor.execute(_CLOSER)
    upto: dict[HallEpoch, int] = {}
    gaps: set[HallEpoch] = set()
    for key in epochs:
        reached, seen = before[key]
        mine = sorted((e.seq, e.previous) for e in events if (e.hall, e.epoch) == key)
        if seen > reached:  # there was a gap: the new events may close it
            mine = cursor.execute(_TAIL, (*key, reached, TAIL_MAX)).fetchall()
        upto[key] = joined(reached, mine)
        highest = max(seen, mine[-1][0] if mine else 0)
        if highest > upto[key]:
            gaps.add(key)
        cursor.execute(
            "UPDATE cursors SET upto = %s, seen = %s, heard_at = now() WHERE hall = %s AND epoch = %s",
            (upto[key], highest, *key),
        )
    return KeptBatch(new, len(events) - new, upto, gaps)


def joined(upto: int, numbers: Sequence[tuple[int, int]]) -> int:
    """Return the last number up to which no event is missing, starting from ``upto``. ``numbers``: pairs (number,
    number of the event sent before it), sorted.
    """
    for number, previous in numbers:
        if previous > upto:
            break
        upto = max(upto, number)
    return upto


def utc_now() -> datetime:
    """The machine's wall clock (UTC)."""
    return datetime.fromtimestamp(wall_ms() / 1000, UTC)


def prepare(connection: psycopg.Connection) -> None:
    """Create or update tables and views for this version, unless the database has them already.

    The check matters: even a CREATE that changes nothing waits for all readers of its table, and all writers wait
    behind it.
    """
    statements = (files("edged.centre") / "schema.sql").read_text("utf-8")
    version = hashlib.sha256(statements.encode()).hexdigest()
    if _prepared(connection, version):
        return
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
    connection.execute(statements.encode())
    connection.execute("DELETE FROM schema_version")
    connection.execute("INSERT INTO schema_version (sha256) VALUES (%s)", (version,))
    connection.commit()


def _prepared(connection: psycopg.Connection, version: str) -> bool:
    there = connection.execute("SELECT to_regclass('schema_version') IS NOT NULL").fetchone()
    found = connection.execute("SELECT sha256 FROM schema_version").fetchone() if there == (True,) else None
    connection.commit()
    return found == (version,)


def month_after(moment: datetime, months: int) -> tuple[int, int]:
    """The month (year, month) that is ``months`` after that of ``moment``."""
    counted = moment.year * 12 + moment.month - 1 + months
    return counted // 12, counted % 12 + 1


def table_of(month: tuple[int, int]) -> str:
    """The name of the table with the events of a month (UTC)."""
    return f"events_{month[0]:04d}_{month[1]:02d}"


def make_month(connection: psycopg.Connection, month: tuple[int, int]) -> None:
    """Make the table of a month. No-op if ``events_other`` already holds events of that month: they stay there."""
    first = datetime(*month, 1, tzinfo=UTC)
    after = datetime(*month_after(first, 1), 1, tzinfo=UTC)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
        try:
            with connection.transaction():
                connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {table_of(month)} PARTITION OF events"
                    f" FOR VALUES FROM ('{first.isoformat()}') TO ('{after.isoformat()}')".encode()
                )
        except psycopg.errors.CheckViolation:
            return


def forget_before(connection: psycopg.Connection, months: int, now: datetime) -> list[str]:
    """Delete events of months that ended more than ``months`` months ago, by dropping their tables. Rows of
    ``events_other`` go only if they also arrived that long ago. Returns the names of the dropped tables.
    """
    oldest = month_after(now, -months)
    found = connection.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'events'::regclass AND c.relname ~ '^events_[0-9]{4}_[0-9]{2}$' ORDER BY 1"
    ).fetchall()
    gone = [name for (name,) in found if name < table_of(oldest)]
    for name in gone:
        connection.execute(f"DROP TABLE {name}".encode())
    before = datetime(*oldest, 1, tzinfo=UTC)
    connection.execute("DELETE FROM events_other WHERE at < %s AND received_at < %s", (before, before))
    connection.commit()
    return gone
