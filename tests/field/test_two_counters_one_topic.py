"""Two people counters on one wildcard topic: whoever came in while the controller restarted is counted, and once.

A sum of what a driver heard since its own start is another sum after a restart: it fell back (a suspect counter), or in
a small hall everybody of the day was counted a second time.
"""

from __future__ import annotations

import json

import aiomqtt

from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemon_checks import identical
from tests.support.daemons import Daemon, Hall, Machines

DOORS = '\n[[devices]]\nid = "door"\ndriver = "milesight_mqtt"\ntopic = "em/+/status"\n'


async def report(client: aiomqtt.Client, camera: str, entered: int, left: int) -> None:
    line = {"line": 1, "line_uuid": camera, "in_counted": entered, "out_counted": left}
    body = json.dumps({"device_info": {"device_sn": camera}, "line_total_data": [line]})
    await client.publish(f"em/{camera}/status", body.encode(), qos=1)


async def test_totals_of_two_counters_on_one_topic_go_on_after_a_restart(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, _machines = hall
    files.file.write_text(files.file.read_text() + DOORS)

    def counted() -> list[int]:
        notes = [note for step in files.steps() for note in step.notes if note.kind.startswith("people.")]
        assert [note.kind for note in notes if note.kind != "people.counted"] == []
        return [int(note.data["entered"] or 0) for note in notes]

    await daemon.start()
    async with plain_client(broker, "cameras") as client:
        for camera, entered, left in [
            ("d1", 4000, 3900),
            ("d2", 9000, 8900),
            ("d1", 4003, 3900),
            ("d2", 9004, 8901),
        ]:
            await report(client, camera, entered, left)
        await until(lambda: counted() == [0, 0, 3, 4])
        await daemon.kill()
        await daemon.restart()
        await report(client, "d1", 4006, 3903)
        await report(client, "d2", 9005, 8902)
        await until(lambda: counted() == [0, 0, 3, 4, 3, 1])
    assert not [name for name in json.loads(files.get("/healthz")[1])["alarms"] if "counter" in name]
    assert await daemon.stop() == 0
    identical(files)
