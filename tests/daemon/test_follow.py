"""Follow mode in the whole daemon: a queue system calls, the hall mirrors it, lights its "+1" windows and says so."""

from __future__ import annotations

import json
from typing import Any

import aiomqtt

from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemon_checks import TIDE, identical, watching
from tests.support.daemons import Daemon, Hall, Machines, device_table


class QueueSystem:
    """Somebody else's software that issues and calls."""

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
