"""A pushed policy is rehearsed by another process; killed, stopped or absent it leaves the daemon as it was."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from edged.bench import aged
from edged.central.envelope import public_entry
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemon_checks import watching
from tests.support.daemons import Daemon, Hall
from tests.support.policies import KEY, document, envelope

DAYS, TICKETS = 2, 300
HALL = "bench"  # of `aged`
BUSY_S = 240.0  # the rehearsal gives way to all others on this machine
IN_THE_MIDDLE_TICKS = 20  # of 10 ms processor time: it has read the question, and needs ten times as many


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    return tmp_path / "rehearse.sock"


@asynccontextmanager
async def served(directory: Path, broker: Mosquitto, place: Path) -> AsyncIterator[tuple[Hall, Daemon]]:
    """A daemon with some recorded days behind it."""
    written = await aged.write(directory / "hall.db", DAYS, windows=10, tickets=TICKETS)
    hall = Hall(directory, broker.port, "5.0", "tcp://127.0.0.1:1")
    keys = {"keys": [public_entry(KEY.public_key(), "city")]}
    (directory / "city.pub.json").write_text(json.dumps(keys))
    policy = f'\n[policy]\nkeys = "city.pub.json"\nrehearse_socket = "{place}"\n'
    hall.file.write_text(aged.hall_toml(written.site, broker.port, hall.web_port) + policy)
    daemon = Daemon(hall)
    try:
        await daemon.start()
        yield hall, daemon
    finally:
        await daemon.kill()
        daemon.close()


@contextmanager
def rehearser(place: Path) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-m", "edged", "rehearse", "--socket", str(place)])
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def used_ticks(pid: int) -> int:
    """Processor time of a process (proc(5): fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def never(hall: str, version: int, max_worse: int | None = None) -> bytes:
    terms = {"days": DAYS, "max_worse": max_worse}
    return envelope(
        document(version=version, halls=[hall], rehearsal=terms, body={"tidal": {"rule": "never"}})
    )


async def test_a_worse_policy_is_told_with_figures_or_refused_where_it_says_so(
    tmp_path: Path, broker: Mosquitto, socket_path: Path
) -> None:
    with rehearser(socket_path) as child:
        await until(socket_path.exists, 30.0)
        async with served(tmp_path, broker, socket_path) as (_, _):
            topic = f"hall/{HALL}/policy"
            async with (
                plain_client(broker, "centre") as centre,
                watching(broker, f"{topic}/report") as reports,
            ):
                await centre.publish(f"{topic}/push", never(HALL, 1, max_worse=10), qos=1)
                await until(lambda: bool(reports) and reports[-1]["state"] == "rejected", BUSY_S)
                report = reports[-1]
                assert report["reason"]["code"] == "rehearsed-worse", report
                assert report["applied"]["version"] == 0
                figures(report["rehearsal"])
                assert {"rehearsing"} < {one["state"] for one in reports}
                await centre.publish(f"{topic}/push", never(HALL, 2), qos=1)
                await until(lambda: reports[-1]["state"] == "applied", BUSY_S)
                assert reports[-1]["applied"]["version"] == 2
                figures(reports[-1]["rehearsal"])
        assert child.poll() is None


def figures(report: dict[str, Any]) -> None:
    before, after = report["before"], report["after"]
    assert (report["days"], report["of"]) == (DAYS, DAYS)
    assert before["activations"] > after["activations"] == 0
    assert before["mean_min"] < after["mean_min"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_killed_or_stopped_in_the_middle_it_leaves_the_daemon_untouched(
    number: signal.Signals, tmp_path: Path, broker: Mosquitto, socket_path: Path
) -> None:
    with rehearser(socket_path) as child:
        await until(socket_path.exists, 30.0)
        before = used_ticks(child.pid)
        async with served(tmp_path, broker, socket_path) as (hall, daemon):
            pid, topic = daemon.pid, f"hall/{HALL}/policy"
            async with (
                plain_client(broker, "centre") as centre,
                watching(broker, f"{topic}/report") as reports,
            ):
                await centre.publish(f"{topic}/push", never(HALL, 1), qos=1)
                await until(lambda: used_ticks(child.pid) > before + IN_THE_MIDDLE_TICKS, BUSY_S)
                os.kill(child.pid, number)
                assert reports[-1]["state"] == "rehearsing"
                await visitors_are_served(hall, centre)
                if number == signal.SIGSTOP:
                    assert reports[-1]["state"] == "rehearsing", "nobody waits for it but the policy"
                    child.kill()  # as the unit's RuntimeMaxSec= does
                await until(lambda: reports[-1]["state"] == "applied", 30.0)
                assert reports[-1]["rehearsal"] == {"missed": "broke-off"}
            assert daemon.pid == pid


async def visitors_are_served(hall: Hall, centre: Any) -> None:
    """Fail unless tickets are still taken, recorded and counted."""
    before = await hall.metric("edged_events_total")
    up = f"hall/{HALL}/dev/dispenser/up/ticket"
    for seq in range(1, 21):
        ticket = {"seq": seq, "number": f"Z{seq:03}", "service": "s0-0"}
        await centre.publish(up, json.dumps(ticket).encode(), qos=1)

    async with asyncio.timeout(30.0):
        while await hall.metric("edged_events_total") < before + 20:  # counted once they are on disk
            pass


async def test_without_the_service_it_is_said_and_refused_only_where_asked_for(
    tmp_path: Path, broker: Mosquitto, socket_path: Path
) -> None:
    async with served(tmp_path, broker, socket_path) as (_, _):
        topic = f"hall/{HALL}/policy"
        async with plain_client(broker, "centre") as centre, watching(broker, f"{topic}/report") as reports:
            await centre.publish(f"{topic}/push", never(HALL, 1, max_worse=10), qos=1)
            await until(lambda: bool(reports) and reports[-1]["state"] == "rejected", 30.0)
            assert reports[-1]["reason"]["code"] == "not-rehearsed"
            await centre.publish(f"{topic}/push", never(HALL, 2), qos=1)
            await until(lambda: reports[-1]["state"] == "applied", 30.0)
            assert reports[-1]["rehearsal"] == {"missed": "no-service"}
