"""A reader that only needs notes reads the newest days first, and finds the same as in the whole journal."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edged.backtest.journals import read_journals
from edged.bench import aged
from edged.cli.why import Decision, decisions
from edged.store import notes
from edged.store.notes import Unreadable, day_start, noted, opened
from edged.store.replay import replay

DAYS = 3


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of ``DAYS`` days, written once for this module."""
    path = tmp_path_factory.mktemp("aged") / "hall.db"
    asyncio.run(aged.write(path, DAYS, windows=10, tickets=500))
    return path


def test_decisions_read_from_the_newest_days_equal_those_read_from_the_whole_journal(journal: Path) -> None:
    whole = decisions(journal)
    asked: list[int] = []

    def enough(found: list[Decision]) -> bool:
        asked.append(len(found))
        return len(found) >= 3

    newest = decisions(journal, enough)
    assert len(whole) > 3
    assert newest[-3:] == whole[-3:]
    assert asked, "it asked after a day whether that is enough"


def test_replaying_the_last_day_starts_at_a_dump_and_ends_in_the_state_of_a_full_replay(
    journal: Path,
) -> None:
    whole, last = replay(journal), replay(journal, days=1)
    assert whole.identical
    assert last.identical
    assert 0 < last.steps < whole.steps / 2
    assert last.state_sha256 == whole.state_sha256
    assert replay(journal, days=99).steps == whole.steps, "there are not so many: all of it"


def test_visitors_read_from_the_last_day_equal_those_read_from_the_whole_journal(journal: Path) -> None:
    whole, last = read_journals([journal]), read_journals([journal], days=1)
    assert {day.name for day in whole.days} >= {day.name for day in last.days}
    newest = max(day.name for day in whole.days)
    assert [day.arrive_ms for day in last.days if day.name == newest] == [
        day.arrive_ms for day in whole.days if day.name == newest
    ]


def test_reading_notes_reports_progress_from_the_first_step_to_the_last(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "SPAN_STEPS", 100)
    progress: list[tuple[int, int]] = []
    with opened(journal) as connection:
        start = day_start(connection, 1)
        assert start is not None
        steps = list(
            noted(connection, start, ("ticket.",), lambda done, total: progress.append((done, total)))
        )
    assert progress[0][0] == 0
    assert progress[-1][0] == progress[-1][1]
    assert all(step.site is not None for step in steps)


def test_a_missing_or_foreign_file_is_refused_as_a_journal_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database " * 1_000)
    for name in ("gone.db", "text.db"):
        with pytest.raises(Unreadable, match=name), opened(tmp_path / name) as connection:
            list(noted(connection, None, ("ticket.",)))
