"""Which hall a command means where none is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.cli import target
from edged.cli.target import NoTarget, find
from tests.support.halls import GOOD


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine's own hall.toml; no demo runs."""
    file = tmp_path / "hall.toml"
    file.write_text(GOOD)
    monkeypatch.setattr(target, "SITE", file)
    monkeypatch.setattr(target, "running_demo", lambda: None)
    return file


def test_a_halls_machine_means_its_own_hall(site: Path) -> None:
    assert find(None, None, None).hall == "east"
    assert find(None, "east", None).hall == "east"
    with pytest.raises(NoTarget, match='is hall "east", not "west"'):
        find(None, "west", None)


def test_where_nothing_is_installed_it_says_what_to_give(site: Path) -> None:
    site.unlink()
    with pytest.raises(NoTarget, match="give --config"):
        find(None, None, None)
