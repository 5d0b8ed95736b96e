"""What the hall reports about itself: online, degraded with its reasons, or offline."""

from __future__ import annotations

from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemon_checks import watching
from tests.support.daemons import Daemon, Hall, Machines


async def test_a_dead_device_degrades_the_hall_until_it_is_back(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    _, daemon, _ = hall
    topic = "hall/east/dev/lamp-w2/up/status"
    async with watching(broker, "hall/east/status") as statuses, plain_client(broker) as lamp:
        await daemon.start()
        await until(lambda: statuses != [] and statuses[-1]["state"] == "online")
        await lamp.publish(topic, b'{"state":"offline"}', qos=1)
        await until(lambda: statuses[-1]["state"] == "degraded")
        assert statuses[-1]["reasons"] == ["device lamp-w2"]
        await lamp.publish(topic, b'{"state":"online"}', qos=1)
        await until(lambda: statuses[-1]["state"] == "online")
        assert "reasons" not in statuses[-1]
        assert await daemon.stop() == 0
        await until(lambda: statuses[-1]["state"] == "offline")
