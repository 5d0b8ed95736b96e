"""A device that hall.toml does not know, or one with a wrong letter in its name, is named: once, until it is put right.

"Unheard, so unmentioned": nobody listened to a dispenser called ``dispencer``, so nothing said why its visitors were in
no queue.
"""

from __future__ import annotations

import json

import aiomqtt
import pytest

from edged.daemon.unknown_devices import NAMED_MAX
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemons import Daemon, Hall, Machines, device_table, edged

Parts = tuple[Hall, Daemon, Machines]


def unknown_devices(files: Hall) -> dict[str, str]:
    """Return what the health page says of each device that the configuration does not have."""
    concerns = json.loads(files.get("/healthz")[1])["concerns"]
    return {one.partition("/")[2]: why for one, why in concerns.items() if one.startswith("device-unknown/")}


async def send_ticket(client: aiomqtt.Client, device: str, seq: int, kind: str = "ticket") -> None:
    body = {"v": 1, "seq": seq, "number": f"A{seq:03d}", "service": "tax-general"}
    await client.publish(f"hall/east/dev/{device}/up/{kind}", json.dumps(body).encode(), qos=1)


@pytest.mark.parametrize("kept", [True, False], ids=["birth kept", "heard"])
async def test_a_misspelt_device_name_is_reported_until_it_is_corrected(
    hall: Parts, broker: Mosquitto, kept: bool
) -> None:
    files, daemon, _machines = hall
    async with plain_client(broker, "stranger") as client:
        if kept:
            birth = json.dumps({"v": 1, "state": "online"}).encode()
            await client.publish("hall/east/dev/dispencer/up/status", birth, qos=1, retain=True)
        await daemon.start()
        for seq in () if kept else (1, 2, 3):
            await send_ticket(client, "dispencer", seq)
        await until(lambda: list(unknown_devices(files)) == ["dispencer"])
        assert "; dispenser is" in unknown_devices(files)["dispencer"]
        await until(lambda: len(daemon.logged("alarm-raised")) == 1)
        assert "device-unknown/dispencer" in json.loads(files.get("/healthz")[1])["alarms"]
        output = edged("doctor", "--config", str(files.file)).stdout
        assert "dispencer speaks under hall/east/dev/dispencer/up/#" in output
        assert "未登记的设备" in output
        assert "ALARM dispencer" in edged("status", "--config", str(files.file)).stdout
        files.file.write_text(files.file.read_text() + device_table("dispencer", "dispenser"))
        assert edged("reload", "--config", str(files.file)).returncode == 0
        await until(lambda: unknown_devices(files) == {})
        await send_ticket(client, "dispencer", 4)
        await until(lambda: files.numbers() == ["A004"])


async def test_a_flood_of_unknown_device_names_is_capped_and_shows_no_personal_number(
    hall: Parts, broker: Mosquitto
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    async with plain_client(broker, "stranger") as client:
        await send_ticket(client, "13812345678", 1)
        await send_ticket(client, "panel\u202ew1", 1)
        for number in range(NAMED_MAX + 20):
            await send_ticket(client, f"x{number}", 1)
        machines.tickets(1)
        await until(lambda: files.numbers() == ["A001"])
        assert len(unknown_devices(files)) == NAMED_MAX
        assert "13812345678" not in daemon._log.read_text() + files.get("/healthz")[1]
        assert {"?", "panelw1"} <= unknown_devices(files).keys()
        assert await files.metric("edged_inputs_rejected_total") >= NAMED_MAX + 20


async def test_an_unknown_message_kind_of_a_device_is_reported_with_its_device(
    hall: Parts, broker: Mosquitto
) -> None:
    """``up/tickt`` of a known dispenser, and a level too deep."""
    files, daemon, _machines = hall
    await daemon.start()
    async with plain_client(broker, "stranger") as client:
        await send_ticket(client, "dispenser", 1, "tickt")
        await send_ticket(client, "panel-w1", 2, "ticket/1")
        await until(lambda: len(daemon.logged("input-rejected")) >= 2)
        rejected_kinds = [line["detail"].partition(" ")[0] for line in daemon.logged("input-rejected")]
        assert sorted(rejected_kinds) == ["dispenser", "panel-w1"]
        assert unknown_devices(files) == {}
