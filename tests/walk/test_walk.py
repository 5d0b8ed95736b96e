"""The walk as a test of the long part: every practice works."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.walk.__main__ import walk_through


@pytest.mark.full
async def test_every_practice_works_on_real_wires(tmp_path: Path) -> None:
    found = await walk_through(tmp_path)
    assert {name: what for name, what in found.items() if what} == {}
