"""A journal of the first version is packed while the hall is served: in slices, and nobody who reads it notices."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from pathlib import Path

import apsw
import pytest

from edged.bench import aged
from edged.store import audit, database, holes
from edged.store.audit import Audit
from edged.store.database import Damaged
from edged.store.holes import Holes
from edged.store.journal import Journal
from edged.store.replay import replay
from tests.support.flaky_disk import FailingDisk
from tests.support.journals import as_first_version, key_step, open_journal, steps_in

OLD = "SELECT count(*) FROM steps WHERE substr(commands, 1, 1) = x'5b' AND length(commands) >= 100"


@pytest.fixture(autouse=True)
def audit_without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the audit pack without pauses between its slices."""
    monkeypatch.setattr(audit, "EVERY_S", 0.0)
    monkeypatch.setattr(holes, "WORTH_BYTES", 1 << 20)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of a hall, as the first version left it."""
    path = tmp_path_factory.mktemp("first") / "hall.db"
    asyncio.run(aged.write(path, 1, windows=20, tickets=300))
    as_first_version(path)
    return path


def copy(written: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return Path(shutil.copy(written, folder / "hall.db"))


def upgraded(path: Path) -> apsw.Connection:
    connection = database.connect(path, read_only=False)
    database.migrate(connection)
    return connection


def old_rows(path: Path) -> int:
    connection = database.connect(path, read_only=True)
    try:
        return int(connection.execute(OLD).get)
    finally:
        connection.close()


def on_disk(path: Path) -> int:
    return os.stat(path).st_blocks * 512


def _audit_whole_journal(auditor: Audit, connection: apsw.Connection) -> None:
    """Let the audit go through the whole journal once."""
    while not auditor.passes:
        auditor.verify_next(connection)


async def test_a_first_version_journal_is_packed_while_in_use_and_its_file_shrinks(
    written: Path, tmp_path: Path
) -> None:
    path = copy(written, tmp_path)
    judged, large = replay(path), on_disk(path)
    assert judged.identical
    assert old_rows(path) > 1_000
    async with open_journal(path) as journal:
        assert journal._writer is not None
        auditor = journal._writer._audit
        async with asyncio.timeout(60):
            while not auditor.passes or auditor.holes.digging:
                await asyncio.sleep(0.01)
        assert journal.failure is None
    assert old_rows(path) == 0
    assert replay(path) == judged
    assert on_disk(path) < large / 3
    connection = apsw.Connection(str(path))
    assert connection.pragma("integrity_check") == "ok"
    connection.close()
    assert Journal.open(path).notices == ()


async def test_steps_are_committed_between_two_packing_slices(written: Path, tmp_path: Path) -> None:
    path = copy(written, tmp_path)
    async with open_journal(path) as journal:
        first = journal.last_seq + 1
        assert journal._writer is not None
        auditor = journal._writer._audit
        seq = first
        while not auditor.passes:
            journal.append(key_step(seq))
            await journal.drain()
            seq += 1
            await asyncio.sleep(0.005)  # a hall between two presses
        assert journal.failure is None
    assert old_rows(path) == 0
    assert steps_in(path)[first - 1 :] == [key_step(n) for n in range(first, seq)]


async def test_a_process_killed_during_packing_leaves_a_usable_journal(written: Path, tmp_path: Path) -> None:
    """As a killed process leaves it: the file and its WAL, in the middle of it all."""
    path, judged = copy(written, tmp_path / "one"), replay(written)
    connection = upgraded(path)
    auditor = Audit(path)
    total = old_rows(path)
    while old_rows(path) > total / 2:
        auditor.verify_next(connection)
    left = tmp_path / "two"
    left.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(path.with_name(path.name + suffix), left)
    connection.close()
    assert 0 < old_rows(left / path.name) < total
    assert replay(left / path.name) == judged
    again = Audit(left / path.name)
    connection = upgraded(left / path.name)
    _audit_whole_journal(again, connection)
    connection.close()
    assert old_rows(left / path.name) == 0
    assert replay(left / path.name) == judged


def test_a_slow_machine_packs_fewer_steps_at_once(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, sizes = [0.0], []
    monkeypatch.setattr(audit, "perf_s", lambda: now_s[0])
    write = database.write_again

    def slow(connection: apsw.Connection, many: list[database.Row]) -> None:
        write(connection, many)
        sizes.append(len(many))
        now_s[0] += 0.004 * len(many)

    monkeypatch.setattr(database, "write_again", slow)
    path = copy(written, tmp_path)
    connection, auditor = upgraded(path), Audit(path)
    for _ in range(40):
        auditor.verify_next(connection)
    connection.close()
    assert sizes[:6] == [30, 15, 7, 3, 1, 2]
    assert max(sizes[4:]) * 0.004 <= 2 * audit.PACK_S


def test_a_changed_step_is_found_during_packing_and_not_rewritten(written: Path, tmp_path: Path) -> None:
    path = copy(written, tmp_path)
    connection, auditor = upgraded(path), Audit(path)
    seq = int(connection.execute("SELECT min(seq) FROM steps WHERE length(commands) > 300 AND seq > 200").get)
    changed = "CAST(replace(CAST(commands AS TEXT), ':', ';') AS BLOB)"
    connection.execute(f"UPDATE steps SET commands = {changed} WHERE seq = ?", (seq,))
    before = connection.execute("SELECT * FROM steps WHERE seq = ?", (seq,)).fetchone()
    with pytest.raises(Damaged, match=f"step {seq} "):
        _audit_whole_journal(auditor, connection)
    assert connection.execute("SELECT * FROM steps WHERE seq = ?", (seq,)).fetchone() == before
    connection.close()


def test_replay_names_the_same_step_and_command_of_a_difference_after_packing(
    written: Path, tmp_path: Path
) -> None:
    """What replay says of a decision that was another one, before and after: every step keeps its commands."""
    path = copy(written, tmp_path)
    connection = upgraded(path)
    head = database.Head()
    for row in list(database.rows(connection)):  # as if another program had written it: the chain is right
        if row.seq == 700:
            row.notes = b'[{"kind":"ticket.called","subject":"X1","data":{}}]'
        row.chain = database.chained(head.chain, row)
        head = database.Head(row.seq, row.at_ms, row.wall_ms, row.chain)
        connection.execute(
            "UPDATE steps SET notes = ?, chain = ? WHERE seq = ?", (row.notes, row.chain, row.seq)
        )
    expected = replay(path).first_difference
    assert expected is not None
    assert expected.seq == 700
    auditor = Audit(path)
    connection.execute("DELETE FROM snapshots")
    _audit_whole_journal(auditor, connection)
    connection.close()
    assert old_rows(path) == 0
    assert replay(path).first_difference == expected


def test_a_packing_slice_that_meets_a_full_disk_is_packed_later(written: Path, tmp_path: Path) -> None:
    path = copy(written, tmp_path)
    full = False
    disk = FailingDisk("packing", lambda kind, count: apsw.FullError("planned") if full else None)
    connection = database.connect(path, read_only=False, vfs="packing")
    database.migrate(connection)
    auditor = Audit(path)
    for _ in range(5):
        auditor.verify_next(connection)
    left, full = old_rows(path), True
    for _ in range(3):
        with pytest.raises(apsw.FullError):
            auditor.verify_next(connection)
    full = False
    _audit_whole_journal(auditor, connection)
    assert left > 0
    connection.close()
    disk.unregister()
    assert old_rows(path) == 0
    assert replay(path).identical


def test_freed_pages_become_holes_in_the_file_only_while_nobody_reads_and_read_as_before(
    tmp_path: Path,
) -> None:
    path = tmp_path / "hall.db"
    connection = database.connect(path, read_only=False)
    database.migrate(connection)
    connection.execute("CREATE TABLE old (x)")
    connection.executemany("INSERT INTO old VALUES (?)", [(os.urandom(3_000),) for _ in range(1_000)])
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    reader = database.connect(path, read_only=True)
    reader.execute("BEGIN")
    seen = reader.execute("SELECT count(*), sum(length(x)) FROM old").fetchone()
    connection.execute("DELETE FROM old")
    made = Holes(path)
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    made.begin(connection)
    assert made.digging
    before = on_disk(path)
    for _ in range(20):
        made.dig(connection)
    assert made.digging, "what a reader still sees may not be in the file yet"
    assert on_disk(path) == before
    assert reader.execute("SELECT count(*), sum(length(x)) FROM old").fetchone() == seen
    reader.close()
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    content = hashlib.sha256(path.read_bytes()).digest()
    while made.digging:
        made.dig(connection)
    assert hashlib.sha256(path.read_bytes()).digest() == content
    assert on_disk(path) < before / 4
    made.begin(connection)
    assert not made.digging, "done already"
    connection.execute("INSERT INTO old VALUES ('goes on')")
    assert connection.pragma("integrity_check") == "ok"
    connection.close()
    made.close()
