"""Files that are replaced as a whole: what a reader, a failed writer and a process that died leave."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from edged.whole_file import whole_file


def mode_of(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_readers_see_the_old_content_until_the_new_file_is_complete(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"old")
    with whole_file(file) as stream:
        stream.write(b"new")
        stream.flush()
        assert file.read_bytes() == b"old"
    assert file.read_bytes() == b"new"
    assert [one.name for one in tmp_path.iterdir()] == ["f"]


def test_a_failed_writer_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"old")
    with suppress(ZeroDivisionError), whole_file(file) as stream:
        stream.write(b"%d" % (1 // 0))
    assert file.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["f"]


def test_a_leftover_temporary_file_does_not_pass_its_mode_to_a_secret(tmp_path: Path) -> None:
    left = tmp_path / "key.new"
    left.write_bytes(b"half")
    left.chmod(0o666)
    with whole_file(tmp_path / "key", 0o600) as stream:
        stream.write(b"secret")
        assert mode_of(left) == 0o600
    assert mode_of(tmp_path / "key") == 0o600
    assert (tmp_path / "key").read_bytes() == b"secret"


@pytest.mark.parametrize("synced", [True, False])
def test_the_content_is_synced_to_disk_before_the_file_is_renamed(
    tmp_path: Path, synced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    sync, replace = os.fsync, os.replace

    def syncing(descriptor: int) -> None:
        steps.append(f"synced {os.fstat(descriptor).st_size}")
        sync(descriptor)

    def replacing(source: Path, target: Path) -> None:
        steps.append("renamed")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", replacing)
    with whole_file(tmp_path / "f", synced=synced) as stream:
        stream.write(b"four")
    assert steps == (["synced 4"] if synced else []) + ["renamed"]
