"""Follow mode in the whole daemon: a queue system calls, the hall mirrors it, lights its "+1" windows and says so."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt

from devices.http_counter.fake import FakeHttpCounter, post
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemon_checks import TIDE, identical, watching
from tests.support.daemons import ROOT, Daemon, Hall, Machines, device_table


class QueueSystem:
    """A fake queue system of another vendor, which issues numbers and calls them."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self._seq = 0

    async def report(self, kind: str, **fields: Any) -> None:
        self._seq += 1
        payload = json.dumps({"seq": self._seq, **fields})
        await self._client.publish(f"hall/east/dev/queue-1/up/{kind}", payload, qos=1)

    async def issue(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            await self.report("ticket", number=f"A{number:03d}", service="tax-general")


def following(hall: Hall) -> None:
    hall.edit('id = "east"\n', 'id = "east"\nmode = "follow"\nqueue = "queue-1"\n')
    hall.file.write_text(hall.file.read_text() + device_table("queue-1", "queue"))


async def test_a_queue_system_calls_and_the_tide_opens_a_window_for_it(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, machines = hall
    following(files)
    async with (
        plain_client(broker, "queue") as client,
        watching(broker, "hall/east/dev/queue-1/down/serve") as wishes,
    ):
        system = QueueSystem(client)
        await daemon.start()
        await system.issue(1, TIDE)
        await until(lambda: machines.lamp.lamp == "blink")
        machines.tidal_panel.press("login", "chen")
        await until(lambda: machines.lamp.lamp == "on")
        both = [{"window": window, "services": ["tax-general"]} for window in ("w1", "w2")]
        await until(lambda: wishes != [] and wishes[-1]["windows"] == both)
        machines.tidal_panel.press("next")
        await system.report("call", number="A001", window="w2")
        await system.report("call", number="A077", window="w1")  # nobody heard of it, nor that w1 opened
        await until(lambda: machines.panel.shown.get("panel", {}).get("number") == "A077")
        await until(lambda: machines.tidal_panel.shown.get("panel", {}).get("number") == "A001")
        await daemon.kill()
        await daemon.restart()
        await system.report("end", window="w2", number="A001")
        await system.report("queue", service="tax-general", waiting=["A009"])
        await until(lambda: machines.panel.waiting == 1)
        await system.report("call", number="A009", window="w9")
        await system.report("call", number=7, window="w1")
        await until(lambda: files.notes()["follow.healed"] == 1 + (TIDE - 2))
        assert machines.ids(machines.voice, "say") == []
    assert await daemon.stop() == 0
    ignored = [n.data["reason"] for step in files.steps() for n in step.notes if n.kind == "ignored"]
    assert ignored.count("queue_system_calls") == 1
    assert ignored.count("unknown_window") == 1
    identical(files)


@asynccontextmanager
async def edged_process(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A process beside the daemon, and its first line, which says that it serves."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edged", *arguments, "--log-level", "ERROR"),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            yield process, (await process.stdout.readline()).decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


BRIDGE = """
queue = "queue-1"
url_file = "url"
state = "bridge.json"
every_s = 0.2
whole_every_s = 1.0
overlap = 0
username = "queue-1"
tickets = { view = "v_tickets", key = "id", number = "no", service = "biz" }
calls = { view = "v_calls", key = "id", number = "no", window = "win" }
waiting = { view = "v_tickets", number = "no", service = "biz", order = "id" }
[services]
"0101" = "tax-general"
[windows]
"1" = "w1"
"""
COUNTER = """
[[devices]]
id = "door-camera"
driver = "http_counter"
vendor = "hikvision"
secret_file = "secret"
"""


async def test_a_database_and_a_camera_reach_the_core_by_processes_beside_the_daemon(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    """`edged bridge` and `edged counters` as they are started, before a serving daemon that dies meanwhile."""
    files, daemon, machines = hall
    following(files)
    files.file.write_text(files.file.read_text() + COUNTER)
    folder = files.directory
    (folder / "secret").write_text("eleven-o-clock\n")
    (folder / "url").write_text(f"sqlite:///{folder / 'queue.sqlite'}\n")
    (folder / "bridge.toml").write_text(BRIDGE)
    theirs = sqlite3.connect(folder / "queue.sqlite", isolation_level=None)
    theirs.execute("CREATE TABLE v_tickets (id INTEGER, no TEXT, biz TEXT, visitor TEXT)")
    theirs.execute("CREATE TABLE v_calls (id INTEGER, no TEXT, win TEXT)")
    theirs.execute("INSERT INTO v_tickets VALUES (1, 'A001', '0101', '张三')")
    camera = FakeHttpCounter("hikvision", "total")

    async def passed(people: int) -> None:
        camera.passed(people)
        body, login = camera.report(), ("door-camera", "eleven-o-clock")
        async with asyncio.timeout(30):  # 503 until the broker has it: a camera posts again
            while await asyncio.to_thread(post, port, "/door-camera", body, *login) != 200:
                await asyncio.sleep(0.05)

    await daemon.start()
    config = ("--config", str(files.file))
    async with (
        edged_process("bridge", str(folder / "bridge.toml"), *config) as (_, ready_line),
        edged_process("counters", *config, "--port", "0") as (_, address),
    ):
        assert ready_line == "edged bridge: ready\n"
        (port,) = (int(found) for found in re.findall(r":(\d+)/", address))
        await until(lambda: machines.panel.waiting == 1)
        await passed(2)
        await daemon.kill()
        theirs.execute("INSERT INTO v_tickets VALUES (2, 'A002', '0101', '李四')")
        theirs.execute("INSERT INTO v_calls VALUES (1, 'A001', '1')")
        await passed(3)
        await daemon.restart()
        await until(lambda: machines.panel.shown.get("panel", {}).get("number") == "A001")
        await until(lambda: machines.panel.waiting == 1)
        await until(lambda: files.notes()["people.counted"] == 2)
    assert await daemon.stop() == 0
    theirs.close()
    counted = [
        note.data["entered"] for step in files.steps() for note in step.notes if note.kind == "people.counted"
    ]
    assert counted == [0, 3], "the first total is where counting begins; what came while we were down counts"
    assert not any(name in files.journal.read_bytes().decode("utf-8", "replace") for name in ("张三", "李四"))
