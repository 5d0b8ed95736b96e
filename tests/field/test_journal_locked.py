"""Another program holds the journal, or deletes it: calling goes on, staff see that nothing is kept, and it heals.

A database browser with unsaved changes holds the write lock (DB Browser for SQLite, "database is locked"); a clean-up
job or a restore by hand deletes or replaces the file under the running daemon (sqlite.org/howtocorrupt.html, 4.1).
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.brokers import until
from tests.support.daemons import Daemon, Hall, Machines

Parts = tuple[Hall, Daemon, Machines]


async def health(files: Hall) -> dict[str, Any]:
    _, text = await asyncio.to_thread(files.get, "/healthz")
    found: dict[str, Any] = json.loads(text)
    return found


async def until_durable(files: Hall, durable: bool) -> dict[str, Any]:
    """Wait until the health page says this about durability, and return the page."""
    async with asyncio.timeout(20):
        while (now := await health(files))["durable"] is not durable:
            await asyncio.sleep(0.1)
    return now


@pytest.mark.parametrize("hold", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
async def test_a_locked_journal_raises_an_alarm_and_is_written_once_it_is_free(
    hold: str, hall: Parts
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    machines.panel.press("login")
    machines.tickets(3)
    await until(lambda: len(files.tickets()) == 3)
    with closing(sqlite3.connect(files.journal, isolation_level=None)) as browser:
        browser.execute(hold)
        machines.tickets(2, first=4)
        now = await until_durable(files, durable=False)
        assert "locked" in now["concerns"]["not-kept/journal"]
        assert "not-kept/journal" in now["alarms"]
        called = machines.panel.number
        machines.panel.press("next")
        await until(lambda: machines.panel.number not in (None, called))
        await asyncio.sleep(7.0)  # longer than any busy wait
        assert daemon.process is not None
        assert daemon.process.returncode is None
        browser.execute("ROLLBACK")
    now = await until_durable(files, durable=True)
    await until(lambda: len(files.tickets()) == 5)
    async with asyncio.timeout(10):
        while "not-kept/journal" in (await health(files))["alarms"]:
            await asyncio.sleep(0.1)
    assert daemon.logged("heartbeat-stopped") == []
    assert await daemon.stop() == 0
    assert files.replay().returncode == 0


async def test_a_start_with_a_locked_journal_serves_visitors(hall: Parts) -> None:
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(2)
    await until(lambda: len(files.tickets()) == 2)
    await daemon.kill()
    with closing(sqlite3.connect(files.journal, isolation_level=None)) as browser:
        browser.execute("BEGIN IMMEDIATE")
        await daemon.restart()
        assert "locked" in (await until_durable(files, durable=False))["concerns"]["not-kept/journal"]
        machines.tickets(1, first=3)
        await until(lambda: machines.panel.waiting == 3)
        browser.execute("ROLLBACK")
    await until_durable(files, durable=True)
    await until(lambda: len(files.tickets()) == 3)
    assert await daemon.stop() == 0


@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_a_journal_deleted_or_replaced_while_running_is_written_again_completely(
    how: str, hall: Parts, tmp_path: Path
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(3)
    await until(lambda: len(files.tickets()) == 3)
    if how == "deleted":
        for name in ("hall.db", "hall.db-wal", "hall.db-shm"):
            (files.directory / name).unlink()
    else:
        with closing(sqlite3.connect(tmp_path / "other.db")) as other:
            other.execute("CREATE TABLE t (x)")
        (tmp_path / "other.db").rename(files.journal)
    assert await daemon.ended(15.0) == 74
    await daemon.restart()
    assert [getattr(ticket, "number", "") for ticket in files.tickets()] == ["A001", "A002", "A003"]
    assert (await health(files))["epoch"] == 1, "it is the same history, whole"
    machines.tickets(1, first=4)
    await until(lambda: len(files.tickets()) == 4)
    assert await daemon.stop() == 0
    assert files.replay().returncode == 0
