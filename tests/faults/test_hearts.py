"""What the watchdog is fed by: a part that hangs or dies is found out; a dead device or broker changes nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from edged.clock import monotonic_s
from edged.heartbeat import PartEnded, lasting
from tests.support.brokers import Mosquitto, until
from tests.support.daemon_checks import TIDE, identical
from tests.support.daemons import Daemon, Hall, Machines, device_table

PING_S = 0.5  # the daemon's watchdog interval in these tests; it pings twice within it
ACTS_S = 12.0  # the promise: this long after a part hung or died, somebody has acted


@pytest.fixture
async def quick(hall: tuple[Hall, Daemon, Machines]) -> AsyncIterator[tuple[Hall, Daemon, Machines]]:
    """Give the hall a watchdog interval short enough for a test to wait for."""
    files, _, machines = hall
    daemon = Daemon(files, watchdog_s=PING_S)
    yield files, daemon, machines
    await daemon.kill()
    daemon.close()


async def silent(daemon: Daemon) -> None:
    """Wait until the watchdog starves: no ping for four times its interval."""
    pings, since_s = daemon.pings, monotonic_s()
    deadline_s = since_s + ACTS_S
    while monotonic_s() - since_s < 4 * PING_S:
        assert monotonic_s() < deadline_s, "it is still fed"
        await asyncio.sleep(PING_S / 10)
        if daemon.pings != pings:
            pings, since_s = daemon.pings, monotonic_s()


async def test_a_blocked_loop_starves_the_watchdog(quick: tuple[Hall, Daemon, Machines]) -> None:
    _, daemon, _ = quick
    daemon.planted = "blocked"
    await daemon.start()
    await until(lambda: daemon.pings >= 2)
    daemon.signal(signal.SIGUSR1)
    await silent(daemon)


@pytest.mark.parametrize(("planted", "heartbeat"), [("stubborn", "device hung"), ("hung_writer", "journal")])
async def test_a_part_that_hangs_starves_the_watchdog_and_is_named(
    planted: str, heartbeat: str, quick: tuple[Hall, Daemon, Machines]
) -> None:
    files, daemon, machines = quick
    if planted == "stubborn":
        text = files.file.read_text().replace('lamp = "relay/0"', 'lamp = "hung"')
        table = device_table("hung", "x").replace("mqtt_json", "stubborn").replace('kind = "x"\n', "")
        files.file.write_text(text + table)
    daemon.planted = planted
    await daemon.start()
    if planted == "hung_writer":
        daemon.signal(signal.SIGUSR1)
    machines.tickets(1)
    await until(lambda: f"STATUS=no heartbeat: {heartbeat}" in daemon.notified, ACTS_S)
    await silent(daemon)
    assert daemon.logged("heartbeat-stopped")[0]["heartbeats"] == [heartbeat]


@pytest.mark.parametrize(
    ("planted", "code", "expected"),
    [
        ("dead_link", 70, "mqtt was cancelled from inside"),
        pytest.param("dead_writer", 74, "ValueError: planted", marks=pytest.mark.full),
    ],
)
async def test_a_part_that_dies_ends_the_process_and_the_next_start_is_whole(
    planted: str, code: int, expected: str, quick: tuple[Hall, Daemon, Machines]
) -> None:
    files, daemon, machines = quick
    daemon.planted = planted
    await daemon.start()
    machines.tickets(TIDE)
    await until(lambda: machines.lamp.lamp == "blink")
    daemon.signal(signal.SIGUSR1)
    assert await daemon.ended(ACTS_S) == code
    assert expected in (files.directory / "edged.log").read_text()
    daemon.planted = ""
    await daemon.restart()
    machines.tickets(1, first=TIDE + 1)
    await until(lambda: machines.panel.waiting == TIDE + 1)
    assert await daemon.stop() == 0
    identical(files)


async def test_dead_devices_and_a_dead_broker_do_not_starve_it(
    quick: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    """Everything outside is gone while lamps and texts are wanted; for longer than the short limit of a heartbeat."""
    files, daemon, machines = quick
    daemon.planted = "stubborn"  # only for its limit: no device of this hall is one
    await daemon.start()
    machines.tickets(TIDE)
    await until(lambda: machines.lamp.lamp == "blink")
    await machines.relay_server.stop()
    await broker.kill()
    await until(lambda: daemon.logged("link-down") != [])
    pings = daemon.pings
    await until(lambda: daemon.pings >= pings + 12, timeout_s=ACTS_S)
    assert daemon.logged("heartbeat-stopped") == []
    assert (await asyncio.to_thread(files.get, "/healthz"))[0] == 200
    assert await daemon.stop() == 0
    identical(files)


async def test_a_lasting_part_may_be_cancelled_but_not_end() -> None:
    async def ends() -> None:
        await asyncio.sleep(0)

    async def cancelled_by_its_library() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    with pytest.raises(PartEnded, match="link ended by itself"):
        await lasting("link", ends())
    with pytest.raises(PartEnded, match="link was cancelled from inside"):
        await lasting("link", cancelled_by_its_library())
    task = asyncio.get_running_loop().create_task(lasting("link", asyncio.sleep(60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
