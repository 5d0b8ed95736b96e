"""The daemon while its broker is away, and after the broker is back with or without its retained messages and
sessions.
"""

from __future__ import annotations

import asyncio
import json

from edged.clock import monotonic_s
from tests.support.brokers import Mosquitto, until
from tests.support.daemon_checks import (
    BROKER_FOUND_S,
    OUTAGE_S,
    RESTART_S,
    TIDE,
    identical,
    watching,
)
from tests.support.daemons import (
    Daemon,
    Hall,
    Machines,
)


async def test_without_a_broker_the_wires_serve_and_a_broker_is_found_soon(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(TIDE)
    machines.panel.press("login")
    await until(lambda: machines.lamp.lamp == "blink")
    machines.tidal_panel.press("login", "chen")
    await until(lambda: machines.relay.seen(1) == "on")
    await broker.stop()
    assert await daemon.stop() == 0
    machines.relay.power_cycle()
    await daemon.restart()
    await until(lambda: machines.relay.seen(1) == "on")
    assert json.loads((await asyncio.to_thread(files.get, "/healthz"))[1])["mqtt_connected"] is False
    machines.lamp.shown.clear()
    await broker.start()
    back_s = monotonic_s()
    await until(lambda: daemon.logged("link-up") != [] and len(daemon.logged("link-up")) == 2)
    assert monotonic_s() - back_s < BROKER_FOUND_S
    await until(lambda: machines.lamp.lamp == "on")
    assert await daemon.stop() == 0
    identical(files)


async def test_without_its_password_the_wires_serve_and_it_may_come_late(
    hall: tuple[Hall, Daemon, Machines],
) -> None:
    """The password's file is missing: the lamp of a "+1" window is still right, and the log names the file."""
    files, daemon, machines = hall
    secret = files.directory / "secret"
    secret.write_text("open sesame\n")
    files.edit('username = "edged"', 'username = "edged"\npassword_file = "secret"')
    await daemon.start()
    machines.tickets(TIDE)
    await until(lambda: machines.lamp.lamp == "blink")
    machines.tidal_panel.press("login", "chen")
    await until(lambda: machines.relay.seen(1) == "on")
    assert await daemon.stop() == 0
    secret.unlink()
    machines.relay.power_cycle()
    await daemon.restart()
    await until(lambda: machines.relay.seen(1) == "on")
    health = json.loads((await asyncio.to_thread(files.get, "/healthz"))[1])
    assert health["mqtt_connected"] is False
    assert f"password file {secret} cannot be read" in health["mqtt_reason"]
    metrics = (await asyncio.to_thread(files.get, "/metrics"))[1]
    assert f'edged_secret_readable{{file="{secret}"}} 0.0' in metrics
    (line,) = daemon.logged("file-unusable")
    assert (line["file"], line["key"]) == (str(secret), "mqtt.password_file")
    assert "replace the file" in line["remedy"]
    up = len(daemon.logged("link-up"))
    secret.write_text("open sesame\n")
    await until(lambda: len(daemon.logged("link-up")) == up + 1)
    assert await daemon.stop() == 0
    identical(files)


async def test_a_broker_that_forgot_everything_gets_it_back(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    """mosquitto without persistence loses sessions and retained messages with a restart."""
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(TIDE)
    await until(lambda: machines.lamp.lamp == "blink")
    await broker.kill()
    machines.lamp.shown.clear()
    await asyncio.sleep(OUTAGE_S)  # the length of the outage is part of the case
    await broker.start()
    back_s = monotonic_s()
    await until(lambda: machines.lamp.lamp == "blink")
    print(f"lamp right {monotonic_s() - back_s:.2f} s after the broker's return")  # noqa: T201
    assert monotonic_s() - back_s < RESTART_S
    machines.tickets(1, first=10)  # not before: a broker without our session has nobody to keep it for
    await until(lambda: machines.panel.waiting == TIDE + 1)
    async with watching(broker, "hall/east/#") as states:
        wanted = {"hall/east/status", "hall/east/state/area/tax", "hall/east/state/window/w2"}
        await until(lambda: wanted <= {state["topic"] for state in states})
    assert await daemon.stop() == 0
    identical(files)
