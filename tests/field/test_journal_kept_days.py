"""``keep_days`` holds within a day in a small hall, too: 800 steps a day never came to the 5,000 between two dumps."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edged.store import database, room
from edged.store.journal import Journal
from edged.store.uplink import KEY, Cursor, write_cursor
from tests.support.journals import key_step, open_journal, steps_in

DAY_MS = 86_400_000
STEPS_A_DAY, DAYS, KEEP_DAYS = 80, 6, 2


@pytest.mark.parametrize("dated", [True, False])
async def test_with_two_days_to_keep_the_journal_holds_between_two_and_three_days(
    dated: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "CHECK_S", 0.0)
    path = tmp_path / "hall.db"
    Journal.open(path).close()
    connection = database.connect(path, read_only=False)
    database.set_meta(connection, KEY, write_cursor(Cursor(0, 10**6, 0), 1))
    connection.close()
    async with open_journal(path, keep_days=KEEP_DAYS) as journal:
        for day in range(DAYS):
            for number in range(STEPS_A_DAY):
                seq, at_ms = journal.last_seq + 1, day * DAY_MS + number * 60_000
                journal.append(key_step(seq)._replace(at_ms=at_ms))
                business_day = 20_000 + day if dated else 0
                if journal.dump_due(at_ms, business_day):
                    journal.snapshot({"seq": seq}, seq, at_ms, business_day or None)
            await journal.drain()
        async with asyncio.timeout(20):
            while steps_in(path)[0].at_ms < (DAYS - 1 - KEEP_DAYS - 1) * DAY_MS:
                await asyncio.sleep(0.2)
    kept = steps_in(path)
    assert KEEP_DAYS * DAY_MS <= kept[-1].at_ms - kept[0].at_ms <= (KEEP_DAYS + 1) * DAY_MS
    assert Journal.open(path).notices == ()
