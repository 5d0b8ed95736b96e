"""A backup taken while tickets come, and a hall that goes on from it: nothing is given twice, and people are told."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import sys
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.background import background
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.centres import Centre
from tests.support.daemons import Daemon, Hall, Machines, edged
from tests.support.needs import lacking

RESTORES = int(os.environ.get("EDGED_RESTORES", "3"))
SECRET = "open sesame"


def numbers(machines: Machines) -> list[str]:
    """Numbers on paper, in order."""
    return [str(fields["number"]) for kind, fields in machines.dispenser.actions if kind == "print"]


async def take(machines: Machines, count: int) -> None:
    before = len(numbers(machines))
    for _ in range(count):
        machines.dispenser.request("tax-general")
    await until(lambda: len(numbers(machines)) == before + count)


async def run(*words: str) -> str:
    """A command that has to succeed; what it printed."""
    done = await asyncio.to_thread(edged, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@asynccontextmanager
async def city(broker: Mosquitto) -> AsyncIterator[dict[int, Centre]]:
    """What a city hears, by epoch, and acknowledges. The same epoch and sequence with something else in it fails."""
    centres: dict[int, Centre] = {}
    async with plain_client(broker, "city") as client:
        await client.subscribe("hall/east/events", qos=1)

        async def listen() -> None:
            async for message in client.messages:
                event = json.loads(bytes(message.payload))
                epoch = int(event["id"].split("/")[1])
                centre = centres.setdefault(epoch, Centre(client, "east", epoch))
                centre.store(event)
                await centre.acknowledge()

        async with background(listen()):  # fails where it found something
            yield centres


@pytest.mark.timeout(900 + RESTORES * 120)
@pytest.mark.parametrize("whole", [False, True])
async def test_a_hall_goes_on_from_its_backup_and_gives_nothing_twice(
    whole: bool, hall: tuple[Hall, Daemon, Machines], broker: Mosquitto, tmp_path: Path
) -> None:
    """Tickets come before, during and after each backup; ``EDGED_RESTORES`` says how often."""
    files, daemon, machines = hall
    await daemon.start()
    epochs: list[int] = []
    async with city(broker) as centres:
        await take(machines, 3)
        for turn in range(RESTORES):
            out = tmp_path / f"backup-{turn}.tar.gz"
            backing_up = asyncio.get_running_loop().create_task(
                run("backup", str(out), "--config", str(files.file), *(("--whole",) if whole else ()))
            )
            await take(machines, 5)
            await backing_up
            await take(machines, 2 + 7 * (turn % 3))  # not in the copy
            await daemon.kill()
            await asyncio.to_thread(
                (files.directory / "hall.db.starts").unlink
            )  # the other machine knows nothing of five quick ends
            output = await run(
                "restore", str(out), "--config", str(files.file), "--journal", str(files.journal)
            )
            assert "numbers will skip ahead" in output
            await daemon.restart()
            await take(machines, 2)
            _, text = await asyncio.to_thread(files.get, "/healthz")
            epochs.append(json.loads(text)["epoch"])
            assert any(name.startswith("journal-renewed") for name in json.loads(text)["alarms"])
            await until(lambda: epochs[-1] in centres)
        assert len(set(numbers(machines))) == len(numbers(machines))
        assert epochs == sorted(set(epochs)), "each time a new epoch"
        ids = [str(fields["id"]) for _, fields in machines.dispenser.actions]
        assert len(set(ids)) == len(ids)
        assert await daemon.stop() == 0
    events = sum(len(one.arrivals) for one in centres.values())
    print(f"{RESTORES} restores: {len(ids)} papers, {events} events of {len(centres)} epochs")  # noqa: T201
    assert files.replay().returncode == 0


async def test_an_old_backup_goes_on_behind_the_last_number_somebody_saw(
    hall: tuple[Hall, Daemon, Machines], tmp_path: Path
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    await take(machines, 3)
    out, journal = tmp_path / "backup.tar.gz", str(files.journal)
    await run("backup", str(out), "--config", str(files.file))
    await daemon.kill()
    age(out, tmp_path / "old.tar.gz", 3 * 86_400_000)
    restore = ("restore", str(tmp_path / "old.tar.gz"), "--config", str(files.file), "--journal", journal)
    done = await asyncio.to_thread(edged, *restore)
    assert done.returncode == 0
    assert "look for the last one" in done.stderr, "three days: no skip is long enough"
    refused = await asyncio.to_thread(edged, *restore, "--last", "Z007")
    assert refused.returncode == 1
    assert "no service gives such a number" in refused.stderr
    assert "skip" in await run(*restore, "--last", "a 657")
    await daemon.restart()
    await take(machines, 1)
    assert numbers(machines)[-1] == "A658"


async def test_what_root_restores_belongs_to_who_serves(
    hall: tuple[Hall, Daemon, Machines], tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        lacking("giving files away takes root")
    files, daemon, machines = hall
    await daemon.start()
    await take(machines, 1)
    await run("backup", str(tmp_path / "backup.tar.gz"), "--config", str(files.file))
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 4321, 4321)
    journal = folder / "hall.db"
    await run(
        "restore", str(tmp_path / "backup.tar.gz"), "--config", str(files.file), "--journal", str(journal)
    )
    assert {file.name for file in folder.iterdir()} == {"hall.db", "hall.db.renewed"}
    assert {file.stat().st_uid for file in folder.iterdir()} == {4321}


def age(backup: Path, old: Path, by_ms: int) -> None:
    """The same backup, taken so much earlier."""
    with tarfile.open(backup) as archive, tarfile.open(old, "w:gz") as aged:
        for member in archive.getmembers():
            content = archive.extractfile(member)
            assert content is not None
            body = content.read()
            if member.name == "manifest.json":
                manifest = json.loads(body)
                body = json.dumps(manifest | {"taken_ms": manifest["taken_ms"] - by_ms}).encode()
            member.size = len(body)
            aged.addfile(member, io.BytesIO(body))


async def test_a_backup_keeps_secrets_out_and_what_going_on_needs_in(
    hall: tuple[Hall, Daemon, Machines], tmp_path: Path
) -> None:
    files, daemon, machines = hall
    (files.directory / "password").write_text(SECRET)
    files.edit('username = "edged"', 'username = "edged"\npassword_file = "password"')
    await daemon.start()
    await take(machines, 2)
    await run("backup", str(tmp_path / "plain.tar.gz"), "--config", str(files.file))
    await run("backup", str(tmp_path / "secret.tar.gz"), "--config", str(files.file), "--with-secrets")
    assert SECRET.encode() not in unpacked(tmp_path / "plain.tar.gz")
    assert SECRET.encode() in unpacked(tmp_path / "secret.tar.gz")
    with tarfile.open(tmp_path / "plain.tar.gz") as archive:
        assert {"manifest.json", "hall.db", "hall.toml"} <= set(archive.getnames())
    done = await asyncio.to_thread(
        edged, "restore", str(tmp_path / "plain.tar.gz"), "--journal", str(files.journal)
    )
    assert done.returncode == 75, "not under a running daemon"
    assert "systemctl stop edged" in done.stderr


async def test_old_backups_are_deleted_and_a_wrong_file_is_refused(
    hall: tuple[Hall, Daemon, Machines], tmp_path: Path
) -> None:
    files, daemon, _machines = hall
    await daemon.start()
    assert await daemon.stop() == 0
    box = tmp_path / "box"
    box.mkdir()
    for name in ("edged-a.tar.gz", "edged-b.tar.gz", "other.tar.gz"):
        (box / name).write_bytes(b"x")
    await run("backup", str(box), "--config", str(files.file), "--keep", "2")
    remaining = {file.name for file in box.iterdir()}
    assert "other.tar.gz" in remaining
    assert len([name for name in remaining if name.startswith("edged-")]) == 2
    shutil.copy(sys.executable, tmp_path / "no-backup.tar.gz")
    journal = tmp_path / "elsewhere" / "hall.db"
    done = await asyncio.to_thread(
        edged, "restore", str(tmp_path / "no-backup.tar.gz"), "--journal", str(journal)
    )
    assert done.returncode == 1
    assert "is no backup" in done.stderr
    assert not journal.exists()
    taken = max(box.glob("edged-*.tar.gz"), key=lambda file: file.stat().st_mtime)
    config = box / "other.tar.gz" / "hall.toml"  # in a folder that cannot be made
    words = ("restore", str(taken), "--journal", str(journal), "--config", str(config))
    done = await asyncio.to_thread(edged, *words)
    assert (done.returncode, journal.exists()) == (1, True)
    assert f"{config}: cannot be written" in done.stderr


def unpacked(file: Path) -> bytes:
    """Everything in an archive."""
    content = b""
    with tarfile.open(file) as archive:
        for member in archive.getmembers():
            stream: Any = archive.extractfile(member)
            content += stream.read() if stream is not None else b""
    return content
