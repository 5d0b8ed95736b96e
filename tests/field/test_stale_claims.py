"""What stands at the broker about a device loses against what the device itself says.

Forms seen with others: a retained will that outlives the birth because the birth was published without retain (many
Arduino sketches on PubSubClient), the old connection's will that arrives after the new birth (Tasmota's "LWT Offline"
on a device that is there; brokers publish the will when they drop the half-open connection, minutes later), and
devices whose availability topic stays "offline" because only the bridge, which was restarted, writes it (zigbee2mqtt).
"""

from __future__ import annotations

import json

from edged.core.model.events import DeviceLost
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemon_checks import identical
from tests.support.daemons import Daemon, Hall, Machines

Parts = tuple[Hall, Daemon, Machines]
UP = 'edged_device_up{device="dispenser",driver="mqtt_json"}'


async def publish_presence(broker: Mosquitto, device: str, state: str, retain: bool) -> None:
    """Publish "online" or "offline" for a device, in its name."""
    async with plain_client(broker, f"claims-{device}") as client:
        await client.publish(
            f"hall/east/dev/{device}/up/status", json.dumps({"state": state}), qos=1, retain=retain
        )


def taken_for_offline(files: Hall) -> bool:
    """Return whether the hall has taken a device for offline."""
    return any(
        isinstance(step.event, DeviceLost) and step.event.reason == "offline" for step in files.steps()
    )


async def test_a_retained_offline_will_does_not_stop_a_dispensers_requests(
    hall: Parts, broker: Mosquitto
) -> None:
    """Its birth was not kept: after our restart there is only the will, and every visitor's request is answered."""
    files, daemon, machines = hall
    await daemon.start()
    await publish_presence(broker, "dispenser", "offline", retain=True)
    await publish_presence(broker, "dispenser", "online", retain=False)
    assert await daemon.stop() == 0
    await daemon.restart()
    for count in (1, 2, 3):
        machines.dispenser.request("tax-general")
        await until(lambda: len(machines.dispenser.printed) == count)
    assert await files.metric(UP) == 1
    assert await daemon.stop() == 0
    assert files.notes()["ticket.issue_failed"] == 0
    identical(files)


async def test_a_dispenser_marked_offline_by_an_old_will_is_still_served(
    hall: Parts, broker: Mosquitto
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    await publish_presence(broker, "dispenser", "online", retain=False)
    await publish_presence(broker, "dispenser", "offline", retain=True)
    await until(lambda: taken_for_offline(files))
    machines.dispenser.request("tax-general")
    await until(lambda: len(machines.dispenser.printed) == 1)
    assert await files.metric(UP) == 1
    assert await daemon.stop() == 0
    identical(files)


async def test_a_link_that_returns_does_not_believe_an_old_retained_will(
    hall: Parts, broker: Mosquitto
) -> None:
    """What was heard before the retained messages of the broker came is newer than that."""
    files, daemon, machines = hall
    await daemon.start()
    await publish_presence(broker, "panel-w1", "offline", retain=True)
    await until(lambda: taken_for_offline(files))
    await daemon.kill()
    machines.panel.press("login")  # kept for us
    await machines.fleet.drained()
    await daemon.restart()
    await until(lambda: files.notes()["window.opened"] == 1)
    machines.dispenser.ticket("A001", "tax-general")
    await until(lambda: files.notes()["ticket.issued"] == 1)
    panel = UP.replace('"dispenser"', '"panel-w1"')
    assert await files.metric(panel) == 1
    assert await daemon.stop() == 0
    identical(files)


async def test_a_pager_known_only_from_retained_messages_is_paged(hall: Parts, broker: Mosquitto) -> None:
    """Nobody can prove by itself that it is there before it was called: it is called on mere hearsay, too."""
    files, daemon, machines = hall
    await publish_presence(broker, "pager-chen", "offline", retain=True)
    await daemon.start()
    machines.tickets(9)
    await until(lambda: len(machines.ids(machines.pager, "page")) == 1)
    machines.pager.press("accept")
    await until(lambda: files.notes()["tidal.acknowledged"] == 1)
    assert await daemon.stop() == 0
    identical(files)
