"""The disk under the real daemon fills up, crawls, dies or is read-only: nothing is acknowledged that is not kept."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import struct
import subprocess
from pathlib import Path

import pytest

from edged.clock import monotonic_s
from tests.support.brokers import until
from tests.support.daemon_checks import TIDE, identical
from tests.support.daemons import Daemon, Hall, Machines, edged
from tests.support.mounts import mounted
from tests.support.planted import SYNC_S

MIB = 1 << 20
PACE_S = 0.1  # between visitors: more than any hall has
SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN of linux/fs.h: from now on the file system answers EIO
NO_FLUSH = 2


def grown(file: Path) -> None:
    """Let the file grow until the disk has no room left."""

    def fill(size: int) -> None:
        while True:
            stream.write(bytes(size))

    with file.open("ab", buffering=0) as stream:
        for size in (MIB, 4096):
            with pytest.raises(OSError, match="No space left"):
                fill(size)


def formatted(image: Path) -> None:
    with image.open("wb") as file:
        file.truncate(64 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)


async def durable(files: Hall) -> bool:
    return bool(json.loads((await asyncio.to_thread(files.get, "/healthz"))[1])["durable"])


async def test_a_full_disk_calls_on_and_is_whole_when_there_is_room(
    hall: tuple[Hall, Daemon, Machines], tmp_path: Path
) -> None:
    """First the ballast goes; the disk fills again; from then on memory, and /healthz says so."""
    files, daemon, machines = hall
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=80m", "none") as disk:
        files.edit('path = "hall.db"', f'path = "{disk / "hall.db"}"')
        files.journal = disk / "hall.db"
        await daemon.start()
        await until((disk / "hall.db.ballast").exists, 30.0)
        machines.panel.press("login")
        grown(disk / "filler")
        machines.tickets(1)
        await until(lambda: not (disk / "hall.db.ballast").exists(), 20.0)
        assert await durable(files)
        grown(disk / "filler")
        machines.tickets(TIDE - 1, first=2)
        await until(lambda: machines.panel.waiting == TIDE)
        async with asyncio.timeout(20):
            while await durable(files):  # what the daemon frees meanwhile is not for it either
                await asyncio.to_thread(grown, disk / "filler")
                machines.panel.press("recall")  # nobody: a step that takes room, and no visitor
                await asyncio.sleep(0.1)
        called = machines.panel.number
        machines.panel.press("next")
        await until(lambda: machines.panel.number not in (None, called))
        (disk / "filler").unlink()
        async with asyncio.timeout(20):
            while not await durable(files):
                await asyncio.sleep(0.1)
        assert await daemon.stop() == 0
        assert files.numbers() == [f"A{n:03d}" for n in range(1, TIDE + 1)]
        identical(files)


async def test_a_disk_that_dies_ends_the_process_and_the_next_start_has_all_that_was_acknowledged(
    hall: tuple[Hall, Daemon, Machines], tmp_path: Path
) -> None:
    files, daemon, machines = hall
    image = tmp_path / "disk.img"
    formatted(image)
    files.edit('path = "hall.db"', f'path = "{tmp_path / "disk" / "hall.db"}"')
    files.journal = tmp_path / "disk" / "hall.db"
    with mounted(tmp_path / "disk", "-o", "loop", str(image)) as disk:
        await daemon.start()
        machines.tickets(TIDE)
        await until(lambda: machines.lamp.lamp == "blink")
        folder = os.open(disk, os.O_RDONLY)
        fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", NO_FLUSH))
        os.close(folder)
        machines.tickets(1, first=TIDE + 1)
        assert await daemon.ended(10.0) == 74
    assert machines.lamp.lamp == "blink", "the outputs stay as they are"
    with mounted(tmp_path / "disk", "-o", "loop", str(image)):
        await daemon.restart()
        await until(
            lambda: len(files.tickets()) == TIDE + 1
        )  # the last one was never acknowledged: it came again
        assert await daemon.stop() == 0
        identical(files)
    with mounted(tmp_path / "disk", "-o", "loop,ro", str(image)):
        done = await asyncio.to_thread(edged, "run", "--config", str(files.file))
    assert done.returncode == 74
    assert "Traceback" not in done.stderr
    assert "read-only" in done.stderr.lower() or "readonly" in done.stderr.lower()


@pytest.mark.parametrize(("sync_s", "tickets"), [(0.2, 100), pytest.param(2.0, 400, marks=pytest.mark.full)])
async def test_a_crawling_disk_holds_back_acknowledgements_and_never_the_loop(
    sync_s: float, tickets: int, hall: tuple[Hall, Daemon, Machines]
) -> None:
    """The loop is measured twice a second: a p99 takes the long run, on a quiet machine; the short ones a p90."""
    files, daemon, machines = hall
    await daemon.start()  # lays the journal out at full speed
    assert await daemon.stop() == 0
    daemon.planted, daemon.environ = "crawling", {SYNC_S: str(sync_s)}
    await daemon.restart()
    began_s = monotonic_s()
    machines.tickets(1)
    await until(lambda: machines.panel.shown.get("panel", {}).get("waiting") == 1)
    shown_s = monotonic_s() - began_s
    for number in range(2, tickets + 1):
        machines.tickets(1, first=number)
        await asyncio.sleep(PACE_S)
    await until(lambda: machines.panel.waiting == tickets, 60.0)
    await until(lambda: len(files.tickets()) == tickets, 60.0)
    share = 0.99 if tickets > 100 else 0.9
    late_s = await files.quantile("edged_loop_lag_seconds", share)
    summary = f"loop late p{share * 100:.0f} <= {late_s * 1000:.0f} ms"
    print(f"sync {sync_s} s, {tickets} tickets: shown after {shown_s * 1000:.0f} ms, {summary}")  # noqa: T201
    assert late_s <= (0.01 if tickets > 100 else sync_s / 4)
    assert shown_s < max(1.0, sync_s)
    assert await files.quantile("edged_commit_seconds", 0.5) >= sync_s
    assert daemon.logged("heartbeat-stopped") == []
    await daemon.kill()
    assert files.numbers() == [f"A{n:03d}" for n in range(1, tickets + 1)]


async def test_killed_between_commit_and_acknowledgement_the_message_comes_again_and_counts_once(
    hall: tuple[Hall, Daemon, Machines],
) -> None:
    """The message is a clerk's "next" key: counted twice, it would call two visitors."""
    files, daemon, machines = hall
    daemon.planted = "unacknowledged"
    await daemon.start()
    machines.panel.press("login")
    machines.tickets(3)
    await until(lambda: len(files.tickets()) == 3)
    daemon.signal(signal.SIGUSR1)
    machines.panel.press("next")
    assert await daemon.ended(10.0) == -signal.SIGKILL
    assert files.notes()["ticket.called"] == 1, "on disk, and nobody was told"
    daemon.planted = ""
    await daemon.restart()
    machines.tickets(1, first=4)
    await until(lambda: len(files.tickets()) == 4)
    machines.panel.press("recall")
    await until(lambda: files.notes()["ticket.recalled"] == 1)
    assert await daemon.stop() == 0
    assert files.notes()["ticket.called"] == 1
    assert files.notes()["ignored"] == 1
    identical(files)
