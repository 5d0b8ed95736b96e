"""A process that ends again and again: the sixth start leaves out what most likely ends it, and the hall calls on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edged.store.starts import FAST_STARTS
from tests.support.brokers import real_mosquitto, until
from tests.support.daemon_checks import TIDE
from tests.support.daemons import Daemon, Hall, Machines, small_hall

BUG = 70


@pytest.fixture
async def hall(tmp_path: Path) -> AsyncIterator[tuple[Hall, Daemon, Machines]]:
    async with real_mosquitto() as broker, small_hall(tmp_path, broker) as parts:
        yield parts


async def alarms(files: Hall) -> list[str]:
    return list(json.loads((await asyncio.to_thread(files.get, "/healthz"))[1])["alarms"])


async def test_a_hall_whose_tide_ends_the_process_calls_on_without_it(
    hall: tuple[Hall, Daemon, Machines],
) -> None:
    """The visitor whose ticket ends the process waits at the broker and is served in safe mode."""
    files, daemon, machines = hall
    daemon.planted = "crashing_tide"
    count = files.directory / "hall.db.starts"
    count.write_text(f"{FAST_STARTS - 2}\n")  # as if it had ended three times already
    await daemon.start()
    machines.tickets(TIDE)
    for life in (FAST_STARTS - 1, FAST_STARTS):
        assert await daemon.ended(20.0) == BUG
        daemon.close()
        assert count.read_text() == f"{life}\n"
        await daemon.start(ready=life == FAST_STARTS)
    await until(lambda: len(files.tickets()) == TIDE)
    assert await alarms(files) == ["safe-mode/east"]
    machines.panel.press("login")
    machines.panel.press("next")
    await until(lambda: machines.ids(machines.voice, "say") != [])
    (told,) = daemon.logged("safe-mode")
    assert told["ended_fast"] == FAST_STARTS
    assert await files.metric("edged_alarms") == 1
    daemon.planted = ""
    assert await daemon.stop() == 0  # a clean end: everything is tried again
    await daemon.restart()
    machines.tickets(3, first=TIDE + 1)
    await until(lambda: machines.lamp.lamp == "blink")
    assert await alarms(files) == []
    assert await daemon.stop() == 0
    assert not count.exists()
    assert files.notes()["hall.safe_mode"] == 2
