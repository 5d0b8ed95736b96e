"""A process that ends again and again: the sixth start leaves out what most likely ends it, and the hall calls on."""

from __future__ import annotations

import asyncio
import json

from edged.daemon.devices import FAILURES_MAX
from edged.store.starts import FAST_STARTS
from tests.support.brokers import Mosquitto, until
from tests.support.centres import Centre, centre_at
from tests.support.daemon_checks import TIDE
from tests.support.daemons import Daemon, Hall, Machines

BUG = 70


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
    (line,) = daemon.logged("safe-mode")
    assert line["crashes_in_a_row"] == FAST_STARTS
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


async def test_a_driver_that_always_fails_ends_the_process_but_not_in_safe_mode(
    hall: tuple[Hall, Daemon, Machines],
) -> None:
    files, daemon, machines = hall
    daemon.planted = "falling"
    files.edit("[[staff]]", '[[devices]]\nid = "bad"\ndriver = "falling"\n\n[[staff]]')
    await daemon.start(ready=False)
    assert await daemon.ended(30.0) == BUG
    assert len(daemon.logged("device-task-failed")) == FAILURES_MAX + 1
    (files.directory / "hall.db.starts").write_text(f"{FAST_STARTS}\n")
    await daemon.restart()
    await until(lambda: len(daemon.logged("device-task-failed")) > 3 * FAILURES_MAX)
    machines.tickets(1)
    machines.panel.press("login")
    machines.panel.press("next")
    await until(lambda: machines.panel.number == "A001")
    assert await alarms(files) == ["safe-mode/east"]
    assert await daemon.stop() == 0


async def test_safe_mode_ends_by_itself_and_what_it_kept_back_goes_to_the_centre(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, machines = hall
    daemon.planted = "hasty"
    count = files.directory / "hall.db.starts"
    count.write_text(f"{FAST_STARTS}\n")
    async with centre_at(broker, "east") as centre:
        await daemon.start()
        machines.tickets(2)
        await until(lambda: len(files.tickets()) == 2)
        assert await daemon.ended(30.0) == 0
        assert centre.arrivals == []
        assert len(daemon.logged("safe-mode-ended")) == 1
        assert not count.exists()
        await daemon.restart()
        await until(lambda: {"hall.safe_mode", "ticket.issued"} <= kinds(centre))
        assert await alarms(files) == []
        assert await daemon.stop() == 0
    issued = [event["subject"] for event in centre.events.values() if event["type"] == "edged.ticket.issued"]
    assert issued == ["A001", "A002"]


def kinds(centre: Centre) -> set[str]:
    """Return the types of all events that the centre received."""
    return {event["type"].removeprefix("edged.") for event in centre.events.values()}
