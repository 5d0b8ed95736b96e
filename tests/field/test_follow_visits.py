"""A queue system of somebody else: a number is not a visit, its lists are the truth, and none of them undoes a call.

Forms seen with others: queue systems that start at 001 after the noon break, that publish a list every few seconds
from a table read before the last call, and that move a number to another service without saying so.
"""

from __future__ import annotations

import json
from typing import Any

from tests.daemon.test_follow import QueueSystem, following
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemon_checks import identical, watching
from tests.support.daemons import Daemon, Hall, Machines


async def test_in_follow_mode_the_calls_of_another_queue_system_are_mirrored_for_a_day(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, machines = hall
    following(files)
    async with (
        plain_client(broker, "queue") as client,
        watching(broker, "hall/east/dev/queue-1/down/serve") as wishes,
    ):
        system = QueueSystem(client)

        def notes(kind: str, **data: Any) -> int:
            found = [note for step in files.steps() for note in step.notes if note.kind == kind]
            return sum(data.items() <= dict(note.data).items() for note in found)

        await daemon.start()
        await until(lambda: wishes != [])
        assert [one["window"] for one in wishes[-1]["windows"]] == ["w1"], "it serves, whoever sits there"
        await system.report("window", window="w1", staffed=True)
        await until(lambda: notes("window.opened", reason="queue-system") == 1)
        await system.issue(1, 3)
        await system.report("call", number="A001", window="w1")
        await system.report(
            "queue", service="tax-general", waiting=["A001", "A003", "A002"]
        )  # read before the call
        await until(lambda: notes("ignored", reason="list_is_older") == 1)
        await until(lambda: machines.panel.number == "A001")
        await system.report("end", window="w1", number="A001")
        await until(lambda: notes("ticket.finished") == 1)
        await system.report("ticket", number="A001", service="tax-general")  # its noon
        await until(lambda: machines.panel.waiting == 3)
        assert '"paper-in-doubt' not in files.get("/healthz")[1]
        await system.report("call", number="A001", window="w1")
        await until(lambda: notes("ticket.called") == 2)
        machines.panel.press("pause", "rest")
        await daemon.kill()
        await system.report("end", window="w1")
        await system.report("queue", service="tax-general", waiting=["A003"])
        await daemon.restart()
        await until(lambda: machines.panel.waiting == 1)
        await until(lambda: notes("ticket.finished") == 2)
        await system.report("window", window="w1", staffed=False)
        await until(lambda: notes("window.closed", reason="queue-system") == 1)
        health = json.loads(files.get("/healthz")[1])
        assert not [name for name in health["alarms"] if name.startswith(("paper", "device-twice", "queue"))]
    assert await daemon.stop() == 0
    identical(files)
