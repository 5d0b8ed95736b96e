"""A people counter whose own clock stands still: its windows count, or an alarm says that they cannot be told apart.

Forms seen with others: cameras without time server (the VS125 after a power cut), LoRaWAN sensors that repeat an uplink
until it is confirmed, and gateways that deliver the same uplink twice.
"""

from __future__ import annotations

import asyncio
import json

from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemon_checks import identical
from tests.support.daemons import Daemon, Hall, Machines

DOOR = '\n[[devices]]\nid = "door"\ndriver = "milesight_mqtt"\ntopic = "milesight/door"\n'
WINDOW = {
    "line_periodic_data": [{"line": 1, "line_uuid": "u", "total": {"in": 6, "out": 2}}],
    "time_info": {"start_time": "2026-05-30T00:00:00+08:00"},
}


async def people_counted(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto, times: int, pause_s: float
) -> int:
    """Send so many counts with the same start of the window; return how many people the hall counted."""
    files, daemon, _machines = hall
    files.file.write_text(files.file.read_text() + DOOR)
    daemon.arguments = ("--warp", "60@0@1764550800000")  # a minute of the hall in a second
    await daemon.start()
    async with plain_client(broker, "camera") as client:
        for _ in range(times):
            await client.publish("milesight/door", json.dumps(WINDOW).encode(), qos=1)
            await asyncio.sleep(pause_s)
    await until(lambda: files.notes()["people.counted"] > 0)
    await asyncio.sleep(0.3)
    found = [note for step in files.steps() for note in step.notes if note.kind == "people.counted"]
    return sum(int(note.data["entered"] or 0) for note in found)


async def test_counts_a_minute_apart_with_a_frozen_counter_clock_are_all_counted(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    assert await people_counted(hall, broker, 5, 1.0) == 30
    assert await hall[1].stop() == 0
    identical(hall[0])


async def test_counts_at_once_with_a_frozen_counter_clock_count_once_and_raise_a_fault(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    assert await people_counted(hall, broker, 5, 0.0) == 6
    assert "device-fault/door" in json.loads(hall[0].get("/healthz")[1])["alarms"]
    assert await hall[1].stop() == 0
    identical(hall[0])
