"""The shipped unit under a real systemd: hung, killed, stopped; minutes of work, so only with ``-m full``."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from edged.clock import monotonic_s
from tests.support.brokers import until
from tests.support.containers import Container, booted
from tests.support.daemon_checks import TIDE
from tests.support.daemons import Daemon, Hall, Machines

pytestmark = pytest.mark.full
BACK_S = 12.0  # from the hang to a hall that is served again
DARK_S = 15.0  # from the death of a daemon that nobody restarts to dark lamps
RESTARTS = int(os.environ.get("EDGED_RESTARTS", "10"))
TICKETS = 20  # in flight when the daemon is killed


def installed(files: Hall) -> Path:
    """The hall's file as it stands on a machine: the journal where the unit lets it be."""
    files.edit('path = "hall.db"', 'path = "/var/lib/edged/hall.db"')
    return files.file


async def tide(files: Hall, machines: Machines) -> None:
    """Let enough visitors come and staff log in, so that a "+1" window opens and lamp 1 of the relay module shines."""
    machines.tickets(TIDE)
    machines.panel.press("login")
    await until(lambda: machines.lamp.lamp == "blink")
    machines.tidal_panel.press("login", "chen")
    await until(lambda: machines.relay.seen(1) == "on")


async def served(container: Container, machines: Machines, number: int, since_s: float) -> float:
    """Take a ticket and wait until a panel counts it; return the seconds since ``since_s``."""
    machines.tickets(1, first=number)
    await until(lambda: machines.panel.waiting == number, 60.0)
    took_s = monotonic_s() - since_s
    assert await container.show("ActiveState") == "active"
    return took_s


async def test_hung_it_is_killed_and_back_and_no_lamp_lies(
    hall: tuple[Hall, Daemon, Machines], tmp_path: Path
) -> None:
    files, _, machines = hall
    async with booted(tmp_path / "box", installed(files)) as container:
        await tide(files, machines)
        assert await container.show("NRestarts") == "0"
        changes = len(machines.relay.coils[1].changes)
        for number in (1, 2):
            hung_s = monotonic_s()
            await container.signal(signal.SIGSTOP)
            took_s = await served(container, machines, TIDE + number, hung_s)
            killed = await container.call("journalctl", "-u", "edged", "--no-pager", "-g", "Watchdog timeout")
            print(f"hung -> killed -> serving again: {took_s:.1f} s")  # noqa: T201
            assert killed.count("Watchdog timeout") == number
            assert took_s <= BACK_S
        assert await container.show("NRestarts") == "2"
        assert machines.relay.seen(1) == "on"
        assert len(machines.relay.coils[1].changes) == changes, "the lamp outlived both restarts"
        dead_s = monotonic_s()
        await container.call("systemctl", "kill", "-s", "STOP", "edged")
        await container.call("systemctl", "service-watchdogs", "no")
        await until(lambda: machines.relay.seen(1) == "off", DARK_S + 5)
        print(f"hung for good -> dark: {monotonic_s() - dead_s:.1f} s")  # noqa: T201
        assert monotonic_s() - dead_s <= DARK_S


async def test_killed_again_and_again_it_still_comes_back(
    hall: tuple[Hall, Daemon, Machines], tmp_path: Path
) -> None:
    """With tickets in flight every time: none is lost, none counts twice."""
    files, _, machines = hall
    async with booted(tmp_path / "box", installed(files)) as container:
        number = 0
        took_s: list[float] = []
        for life in range(RESTARTS):
            machines.tickets(TICKETS, first=number + 1)
            number += TICKETS
            await asyncio.sleep(0.02)  # some of them are on their way
            before = int(await container.show("NRestarts"))  # on a starved machine the watchdog kills, too
            killed_s = monotonic_s()
            await container.signal(signal.SIGKILL)
            await container.until_restarted(before, 120.0)  # what was alive may have served them all
            await until(lambda: machines.panel.waiting == number, 120.0)
            await container.until_state("active/running", 120.0)
            took_s.append(monotonic_s() - killed_s)
            print(f"{life + 1}: {took_s[-1]:.1f} s", flush=True)  # noqa: T201
        summary = f"median of {RESTARTS} {sorted(took_s)[RESTARTS // 2]:.1f} s, slowest {max(took_s):.1f} s"
        more = int(await container.show("NRestarts")) - RESTARTS
        print(f"killed -> serving again with {number} waiting: {summary}; {more} by the watchdog")  # noqa: T201
