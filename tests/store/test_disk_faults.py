"""The disk errs, fills up or crawls: nothing is acknowledged that is not kept, and the loop never waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import apsw
import pytest

from edged.store import keep, writer
from edged.store.database import JournalBroken
from edged.store.journal import Journal
from tests.support.flaky_disk import FailingDisk
from tests.support.journals import key_step, open_journal, steps_in

STEPS = 16
ROUNDS_MAX = 200  # far more calls than the run makes: the test ends when a whole run got through


def _io_error(text: str, extended: int) -> apsw.IOError:
    error: Any = apsw.IOError(text)
    error.extendedresult = extended
    error.result = apsw.SQLITE_IOERR
    return cast(apsw.IOError, error)


async def _write(path: Path, vfs: str, failed: Callable[[], bool]) -> tuple[list[int], Exception | None]:
    """Append steps one by one until the journal breaks; return the acknowledged ones and the error (None: none)."""
    acked: list[int] = []
    try:
        journal = Journal.open(path, vfs=vfs)
    except JournalBroken as error:
        return acked, error
    running = asyncio.get_running_loop().create_task(journal.run())
    try:
        for seq in range(1, STEPS + 1):
            journal.append(key_step(seq), partial(acked.append, seq))
            if seq % 8 == 0:
                journal.snapshot({"served": seq}, seq, seq * 10)
            await journal.drain()
        await journal.drain()  # behind the last checkpoint too
        assert not failed(), "an error of the disk was swallowed"
        return acked, None
    except JournalBroken as error:
        with pytest.raises(JournalBroken) as raised:
            await running
        exit_code = raised.value.exit_code
        assert exit_code == 74
        with pytest.raises(JournalBroken):
            journal.append(key_step(journal.last_seq + 1))
        return acked, error
    finally:
        journal.close()
        running.cancel()


@pytest.mark.parametrize(
    ("operation", "extended"),
    [("sync", apsw.SQLITE_IOERR_FSYNC), ("write", apsw.SQLITE_IOERR_WRITE)],
)
async def test_an_io_error_at_any_disk_call_ends_the_journal_without_losing_acknowledged_steps(
    operation: str, extended: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 20)  # also errors of a checkpoint must be seen
    name = f"failing-{operation}"
    broken_runs = 0
    for nth in range(1, ROUNDS_MAX):
        disk = FailingDisk(
            name,
            lambda kind, count: _io_error("planned", extended) if (kind, count) == (operation, nth) else None,
        )
        path = tmp_path / str(nth) / "hall.db"
        acked, error = await _write(path, name, lambda: disk.counts[operation] >= nth)
        disk.unregister()
        if error is None:
            assert acked == list(range(1, STEPS + 1))
            break
        broken_runs += 1
        assert acked == list(range(1, len(acked) + 1))
        again = Journal.open(path)
        assert again.notices == ()
        assert len(acked) <= again.last_seq <= len(acked) + 1, f"{operation} {nth}"
        again.close()
        assert steps_in(path) == [key_step(seq) for seq in range(1, again.last_seq + 1)]
    else:
        pytest.fail("the run never got through")
    assert broken_runs > STEPS, f"only {broken_runs} runs broke: is every {operation} reached?"


async def test_a_disk_error_is_reported_even_if_closing_the_journal_fails_too(tmp_path: Path) -> None:
    """A sync fails, and from then on no write has room: closing the database meets that, too."""
    for nth in range(4, 4 + STEPS, 4):
        met: list[int] = []

        def plan(kind: str, count: int, nth: int = nth, met: list[int] = met) -> Exception | None:
            if kind == "sync" and count == nth:
                met.append(count)
                return _io_error("planned", apsw.SQLITE_IOERR_FSYNC)
            return apsw.FullError("planned") if met and kind == "write" else None

        disk = FailingDisk("dying", plan)
        path = tmp_path / str(nth) / "hall.db"
        acked, error = await _write(path, "dying", lambda: bool(met))
        disk.unregister()
        assert error is not None, f"sync {nth}"
        again = Journal.open(path)
        assert again.last_seq >= len(acked)
        again.close()


async def test_while_the_disk_is_full_steps_stay_in_memory_and_are_written_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "FULL_RETRY_S", 0.02)
    full = False
    disk = FailingDisk("filling", lambda kind, count: apsw.FullError("planned") if full else None)
    path = tmp_path / "hall.db"
    acked: list[int] = []
    changes: list[bool] = []
    async with open_journal(path, vfs="filling") as journal:
        journal.on_durable(changes.append)
        journal.append(key_step(1), lambda: acked.append(1))
        await journal.drain()
        full = True
        for seq in range(2, 30):
            journal.append(key_step(seq), partial(acked.append, seq))
            if seq % 4 == 0:
                await journal.drain()
        await journal.drain()
        assert acked == list(range(1, 30)), "calling goes on, in order"
        assert (journal.durable, changes) == (False, [False])
        assert len(steps_in(path)) == 1
        full = False
        async with asyncio.timeout(5):
            while not journal.durable:
                await asyncio.sleep(0.01)
        assert changes == [False, True]
        assert steps_in(path) == [key_step(seq) for seq in range(1, 30)]
        journal.append(key_step(30), lambda: acked.append(30))
        await journal.drain()
    assert acked == list(range(1, 31)), "nothing is told twice"
    assert "the disk is full" in caplog.text
    disk.unregister()


async def test_while_the_disk_is_full_steps_beyond_the_memory_bound_are_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "FULL_RETRY_S", 0.02)
    monkeypatch.setattr(writer, "BACKLOG_MAX", 10)
    full = False
    disk = FailingDisk("bounded", lambda kind, count: apsw.FullError("planned") if full else None)
    acked: list[int] = []
    async with open_journal(tmp_path / "hall.db", vfs="bounded") as journal:
        await journal.drain()
        full = True
        for seq in range(1, 16):
            journal.append(key_step(seq), partial(acked.append, seq))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await journal.drain()
        assert acked == list(range(1, 11)), "beyond the bound inputs wait"
        full = False
        async with asyncio.timeout(5):
            await journal.drain()
        assert acked == list(range(1, 16))
    disk.unregister()


async def test_reads_answered_while_the_disk_is_full_take_no_room_in_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "WAITING_MAX", 20)
    full = False
    disk = FailingDisk("asked", lambda kind, count: apsw.FullError("planned") if full else None)
    acked: list[int] = []
    async with open_journal(tmp_path / "hall.db", vfs="asked") as journal:
        await journal.drain()
        full = True
        for seq in range(1, 6):
            journal.append(key_step(seq), partial(acked.append, seq))
        async with asyncio.timeout(20):
            found = [await journal.ask(lambda connection: connection.total_changes()) for _ in range(50)]
        assert len(found) == 50
        assert journal._writer is not None
        assert len(journal._writer._waiting) <= 21
        full = False
        async with asyncio.timeout(5):
            await journal.drain()
        assert acked == list(range(1, 6))
    disk.unregister()


async def test_a_second_copy_that_finds_no_room_is_logged_and_the_journal_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_room(path: Path, content: keep.Keep) -> None:
        raise OSError(28, "No space left on device")

    async with open_journal(tmp_path / "hall.db") as journal:
        monkeypatch.setattr(writer, "write_keep", no_room)
        journal.append(key_step(1))
        journal.snapshot({"served": 1}, 1, 10)
        await journal.drain()
        journal.append(key_step(2))
        await journal.drain()
        assert journal.failure is None
    assert "no second copy" in caplog.text


async def test_a_slow_disk_never_delays_the_event_loop(tmp_path: Path) -> None:
    delay_s = 0.15

    def crawl(kind: str, count: int) -> None:
        if kind == "sync":
            time.sleep(delay_s)

    path = tmp_path / "hall.db"
    Journal.open(path).close()
    disk = FailingDisk("slow", crawl)
    lags: list[float] = []
    acked: list[int] = []
    async with open_journal(path, vfs="slow") as journal:
        seq, end_s = 0, time.monotonic() + 1.5
        while time.monotonic() < end_s:
            before_s = time.monotonic()
            await asyncio.sleep(0.005)
            lags.append(time.monotonic() - before_s - 0.005)
            seq += 1
            journal.append(key_step(seq), partial(acked.append, seq))
        await journal.drain()
    disk.unregister()
    lags.sort()
    assert acked == list(range(1, seq + 1))
    assert lags[int(len(lags) * 0.95)] < delay_s / 3, f"the loop waited for the disk: {lags[-5:]}"
