"""One small hall and its broker for every test of the daemon."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

from edged.clock import monotonic_s
from edged.core.commands import Print
from edged.core.events import Resumed
from tests.support.brokers import Mosquitto, either_broker, plain_client, real_mosquitto, until
from tests.support.daemons import (
    EXTRA_WINDOW,
    STOP_S,
    Daemon,
    Hall,
    Machines,
    device_table,
    edged,
    relay_module,
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
