"""The doctor asks every link: through the running daemon, or directly, on real wires; each ✗ says what helps."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from devices.onbon_bx.fake import FakeOnbon
from edged.cli import doctor_links
from edged.cli.doctor_checks import CHECKS
from edged.cli.doctor_links import check_links
from edged.cli.doctor_remedies import REMEDIES
from edged.clock import monotonic_s
from edged.config import load
from edged.core.model.losses import LOSSES
from edged.links.pty import Pty
from edged.sim.broker import free_port
from tests.support.brokers import plain_client, real_mosquitto
from tests.support.daemons import edged, small_hall
from tests.support.modbus_peers import pymodbus_tcp, sim_device

WIRED = """
[hall]
id = "east"
name = "东区大厅"

[mqtt]
port = {broker}

[store]
path = "hall.db"

[web]
port = {web}

[[areas]]
id = "tax"
name = "税务"
name_en = "Taxes"

[[services]]
id = "tax-general"
area = "tax"
name = "综合税务"
name_en = "General"
prefix = "A"

[[windows]]
id = "w1"
number = "1"
skills = ["tax-general"]
panel = "panel-w1"

[[devices]]
id = "panel-w1"
driver = "mqtt_json"
kind = "panel"

[[devices]]
id = "panel-w2"
driver = "mqtt_json"
kind = "panel"

[[devices]]
id = "never"
driver = "mqtt_json"
kind = "panel"

[[devices]]
id = "door"
driver = "milesight_mqtt"
topic = "people/door"

[[devices]]
id = "relay"
driver = "modbus_relay"
url = "{relay}"
unit = 1

[[devices]]
id = "mute"
driver = "modbus_relay"
url = "{relay}"
unit = 9

[[devices]]
id = "gone"
driver = "modbus_relay"
url = "tcp://127.0.0.1:{nobody}"

[[devices]]
id = "led"
driver = "onbon_bx"
path = "{led}"

[[devices]]
id = "bus"
driver = "candle485"
path = "{bus}"

[devices.panels.p1]
address = 33
"""


def test_every_check_has_a_remedy_in_both_languages() -> None:
    assert set(REMEDIES) == {*CHECKS, "daemon", "device"}
    for zh, en in REMEDIES.values():
        assert not zh.isascii()
        assert en.isascii()


async def test_without_a_daemon_each_device_is_asked_on_its_own_wire(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_links, "LISTEN_S", 1.0)
    monkeypatch.setattr(doctor_links, "PROBE_S", 6.0)
    monkeypatch.setattr(doctor_links, "SETTLE_S", 1.0)
    coils = sim_device(1)
    led, bus = Pty(tmp_path / "led"), tmp_path / "bus"
    led.plug()
    card = FakeOnbon(led.send, monotonic_s)
    async with real_mosquitto() as broker, plain_client(broker) as device, pymodbus_tcp(coils) as relay:
        await device.publish("hall/east/dev/panel-w1/up/status", b'{"state":"online"}', retain=True)
        await device.publish("hall/east/dev/panel-w2/up/status", b'{"state":"offline"}', retain=True)
        file = tmp_path / "hall.toml"
        text = WIRED.format(
            broker=broker.port,
            web=free_port(),
            nobody=free_port(),
            relay=relay,
            led=tmp_path / "led",
            bus=bus,
        )
        file.write_text(text)
        hall = load(file)
        async with asyncio.TaskGroup() as tasks:
            living = tasks.create_task(led.run(card.feed, lambda _up, _why: None))
            found = await asyncio.to_thread(check_links, hall)
            living.cancel()
    led.close()
    states = {name.removeprefix("device "): one.state for name, one in found.items()}
    assert states == {
        "daemon": "unknown",
        "panel-w1": "well",
        "panel-w2": "ill",
        "never": "unknown",
        "door": "unknown",
        "relay": "well",
        "mute": "ill",
        "gone": "ill",
        "led": "well",
        "bus": "ill",
    }, found
    assert "unit 1" in found["device relay"].english
    assert "answers with a fault" in found["device mute"].english, "pymodbus refuses a unit that it has not"
    refused = LOSSES["connection-refused"]
    assert found["device gone"].do == (refused.do_zh, refused.do_en)
    assert found["device bus"].do == (LOSSES["port-missing"].do_zh, LOSSES["port-missing"].do_en)
    assert found["device panel-w2"].do == (LOSSES["offline"].do_zh, LOSSES["offline"].do_en)


async def test_a_running_daemon_is_asked_and_every_cross_ends_with_a_remedy(tmp_path: Path) -> None:
    async with real_mosquitto() as broker, small_hall(tmp_path, broker) as (files, daemon, machines):
        await daemon.start()
        done = await asyncio.to_thread(edged, "doctor", "--json", "--config", str(files.file))
        links = json.loads(done.stdout)["links"]
        assert {one["state"] for one in links.values()} == {"well"}, links
        await machines.relay_server.stop()
        await asyncio.sleep(1.0)
        done = await asyncio.to_thread(edged, "doctor", "--config", str(files.file))
        assert done.returncode == 1
        lines = done.stdout.splitlines()
        crosses = [number for number, line in enumerate(lines) if line.startswith("✗")]
        assert any("device relay" in lines[number] for number in crosses)
        for number in crosses:
            assert lines[number + 1].startswith("    → "), lines[number]
        await broker.stop()
        await asyncio.sleep(1.0)
        done = await asyncio.to_thread(edged, "doctor", "--json", "--config", str(files.file))
        daemon_said = json.loads(done.stdout)["links"]["daemon"]
        assert daemon_said["state"] == "ill"
        assert "broker" in daemon_said["en"]
