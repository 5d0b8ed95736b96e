"""Room on the disk: old steps go and replay still begins somewhere; a really full disk finds the ballast."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from edged.store import database, room, writer
from edged.store.journal import Journal
from edged.store.uplink import KEY, Cursor, write_cursor
from tests.support.journals import key_step, open_journal, steps_in
from tests.support.needs import lacking

DAY_MS = 86_400_000
A_DAY = 40  # steps


@pytest.fixture(autouse=True)
def pruning_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "CHECK_S", 0.0)
    monkeypatch.setattr(room, "BALLAST_BYTES", 256 * 1024)


async def days_of_steps(journal: Journal, days: int) -> None:
    """Write ``A_DAY`` steps for each day of the hall, with a state dump in the middle and at the end of the day."""
    for day in range(days):
        for number in range(A_DAY):
            seq = journal.last_seq + 1
            at_ms = day * DAY_MS + number * 60_000
            journal.append(key_step(seq)._replace(at_ms=at_ms))
            if number in (A_DAY // 2, A_DAY - 1):
                journal.snapshot({"day": day, "served": number}, seq, at_ms)
        await journal.drain()


async def until_pruned(path: Path, journal: Journal) -> int:
    """Wait until the writer has nothing more to prune; return the first step that is left."""
    first = -1
    async with asyncio.timeout(20):
        while True:
            await journal.drain()
            steps = steps_in(path)
            if steps and steps[0].seq == first:
                return first
            first = steps[0].seq
            await asyncio.sleep(1.2)  # the writer looks again when it was idle for a second


def acknowledged(path: Path, step: int) -> None:
    connection = database.connect(path, read_only=False)
    with connection:
        database.set_meta(connection, KEY, write_cursor(Cursor(0, step, 0), 1))
    connection.close()


async def test_steps_past_the_retention_are_deleted_up_to_a_state_dump_that_stays(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    Journal.open(path).close()
    acknowledged(path, 10_000)
    async with open_journal(path, keep_days=3) as journal:
        await days_of_steps(journal, 8)
        first = await until_pruned(path, journal)
    assert first > 3 * A_DAY, "steps of days 1 to 4 are gone"
    assert first <= 5 * A_DAY, "those of the last three days are not"
    read = Journal.open(path, read_only=True)
    assert read.restore(dict).state == {"day": 7, "served": A_DAY - 1}
    read.close()
    connection = database.connect(path, read_only=True)
    dumps = [one.seq for one in database.snapshots(connection) if one.good]
    assert first - 1 in dumps, "a replay can begin right before the first step that is left"
    database.check(connection)
    connection.close()


async def test_steps_the_centre_never_acknowledged_are_kept_twice_as_long(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    async with open_journal(path, keep_days=3) as journal:
        await days_of_steps(journal, 6)
        assert await until_pruned(path, journal) == 1
        await days_of_steps(journal, 0)
        for day in range(6, 12):
            seq = journal.last_seq + 1
            journal.append(key_step(seq)._replace(at_ms=day * DAY_MS))
            journal.snapshot({"day": day}, seq, day * DAY_MS)
        await journal.drain()
        assert await until_pruned(path, journal) > A_DAY


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        lacking("mounting a small disk needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    with open(path, "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    with pytest.raises(OSError, match="No space"):
        path.with_suffix(".more").write_bytes(b"x" * 4096)


async def test_on_a_full_file_system_the_ballast_is_freed_and_all_steps_are_written_in_the_end(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "FULL_RETRY_S", 0.05)
    path, filler = small_disk / "hall.db", small_disk / "filler"
    ballast = small_disk / "hall.db.ballast"
    acked: list[int] = []

    def step() -> None:
        seq = journal.last_seq + 1
        journal.append(key_step(seq), lambda: acked.append(seq))

    async with open_journal(path) as journal:
        step()
        await journal.drain()
        async with asyncio.timeout(10):
            while not ballast.exists():
                await asyncio.sleep(0.05)
        fill(filler)
        async with asyncio.timeout(60):
            while journal.durable:
                step()
                await journal.drain()
        assert not ballast.exists()
        assert "the ballast file was deleted" in caplog.text
        durable_steps = len(steps_in(path))
        assert durable_steps > 50, "the ballast's room was used before memory was"
        for _ in range(20):
            step()
        await journal.drain()
        assert acked == list(range(1, journal.last_seq + 1)), "calling went on, in order"
        filler.unlink()
        filler.with_suffix(".more").unlink(missing_ok=True)
        async with asyncio.timeout(10):
            while not journal.durable:
                await asyncio.sleep(0.02)
        async with asyncio.timeout(10):
            while not ballast.exists():
                await asyncio.sleep(0.05)
        last = journal.last_seq
    assert [one.seq for one in steps_in(path)] == list(range(1, last + 1))
    connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    assert list(connection.execute("PRAGMA integrity_check")) == [("ok",)]
    connection.close()
