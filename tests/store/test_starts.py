"""Counts starts that soon crashed: five in a row are reported; a long run or a clean end resets the count."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.store.starts import FAST_STARTS, Starts


def test_after_five_failed_starts_the_next_start_is_in_safe_mode(tmp_path: Path) -> None:
    journal = tmp_path / "hall.db"
    safe = [Starts(journal).begin() for _ in range(FAST_STARTS + 2)]
    assert safe == [False] * FAST_STARTS + [True, True]


def test_a_start_that_lasts_resets_the_count_of_failed_starts(tmp_path: Path) -> None:
    journal = tmp_path / "hall.db"
    for _ in range(FAST_STARTS - 1):
        Starts(journal).begin()
    last = Starts(journal)
    assert not last.begin()
    assert last.failed == FAST_STARTS - 1
    last.forget()
    assert not Starts(journal).begin()
    assert [path.name for path in tmp_path.iterdir()] == ["hall.db.starts"]


@pytest.mark.parametrize("content", [b"", b"many", b"\xff\xfe", b"9" * 5000])
def test_a_damaged_count_of_starts_never_keeps_the_hall_from_starting(tmp_path: Path, content: bytes) -> None:
    journal = tmp_path / "hall.db"
    (tmp_path / "hall.db.starts").write_bytes(content)
    starts = Starts(journal)
    assert starts.begin() == content.startswith(b"9")
    starts.forget()
    assert not Starts(journal).begin()


def test_where_the_count_of_starts_cannot_be_written_no_start_is_a_safe_one(tmp_path: Path) -> None:
    starts = Starts(tmp_path / "gone" / "hall.db")
    assert not any(starts.begin() for _ in range(2 * FAST_STARTS))
    starts.forget()
