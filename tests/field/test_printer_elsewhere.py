"""Buttons without paper in a running hall: a printer beside them prints; what it cannot is an alarm, no late paper."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from devices.escpos.fake import FakePrinter
from edged.core.model.events import CommandFailed, DeviceBack, HealthRead
from edged.core.model.point import Point
from edged.links.pty import Pty
from tests.field.test_check_asks_what_the_daemon_needs import checked
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemons import Daemon, Hall, Machines
from tests.support.halls import GOOD

KIOSK = """
[[devices]]
id = "kiosk"
driver = "mqtt_map"
model = "zigbee-button"
topic = "kiosk"
requests = {{ double = "tax-general" }}
printer = "thermal"

[[devices]]
id = "thermal"
driver = "escpos"
path = "{path}"
baudrate = 115200
names = {{ tax-general = "综合税务" }}
"""


async def test_a_button_asks_for_numbers_that_another_device_prints(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto, tmp_path: Path
) -> None:
    files, daemon, _ = hall
    port = Pty(tmp_path / "printer")
    port.plug()
    printer = FakePrinter(port.send)
    files.file.write_text(files.file.read_text() + KIOSK.format(path=port.path))
    async with asyncio.TaskGroup() as group:
        paper = group.create_task(port.run(printer.feed, lambda _up, _why: None))
        try:
            await daemon.start()
            async with plain_client(broker, "zigbee2mqtt") as client:

                async def press() -> None:
                    await client.publish("zigbee2mqtt/kiosk", '{"action":"double"}', qos=1)

                back = DeviceBack(Point("thermal"))
                await until(lambda: any(step.event == back for step in files.steps()))
                await press()
                await until(lambda: len(printer.tickets) == 1)
                assert printer.tickets[0].startswith("综合税务\nA001\n")
                printer.lines_left = 0
                await press()
                await until(lambda: files.notes()["ticket.issue_failed"] == 1)
                await until(lambda: files.notes()["alarm.raised"] >= 1)
                refused = [s.event.error for s in files.steps() if isinstance(s.event, CommandFailed)]
                assert "no paper" in refused
                printer.put_paper(500)
                working = HealthRead(Point("thermal"), "ok")
                await until(lambda: [step.event for step in files.steps()].count(working) == 2)
                assert len(printer.tickets) == 1, "nobody asked for that paper any more"
                assert files.notes()["ticket.issued"] == 2, "who has no paper keeps the number"
            assert await daemon.stop() == 0
        finally:
            paper.cancel()
            port.close()


@pytest.mark.parametrize(
    ("printer", "named"),
    [
        ('printer = "relay/0"', "cannot be a printer"),
        ('printer = "nobody"', "nobody"),
    ],
)
def test_check_refuses_a_printer_that_cannot_print(printer: str, named: str, tmp_path: Path) -> None:
    code, output = checked(
        tmp_path, f'{GOOD}\n[[devices]]\nid = "more"\ndriver = "mqtt_json"\nkind = "dispenser"\n{printer}\n'
    )
    assert (code, named in output) == (2, True), output
    code, output = checked(
        tmp_path, GOOD.replace('driver = "modbus_relay"', f'driver = "modbus_relay"\n{printer}')
    )
    assert (code, "gives no numbers" in output or named in output) == (2, True), output
