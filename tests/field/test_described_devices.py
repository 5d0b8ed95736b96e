"""A running hall with described devices: buttons and contacts call; what a device cannot be is told by check."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from devices.modbus_map.fake import FakeModule
from devices.modbus_relay.fake import FakeRelay, FakeTcp
from devices.modbus_relay.profiles import Profile
from edged.clock import monotonic_s
from edged.core.model.events import KeyPressed
from edged.core.model.point import Point
from edged.descriptions import names, parsed, table
from tests.field.test_check_asks_what_the_daemon_needs import checked
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemons import Daemon, Hall, Machines
from tests.support.halls import GOOD

DEVICES = """
[[devices]]
id = "button-1"
driver = "mqtt_map"
model = "zigbee-button"
topic = "desk 1"

[[devices]]
id = "keys"
driver = "modbus_map"
model = "contacts-8"
url = "{url}"
panels = {{ w2 = {{ login = 3 }} }}
"""


async def test_buttons_added_by_description_files_call_visitors_in_a_running_hall(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, machines = hall
    module = FakeModule()
    url = await module.start()
    try:
        files.edit('panel = "panel-w1"', 'panel = "button-1"')
        files.edit('panel = "panel-w2"', 'panel = "keys/w2"')
        files.file.write_text(files.file.read_text() + DEVICES.format(url=url))
        await daemon.start()
        machines.dispenser.ticket("A001", "tax-general")
        await until(lambda: files.numbers() == ["A001"])
        await until(lambda: module.requests > 2)
        async with plain_client(broker, "zigbee2mqtt") as client:
            await client.publish("zigbee2mqtt/desk 1", '{"action":"single","linkquality":90}', qos=1)
        module.closed = {3}
        wanted = {KeyPressed(Point("button-1"), "next-or-recall"), KeyPressed(Point("keys/w2"), "login")}
        await until(
            lambda: wanted <= {step.event for step in files.steps() if isinstance(step.event, KeyPressed)}
        )
        await until(lambda: files.notes()["ticket.called"] == 1)
        assert await daemon.stop() == 0
    finally:
        await module.stop()


UNLISTED = Path(__file__).with_name("unlisted")  # as a technician wrote them, by CONTRIBUTING alone
OWN = """
[[devices]]
id = "button-1"
driver = "mqtt_map"
model = "home-buttons"
topic = "homebuttons/window-1"

[[devices]]
id = "board"
driver = "modbus_relay"
profile = "icpdas-et2260"
url = "{url}"
"""


async def test_an_unlisted_board_and_an_unlisted_button_need_only_their_files(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, machines = hall
    assert not {file.stem for file in UNLISTED.rglob("*.toml")} & {*names("modbus_relay"), *names("mqtt_map")}
    profile = parsed(table(UNLISTED / "modbus_relay" / "icpdas-et2260.toml"), Profile)
    relay = FakeRelay(monotonic_s, profile.channels, profile.unit, profile)
    module = FakeTcp([relay])
    shutil.copytree(UNLISTED, files.directory / "descriptions")
    files.edit('id = "east"\n', 'id = "east"\ndescriptions = "descriptions"\n')
    files.edit('panel = "panel-w1"', 'panel = "button-1"')
    files.edit('lamp = "lamp-w2"', 'lamp = "board/5"')
    files.file.write_text(files.file.read_text() + OWN.format(url=await module.start()))
    try:
        await daemon.start()
        machines.tickets(9)
        await until(lambda: relay.seen(5) == "blink", 30)
        async with plain_client(broker, "homebuttons") as client:
            await client.publish("homebuttons/window-1/button_1", "PRESS", qos=1)
        await until(lambda: files.notes()["ticket.called"] == 1)
        assert await daemon.stop() == 0
    finally:
        await module.stop()


BOARD = (
    '\n[[devices]]\nid = "board"\ndriver = "modbus_map"\nmodel = "armfly-led485"\nurl = "tcp://10.0.0.7"\n'
)
SPEAKER = '\n[[devices]]\nid = "horn"\ndriver = "voice_chip"\npath = "/dev/ttyS7"\n'
TASMOTA = '\n[[devices]]\nid = "strip"\ndriver = "mqtt_map"\nmodel = "tasmota-relay"\ntopic = "strip"\n'


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('lamp = "relay/0"', 'lamp = "board/display"', '"board/display" cannot be a lamp: it is display'),
        ('lamp = "relay/0"', 'lamp = "horn"', '"horn" cannot be a lamp: it is voice'),
        ('panel = "panel"', 'panel = "strip/3"', '"strip/3" cannot be a panel: it is lamp'),
        ('panel = "panel"', 'panel = "strip/9"', '"strip" has no channel "9"'),
        ('voice = "voice"', 'voice = "horn"', "OK"),
    ],
)
def test_check_refuses_a_described_device_in_a_role_its_description_lacks(
    before: str, after: str, says: str, tmp_path: Path
) -> None:
    code, output = checked(tmp_path, GOOD.replace(before, after, 1) + BOARD + SPEAKER + TASMOTA)
    assert says in output, output
    assert (code == 2) == (says != "OK")
