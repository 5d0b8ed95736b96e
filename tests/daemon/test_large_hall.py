"""The largest hall that hall.toml takes: windows and devices fit its limits, start, serve, and outlive their broker."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import aiomqtt

from edged.bench import aged
from edged.bench.plug import Address, Plug
from edged.config import load
from edged.config.shape import DEVICES_MAX, WINDOWS_MAX
from edged.core.model.point import Point
from tests.support.brokers import Mosquitto, until
from tests.support.daemons import Daemon, Hall

COUNTERS = 10
HEARD_S = 60.0
AT_ONCE = 500


def largest_hall(broker_port: int, web_port: int) -> str:
    """hall.toml with as many windows and devices as there may be: panels, lamps, boards, pagers, a dispenser for each
    area, counters, and evaluators for the rest.
    """
    site = aged.Days(windows=WINDOWS_MAX).site
    more = {f"dispenser-{area.id}": "dispenser" for area in site.areas[1:]}
    more |= {f"counter-{n}": "counter" for n in range(COUNTERS)}
    known = aged.hall_toml(site, broker_port, web_port, more).count("[[devices]]")
    rated = DEVICES_MAX - known
    windows = [replace(window, evaluator=Point(f"rate-{window.id}")) for window in site.windows[:rated]]
    site = replace(site, windows=(*windows, *site.windows[rated:]))
    return aged.hall_toml(site, broker_port, web_port, more)


async def test_the_largest_hall_starts_serves_and_outlives_its_broker(
    tmp_path: Path, broker: Mosquitto
) -> None:
    hall = Hall(tmp_path, broker.port, "5.0", "tcp://127.0.0.1:1")
    hall.file.write_text(largest_hall(broker.port, hall.web_port))
    read = load(hall.file)
    assert len(read.site.windows) == WINDOWS_MAX
    assert len(read.devices) == DEVICES_MAX
    daemon = Daemon(hall, watchdog_s=10.0)
    service = read.site.services[0].id
    try:
        await daemon.start()
        await take_a_number(hall, broker, service, 1)
        before = counted(hall, "lost")
        await come_online(hall, broker, [device.id for device in read.devices])
        await broker.stop()
        await until(lambda: counted(hall, "lost") == before + DEVICES_MAX, HEARD_S)
        await broker.start()
        await until(lambda: len(daemon.logged("link-up")) == 2, HEARD_S)
        await take_a_number(hall, broker, service, 2)
        assert await daemon.stop() == 0
    finally:
        await daemon.kill()
        daemon.close()


async def take_a_number(hall: Hall, broker: Mosquitto, service: str, number: int) -> None:
    """A visitor takes a number, and it stands in the journal."""
    async with aiomqtt.Client("127.0.0.1", broker.port, timeout=math.inf) as dispenser:
        ticket = {"seq": number, "number": f"A{number:03d}", "service": service}
        await dispenser.publish("hall/bench/dev/dispenser/up/ticket", json.dumps(ticket), qos=1)
        await until(lambda: len(hall.tickets()) == number, HEARD_S)


async def come_online(hall: Hall, broker: Mosquitto, devices: list[str]) -> None:
    """Every device says that it is there; never more at once than a broker queues for the daemon."""
    plug, received = Plug(Address("127.0.0.1", broker.port), "devices"), 0
    for first in range(0, len(devices), AT_ONCE):
        some = devices[first : first + AT_ONCE]
        plug.publish_all([(f"hall/bench/dev/{device}/up/status", b'{"state":"online"}') for device in some])
        received += len(some)
        await until(lambda: counted(hall, "back") >= received, HEARD_S)
    plug.close()


def counted(hall: Hall, what: str) -> float:
    """How many devices were lost, or back, since the daemon started."""
    name = f'edged_events_total{{type="device.{what}"}} '
    _, text = hall.get("/metrics")
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))
