"""Putting a copy back that cannot be read, or for which there is no room, leaves the hall what it had."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.core.engine import Engine
from edged.core.model.state import State
from edged.store.backup import BackupError, put_back
from edged.store.journal import Journal


def test_a_copy_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
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
