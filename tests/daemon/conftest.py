"""One small hall and its broker for every test of the daemon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.brokers import Mosquitto, real_mosquitto
from tests.support.daemons import (
    Daemon,
    Hall,
    Machines,
    small_hall,
)


@pytest.fixture
async def broker() -> AsyncIterator[Mosquitto]:
    async with real_mosquitto() as one:
        yield one


@pytest.fixture
async def hall(tmp_path: Path, broker: Mosquitto) -> AsyncIterator[tuple[Hall, Daemon, Machines]]:
    async with small_hall(tmp_path, broker) as parts:
        yield parts
