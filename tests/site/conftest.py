"""One empty Debian for every machine of these tests."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from tests.support.debian import root_image


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disk of an empty Debian, made once for all processes of a run."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder = folder / "debian"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return root_image(folder)
