"""The largest hall that hall.toml takes: windows, panels, lamps and all else fit its limits, start and serve."""

from __future__ import annotations

import json
import math
from pathlib import Path

import aiomqtt

from edged.bench import aged
from edged.config import load
from edged.config.shape import DEVICES_MAX, WINDOWS_MAX
from tests.support.brokers import Mosquitto, until
from tests.support.daemons import Daemon, Hall


async def test_a_hall_of_as_many_windows_as_allowed_starts_and_serves(
    tmp_path: Path, broker: Mosquitto
) -> None:
    hall = Hall(tmp_path, broker.port, "5.0", "tcp://127.0.0.1:1")
    site = aged.Days(windows=WINDOWS_MAX).site
    hall.file.write_text(aged.hall_toml(site, broker.port, hall.web_port))
    read = load(hall.file)
    assert len(read.site.windows) == WINDOWS_MAX
    assert 2 * WINDOWS_MAX < len(read.devices) <= DEVICES_MAX, "each window has a panel and a lamp"
    daemon = Daemon(hall, watchdog_s=10.0)
    try:
        await daemon.start()
        async with aiomqtt.Client("127.0.0.1", broker.port, timeout=math.inf) as dispenser:
            ticket = {"seq": 1, "number": "A001", "service": site.services[0].id}
            topic = f"hall/{site.hall}/dev/dispenser/up/ticket"
            await dispenser.publish(topic, json.dumps(ticket), qos=1)
            await until(lambda: len(hall.tickets()) == 1, 20.0)
        assert await daemon.stop() == 0
    finally:
        await daemon.kill()
        daemon.close()
