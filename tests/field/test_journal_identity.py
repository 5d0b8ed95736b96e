"""A journal that lost its end, was put back from a copy, or is not there: nobody gets a number that somebody holds.

Known of others: SQLite drops the frames of a WAL whose checksum fails, and all behind them, without a word
(sqlite.org/walformat.html); etcd refuses a member whose data directory is another's; PostgreSQL begins a new timeline
after a restore.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edged.core.model.commands import Print
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemons import Daemon, Hall, Machines

Parts = tuple[Hall, Daemon, Machines]
FILES = ("hall.db", "hall.db-wal", "hall.db-shm", "hall.db.keep", "hall.db.mark")


async def health(files: Hall) -> dict[str, Any]:
    _, text = await asyncio.to_thread(files.get, "/healthz")
    found: dict[str, Any] = json.loads(text)
    return found


def printed(machines: Machines) -> list[str]:
    """Return the printed numbers in order; a number sent again under the same id is the same paper."""
    papers = {f["id"]: str(f["number"]) for kind, f in machines.dispenser.actions if kind == "print"}
    return list(papers.values())


async def request_tickets(machines: Machines, count: int) -> None:
    """Request ``count`` tickets, and wait until they are printed."""
    before = len(printed(machines))
    for _ in range(count):
        machines.dispenser.request("tax-general")
    await until(lambda: len(printed(machines)) == before + count)


async def until_broker_knows_journal(broker: Mosquitto, files: Hall) -> None:
    """Wait until the broker retains the newest sequence number of the journal."""
    last = files.steps()[-1].seq
    async with asyncio.timeout(20), plain_client(broker, "witness") as client:
        await client.subscribe("hall/east/journal", qos=1)
        async for message in client.messages:
            if isinstance(message.payload, bytes) and json.loads(message.payload)["seq"] >= last:
                return


def copy_journal(files: Hall, to: Path) -> None:
    """Copy the files of the journal into a folder."""
    to.mkdir(exist_ok=True)
    for name in FILES:
        if (files.directory / name).exists():
            shutil.copy(files.directory / name, to / name)


def put_back(files: Hall, source: Path) -> None:
    """Replace the files of the journal by those of a folder (none, where it has none)."""
    for name in FILES:
        (files.directory / name).unlink(missing_ok=True)
        if (source / name).exists():
            shutil.copy(source / name, files.directory / name)


async def restart_until_renewed(daemon: Daemon) -> None:
    """The first start learns from the broker whose journal it has, and ends; the next one begins a new epoch."""
    await daemon.restart(ready=False)
    assert await daemon.ended(20.0) == 74
    await daemon.restart()


def assert_no_number_twice(machines: Machines) -> None:
    papers = printed(machines)
    assert len(set(papers)) == len(papers), f"twice on paper: {papers}"


async def assert_journal_renewed(files: Hall, why: str) -> None:
    """Assert a new epoch, and an alarm about it that says ``why``."""
    now = await health(files)
    assert now["epoch"] >= 2
    assert "journal-renewed/journal" in now["alarms"]
    assert why in now["concerns"]["journal-renewed/journal"]


async def test_after_restoring_an_old_journal_numbering_goes_on_behind_the_printed_numbers(
    hall: Parts, broker: Mosquitto, tmp_path: Path
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    await request_tickets(machines, 5)
    assert await daemon.stop() == 0
    copy_journal(files, tmp_path / "backup")
    await daemon.restart()
    await request_tickets(machines, 3)
    await until_broker_knows_journal(broker, files)
    await daemon.kill()
    put_back(files, tmp_path / "backup")
    await restart_until_renewed(daemon)
    await request_tickets(machines, 3)
    assert_no_number_twice(machines)
    assert printed(machines)[-1] == "A011", "right behind them: the broker knew the last number"
    await assert_journal_renewed(files, "older-copy")
    assert await daemon.stop() == 0
    assert files.replay().returncode == 0


async def test_with_an_empty_folder_numbering_goes_on_behind_the_numbers_kept_at_the_broker(
    hall: Parts, broker: Mosquitto, tmp_path: Path
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    await request_tickets(machines, 4)
    await until_broker_knows_journal(broker, files)
    await daemon.kill()
    put_back(files, tmp_path / "nothing")
    await restart_until_renewed(daemon)
    await request_tickets(machines, 2)
    assert_no_number_twice(machines)
    await assert_journal_renewed(files, "new")
    assert await daemon.stop() == 0


@pytest.mark.parametrize("how", ["cut", "flipped", "gone"])
async def test_a_lost_end_of_the_wal_file_is_reported_and_its_numbers_are_skipped(
    how: str, hall: Parts
) -> None:
    """The broker hears of it, too: here it has no chance to, the mark beside the journal is enough."""
    files, daemon, machines = hall
    await daemon.start()
    await request_tickets(machines, 3)
    await daemon.kill()
    wal = files.directory / "hall.db-wal"
    data = bytearray(wal.read_bytes())
    if how == "gone":
        wal.unlink()
    elif how == "cut":
        wal.write_bytes(data[: len(data) - 3 * 4120])
    else:
        data[-2 * 4120 - 100] ^= 1
        wal.write_bytes(data)
    await daemon.restart()
    await request_tickets(machines, 3)
    assert_no_number_twice(machines)
    await assert_journal_renewed(files, "cut")
    printed_actions = {
        (f["id"], f.get("number")) for kind, f in machines.dispenser.actions if kind == "print"
    }
    assert len({one for one, _ in printed_actions}) == len(printed_actions), (
        "an id means one paper: a device that knows it does nothing"
    )
    assert await daemon.stop() == 0
    assert isinstance(files.actions("print")[-1].body, Print)


async def test_an_intact_journal_keeps_its_epoch_after_kills_and_stops(hall: Parts) -> None:
    files, daemon, machines = hall
    await daemon.start()
    for _ in range(3):
        await request_tickets(machines, 2)
        await daemon.kill()
        await daemon.restart()
    await asyncio.sleep(4.5)
    assert (await health(files))["epoch"] == 1
    assert "journal-renewed/journal" not in (await health(files))["alarms"]
    assert printed(machines) == [f"A{n:03d}" for n in range(1, 7)]
    assert await daemon.stop() == 0
