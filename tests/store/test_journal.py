"""Accepted means on disk: order, acknowledgement, group commit, snapshots, policies, refusals."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path

import apsw
import pytest

from edged.core.model.events import Tick
from edged.observer import Step
from edged.store import commit_batcher, database, writer
from edged.store import journal as journal_module
from edged.store.database import JournalBroken, JournalBusy, SchemaTooNew
from edged.store.journal import Journal
from edged.store.records import Attachments, DumpMark, is_recorded
from tests.support.journals import (
    as_first_version,
    envelope_of,
    key_step,
    open_journal,
    policy_step,
    steps_in,
)


async def test_steps_are_read_back_as_they_were_appended(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    written = [key_step(seq) for seq in range(1, 40)]
    async with open_journal(path) as journal:
        for step in written:
            journal.append(step)
        await journal.drain()
    assert steps_in(path) == written
    again = Journal.open(path)
    restored = again.restore(dict)
    assert (restored.state, restored.last_seq, restored.last_at_ms) == (None, 39, 390)
    assert restored.last_wall_ms > 1_700_000_000_000
    assert list(restored.tail) == written
    assert (again.last_seq, again.epoch, again.notices) == (39, 1, ())
    again.close()


async def test_an_acknowledgement_runs_only_after_another_connection_can_read_the_step(
    tmp_path: Path,
) -> None:
    path = tmp_path / "hall.db"
    seen: list[tuple[int, bool, bool]] = []
    async with open_journal(path) as journal:
        reader = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)

        def ack(seq: int) -> None:
            there = reader.execute("SELECT count(*) FROM steps WHERE seq = ?", (seq,)).get == 1
            seen.append((seq, there, threading.current_thread() is threading.main_thread()))

        for seq in range(1, 60):
            journal.append(key_step(seq), partial(ack, seq))
            if seq % 5 == 0:
                await asyncio.sleep(0)
        assert not seen or len(seen) < 59, "nothing may be acknowledged inside append"
        await journal.drain()
        reader.close()
    assert seen == [(seq, True, True) for seq in range(1, 60)]


async def test_queued_steps_are_committed_in_groups_and_acknowledged_in_order(tmp_path: Path) -> None:
    outcomes: list[str] = []
    groups: list[int] = []
    async with open_journal(tmp_path / "hall.db") as journal:
        journal.on_commit(lambda steps: outcomes.extend(f"c{step.seq}" for step in steps))
        journal.on_commit_seconds(lambda seconds, rows: groups.append(rows))
        for seq in range(1, 301):
            journal.append(key_step(seq), partial(outcomes.append, f"a{seq}"))
        assert journal.pending == 300
        await journal.drain()
        assert journal.pending == 0
    assert [name for name in outcomes if name[0] == "c"] == [f"c{seq}" for seq in range(1, 301)]
    assert [name for name in outcomes if name[0] == "a"] == [f"a{seq}" for seq in range(1, 301)]
    assert all(outcomes.index(f"a{seq}") < outcomes.index(f"c{seq}") for seq in range(1, 301)), (
        "acks come first"
    )
    assert sum(groups) == 300
    assert len(groups) < 100, f"no group commit: {groups}"


async def test_steps_appended_right_after_a_commit_share_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_batcher, "GATHER_S", 60.0)
    monkeypatch.setattr(commit_batcher, "GATHER_LONG_S", 60.0)
    first, groups = asyncio.Event(), []
    async with open_journal(tmp_path / "hall.db") as journal:
        journal.on_commit_seconds(lambda seconds, rows: groups.append(rows))
        journal.on_commit(lambda steps: first.set())
        journal.append(key_step(1))
        async with asyncio.timeout(30):
            await first.wait()  # alone: written at once
            for seq in range(2, 6):
                journal.append(key_step(seq))
                await asyncio.to_thread(os.sched_yield)  # the writer's turn, if it wanted it
            await journal.drain()  # whoever waits is not kept waiting
            assert groups == [1, 4]
            for seq in range(6, 6 + 2 * commit_batcher.GATHER_MAX):
                journal.append(key_step(seq))
            while sum(groups) < 5 + commit_batcher.GATHER_MAX:  # nor a broker that wants its acknowledgements
                await asyncio.to_thread(os.sched_yield)


async def test_a_full_queue_is_shown_as_full_and_append_never_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "QUEUE_MAX", 10)
    async with open_journal(tmp_path / "hall.db") as journal:
        for seq in range(1, 10):
            journal.append(key_step(seq))
        assert not journal.full
        journal.append(key_step(10))
        assert journal.full
        await journal.drain()
        assert not journal.full


async def test_a_step_out_of_order_is_a_broken_invariant(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "hall.db") as journal:
        journal.append(key_step(1))
        with pytest.raises(AssertionError, match="step 3 after 1"):
            journal.append(key_step(3))


async def test_the_next_start_begins_at_the_newest_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    async with open_journal(path) as journal:
        for seq in range(1, 5):
            journal.append(key_step(seq))
            journal.snapshot({"served": seq}, seq, seq * 10 + 3)
        journal.append(key_step(5))
        await journal.drain()
    again = Journal.open(path)
    restored = again.restore(dict)
    assert (restored.state, restored.seq, restored.at_ms) == ({"served": 4}, 4, 43)
    assert list(restored.tail) == [key_step(5)]
    again.close()
    reader = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    blobs = reader.execute("SELECT seq, blob IS NOT NULL FROM snapshots ORDER BY seq").fetchall()
    assert blobs == [(1, 1), (2, 0), (3, 1), (4, 1)], (
        "the newest two and the day's first are kept, the marks of all"
    )
    reader.close()


async def test_the_next_start_passes_over_an_unreadable_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    async with open_journal(path) as journal:
        for seq in (1, 2, 3):
            journal.append(key_step(seq))
            journal.snapshot({"served": seq}, seq, seq * 10)
        await journal.drain()
    damage = apsw.Connection(str(path))
    damage.execute("UPDATE snapshots SET blob = X'7B7D' WHERE seq = 3")
    damage.close()
    again = Journal.open(path)
    restored = again.restore(dict)
    assert (restored.state, restored.seq) == ({"served": 2}, 2)
    tail = list(restored.tail)
    assert tail[0] == key_step(3)
    assert isinstance(tail[1], DumpMark)
    assert (tail[1].seq, tail[1].at_ms) == (3, 30)
    again.close()


@dataclass
class _Unloadable:
    longest_s: float  # JSON has no word for an infinite one


async def test_a_state_dump_that_would_not_load_is_not_stored_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "hall.db"
    async with open_journal(path) as journal:
        journal.append(key_step(1))
        journal.snapshot(_Unloadable(inf), 1, 10)
        await journal.drain()
    assert "state dump of step 1 left out" in caplog.text
    assert steps_in(path) == [key_step(1)]


async def test_a_policy_is_stored_in_the_transaction_of_its_step(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    async with open_journal(path) as journal:
        assert (journal.policies().last_good, journal.policies().high_water) == (None, 0)
        journal.append(policy_step(1, 7), attachments=Attachments(envelope_of(7)))
        journal.append(policy_step(2, 9), attachments=Attachments(envelope_of(9)))
        journal.append(
            policy_step(3, 7), attachments=Attachments(envelope_of(7))
        )  # back to the last good one
        await journal.drain()
        assert journal.policies().high_water == 9
    again = Journal.open(path)
    policies = again.policies()
    assert policies.last_good is not None
    assert (policies.last_good.version, policies.last_good.envelope) == (7, envelope_of(7))
    assert (policies.last_good.seq, policies.high_water) == (3, 9)
    again.close()


async def test_the_idle_writer_thread_keeps_its_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "IDLE_BEAT_S", 0.02)
    async with open_journal(tmp_path / "hall.db") as journal:
        first_s = journal.last_beat_s
        async with asyncio.timeout(5):
            while journal.last_beat_s <= first_s + 0.05:
                await asyncio.sleep(0.01)


async def test_the_run_task_ends_when_the_journal_is_closed(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "hall.db")
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(journal.run())
        await asyncio.sleep(0)
        journal.close()


def test_a_second_writer_of_one_journal_is_refused_with_exit_code_75(tmp_path: Path) -> None:
    first = Journal.open(tmp_path / "hall.db")
    with pytest.raises(JournalBusy) as caught:
        Journal.open(tmp_path / "hall.db")
    assert caught.value.exit_code == 75
    first.close()
    Journal.open(tmp_path / "hall.db").close()


@pytest.mark.parametrize("with_wal", [False, True])
def test_a_journal_of_a_newer_schema_is_refused_and_left_unchanged(tmp_path: Path, with_wal: bool) -> None:
    path = tmp_path / "hall.db"
    Journal.open(path).close()
    newer = apsw.Connection(str(path))
    newer.pragma("user_version", database.SCHEMA_VERSION + 1)
    if not with_wal:
        newer.close()
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path) if "-shm" not in name}
    with pytest.raises(SchemaTooNew) as caught:
        Journal.open(path)
    assert caught.value.exit_code == 78
    assert "install the newer version" in str(caught.value)
    after = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path) if "-shm" not in name}
    assert after == before
    assert not with_wal or "hall.db-wal" in after


def test_a_schema_upgrade_is_done_completely_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version after this one is planted, first with a mistake in its last line."""
    path = tmp_path / "hall.db"
    journal = Journal.open(path)
    journal.close()
    now, known = database.SCHEMA_VERSION, database.MIGRATIONS
    monkeypatch.setattr(database, "SCHEMA_VERSION", now + 1)
    upgrade = "ALTER TABLE steps ADD COLUMN shift TEXT; UPDATE meta SET v = v;"
    monkeypatch.setattr(database, "MIGRATIONS", (*known, upgrade + "INSERT INTO nowhere VALUES (1)"))
    connection = database.connect(path, read_only=False)
    with pytest.raises(apsw.SQLError, match="nowhere"):
        database.migrate(connection)
    assert connection.pragma("user_version") == now
    assert "shift" not in [row[1] for row in connection.execute("PRAGMA table_info(steps)")]
    monkeypatch.setattr(database, "MIGRATIONS", (*known, upgrade))
    assert database.migrate(connection) is False
    assert connection.pragma("user_version") == now + 1
    connection.close()
    database._expected_schema.cache_clear()
    again = Journal.open(path)
    assert again.notices == ()
    again.close()
    monkeypatch.undo()
    database._expected_schema.cache_clear()
    with pytest.raises(SchemaTooNew, match=f"schema {now + 1}"):
        Journal.open(path)


async def test_a_first_version_journal_is_read_unchanged_and_continued_on_opening(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    async with open_journal(path) as journal:
        for seq in range(1, 31):
            journal.append(key_step(seq))
            if seq == 20:
                journal.snapshot({"served": seq}, seq, seq * 10)
        await journal.drain()
    as_first_version(path)
    before = path.read_bytes()
    assert steps_in(path) == [key_step(seq) for seq in range(1, 31)]
    reader = Journal.open(path, read_only=True)
    assert reader.restore(dict).state == {"served": 20}
    reader.close()
    assert path.read_bytes() == before
    async with open_journal(path) as journal:
        assert (journal.epoch, journal.notices, journal.last_seq) == (1, (), 30)
        journal.append(key_step(31))
        await journal.drain()
    assert steps_in(path) == [key_step(seq) for seq in range(1, 32)]


def test_a_database_of_another_program_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    other = apsw.Connection(str(path))
    other.pragma("application_id", 0x1234)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew, match="another program"):
        Journal.open(path)
    assert path.read_bytes() == before


def test_a_journal_that_cannot_be_created_is_an_error_with_exit_code_74(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalBroken) as caught:
        Journal.open(tmp_path / "file" / "hall.db")
    assert caught.value.exit_code == 74


def test_a_tick_is_recorded_only_with_commands_or_notes() -> None:
    step: Step = key_step(1)
    assert is_recorded(step.event, (), ())
    assert not is_recorded(Tick(), (), ())
    assert is_recorded(Tick(), step.commands, ())
    assert is_recorded(Tick(), (), step.notes)


async def test_reading_the_state_and_writing_never_use_the_connection_at_once(tmp_path: Path) -> None:
    """Two threads on one connection: a statement of the one stayed open for good while the other ran its own."""
    path = tmp_path / "hall.db"
    async with open_journal(path) as journal:
        for seq in range(1, 200):
            journal.append(key_step(seq))
        await journal.drain()
    again = Journal.open(path)
    used_by: set[str] = set()

    def note(*_: object) -> int:
        used_by.add(threading.current_thread().name)
        return apsw.SQLITE_OK

    again._connection.authorizer = note
    for _step in again.restore(dict).tail:
        assert all(thread.name != "journal" for thread in threading.enumerate())
    assert used_by == {threading.current_thread().name}
    running = asyncio.get_running_loop().create_task(again.run())
    await again.drain()
    with pytest.raises(AssertionError, match="writer's"):
        again.restore(dict)
    again.close()
    await running
