"""Documents that crashed the program: from then on this process and the next one refuse them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.central.condemned import KEPT_MAX, Condemned
from edged.central.refusals import DocumentRefused
from edged.core.model.events import Tick


def refused(condemned: Condemned, *documents: bytes) -> list[bool]:
    found = []
    for raw in documents:
        try:
            condemned.check(raw)
        except DocumentRefused as refusal:
            found.append(refusal.reasons[0].code == "failed-before")
        else:
            found.append(False)
    return found


def test_a_document_that_makes_a_desk_fail_is_refused_until_the_process_ends(tmp_path: Path) -> None:
    condemned = Condemned(tmp_path / "hall.db")
    assert condemned.failed(b"one", RuntimeError()).reasons[0].code == "failed-before"
    assert refused(condemned, b"one", b"two") == [True, False]
    assert list(tmp_path.iterdir()) == []
    assert refused(Condemned(tmp_path / "hall.db"), b"one") == [False]


def test_a_document_that_crashed_the_core_is_refused_by_the_next_process(tmp_path: Path) -> None:
    condemned = Condemned(tmp_path / "hall.db")
    bad, good, unknown = Tick(), Tick(), Tick()
    condemned.handed_over(bad, b"bad")
    condemned.handed_over(good, b"good")
    condemned.survived(good)
    for event in (good, unknown, bad, bad):
        condemned.crashed(event)
    assert (tmp_path / "hall.db.condemned").read_text().count("\n") == 1
    assert refused(Condemned(tmp_path / "hall.db"), b"bad", b"good") == [True, False]


def test_without_a_journal_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    condemned, event = Condemned(), Tick()
    condemned.handed_over(event, b"bad")
    condemned.crashed(event)
    assert refused(condemned, b"bad") == [True]
    assert list(tmp_path.iterdir()) == []


def test_the_newest_condemned_documents_are_remembered(tmp_path: Path) -> None:
    condemned = Condemned(tmp_path / "hall.db")
    many = [b"%d" % number for number in range(KEPT_MAX + 1)]
    for raw in many:
        event = Tick()
        condemned.handed_over(event, raw)
        condemned.crashed(event)
    expected = [False, True, True]
    assert refused(condemned, many[0], many[1], many[-1]) == expected
    assert refused(Condemned(tmp_path / "hall.db"), many[0], many[1], many[-1]) == expected


@pytest.mark.parametrize("torn", [b"\xff\xfe", b"", b"0123\n", b"f" * 63 + b"\n" + b"e" * 65])
def test_a_file_that_cannot_be_read_counts_as_empty(tmp_path: Path, torn: bytes) -> None:
    file = tmp_path / "hall.db.condemned"
    file.write_bytes(torn)
    condemned, event = Condemned(tmp_path / "hall.db"), Tick()
    assert refused(condemned, b"one") == [False]
    condemned.handed_over(event, b"one")
    condemned.crashed(event)
    assert len(file.read_text().split()) == 1
    assert refused(Condemned(tmp_path / "hall.db"), b"one") == [True]


def test_a_full_disk_leaves_it_refused_for_now(tmp_path: Path) -> None:
    (tmp_path / "hall.db.condemned").mkdir()
    condemned, event = Condemned(tmp_path / "hall.db"), Tick()
    condemned.handed_over(event, b"one")
    condemned.crashed(event)
    assert refused(condemned, b"one") == [True]
