"""A restore that fails leaves the journal that was there."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.core.engine import Engine
from edged.core.model.state import State
from edged.store import backup
from edged.store.backup import BackupError, put_back
from edged.store.journal import Journal


def test_restoring_an_unreadable_backup_changes_no_file(tmp_path: Path) -> None:
    journal, copy = tmp_path / "hall.db", tmp_path / "copy.db"
    opened = Journal.open(journal)
    Engine(opened.restore(State).state)
    opened.close()
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    copy.write_bytes(b"no database" * 1000)
    with pytest.raises(BackupError):
        put_back(copy, journal, 60)
    copy.unlink()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("fails", ["leave_renewal", "_give_to_folders_owner"])
def test_a_restore_that_fails_on_a_full_disk_leaves_every_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    journal, copy = tmp_path / "hall.db", tmp_path / "copy.db"
    opened = Journal.open(journal)
    Engine(opened.restore(State).state)
    opened.close()
    backup.copy_journal(journal, copy)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, fails, full)
    with pytest.raises(BackupError):
        put_back(copy, journal, 60)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
