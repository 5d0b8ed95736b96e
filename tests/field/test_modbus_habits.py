"""Relay modules and gateways with habits from public reports, on the wire of the real daemon.

Reported elsewhere, and tried here: busy (exception 6) and acknowledge (5) of slow PLC gateways; the first byte
last in answers of 16 and 32 channel boards; RS-485 gateways that number transactions by themselves; modules that close
the connection after each answer or when idle; reads or writes refused by the module's own map.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from devices.modbus_relay.driver import RelayOptions
from edged.links.modbus.frames import find_tcp_answer, misfit, rtu_frame, tcp_frame
from edged.shapes import Misshapen, read
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemon_checks import TIDE, identical
from tests.support.daemons import Daemon, Hall
from tests.support.modbus_habits import Slave

READ = bytes.fromhex("0100000008")
OFF_AND_ON = bytes.fromhex("010105")


@asynccontextmanager
async def lamp_wanted(
    folder: Path, broker: Mosquitto, slave: Slave, lamp: int = 1
) -> AsyncIterator[tuple[Hall, Daemon]]:
    """Run a hall that wants the lamp of an area lit, which hangs on ``slave``."""
    files = Hall(folder, broker.port, "5", slave.url)
    files.edit('profile = "waveshare"', f'profile = "plain"\nchannels = {len(slave.lit)}')
    if lamp != 1:
        files.edit("relay/1", f"relay/{lamp}")
    daemon = Daemon(files)
    try:
        await daemon.start()
        async with plain_client(broker, "hall") as client:
            for number in range(1, TIDE + 1):
                body = {"seq": number, "number": f"A{number:03d}", "service": "tax-general"}
                await client.publish("hall/east/dev/dispenser/up/ticket", json.dumps(body), qos=1)
            await until(lambda: files.notes()["tidal.requested"] == 1)
            login = {"seq": 1, "key": "login", "arg": "chen"}
            await client.publish("hall/east/dev/panel-w2/up/key", json.dumps(login), qos=1)
            yield files, daemon
        assert await daemon.stop() == 0
        identical(files)
    finally:
        await daemon.kill()
        daemon.close()
        slave.stop()


def notes_of_relay(files: Hall) -> list[tuple[str, dict[str, Any]]]:
    """Return kind and data of the hall's notes about the module and its lamps."""
    found = [
        (note.kind, dict(note.data))
        for step in files.steps()
        for note in step.notes
        if note.kind.startswith(("device.", "alarm.")) and note.subject.startswith("relay")
    ]
    return [one for one in found if one != ("device.back", {})]


@pytest.mark.parametrize(
    ("habit", "channels", "lamp"),
    [
        ("busy", 8, 1),
        ("accepted", 8, 1),
        ("swapped", 16, 9),
        ("swapped", 32, 25),
        ("closes", 8, 1),
        ("idle", 8, 1),
    ],
)
async def test_a_modbus_module_with_a_tolerable_quirk_is_present_and_its_lamp_is_lit(
    tmp_path: Path, broker: Mosquitto, habit: str, channels: int, lamp: int
) -> None:
    slave = Slave(habit, channels)
    async with lamp_wanted(tmp_path, broker, slave, lamp) as (files, daemon):
        await until(lambda: slave.lit[lamp], 5.0)
        steps = len(files.steps())
        await asyncio.sleep(7.0)  # a poll of the lamps, and some
        assert slave.lit[lamp]
        kinds = [kind for kind, _ in notes_of_relay(files)]
        assert "device.lost" not in kinds
        assert not any(kind.startswith("alarm") for kind in kinds), kinds
        assert len(files.steps()) - steps < 10, "a habit is no news"
        assert not daemon.logged("device-task-failed")


@pytest.mark.parametrize("habit", ["refuses-reads", "refuses-writes", "fails"])
async def test_a_modbus_refusal_is_reported_as_a_named_fault_and_not_as_a_loss(
    tmp_path: Path, broker: Mosquitto, habit: str
) -> None:
    slave = Slave(habit)
    async with lamp_wanted(tmp_path, broker, slave) as (files, _daemon):
        await until(lambda: any(kind != "device.back" for kind, _ in notes_of_relay(files)), 10.0)
        if habit == "refuses-reads":
            await until(lambda: slave.lit[1])
        before = slave.requests
        await asyncio.sleep(3.0)
        assert slave.requests - before < 15, "it is not asked ten times a second for ever"
        notes = notes_of_relay(files)
    assert "device.lost" not in [kind for kind, _ in notes]
    wanted = "device failure" if habit == "fails" else "illegal address"
    assert any(wanted in str(data) for _, data in notes), notes


@pytest.mark.parametrize(
    ("habit", "words"), [("renumbers", "another transaction number"), ("other-unit", "unit 7 answers")]
)
async def test_a_modbus_module_that_cannot_work_is_lost_with_the_reason(
    tmp_path: Path, broker: Mosquitto, habit: str, words: str
) -> None:
    slave = Slave(habit)
    async with lamp_wanted(tmp_path, broker, slave) as (files, daemon):
        await until(lambda: any(kind == "device.lost" for kind, _ in notes_of_relay(files)), 10.0)
        await until(lambda: any(words in str(line) for line in daemon.logged("device-lost")), 10.0)


@pytest.mark.parametrize(
    ("sent", "received", "rtu", "words"),
    [
        (tcp_frame(9, 1, READ), tcp_frame(10, 1, OFF_AND_ON), False, "another transaction number"),
        (tcp_frame(9, 1, READ), tcp_frame(0, 1, OFF_AND_ON) * 2, False, "later than deadline_ms"),
        (tcp_frame(900, 1, READ), tcp_frame(0, 1, OFF_AND_ON), False, "another transaction number"),
        (tcp_frame(9, 1, READ), tcp_frame(8, 1, OFF_AND_ON), False, "later than deadline_ms"),
        (tcp_frame(9, 1, READ), tcp_frame(9, 255, OFF_AND_ON), False, "unit 255 answers where unit 1"),
        (tcp_frame(9, 1, READ), tcp_frame(9, 1, OFF_AND_ON)[:-1], False, ""),
        (tcp_frame(9, 1, READ), b"\x00" * 40, False, ""),
        (rtu_frame(1, READ), rtu_frame(3, OFF_AND_ON), True, "unit 3 answers where unit 1"),
        (rtu_frame(1, READ), b"\xff" + rtu_frame(3, b"\x81\x02"), True, "unit 3 answers where unit 1"),
        (rtu_frame(1, READ), rtu_frame(1, READ), True, "only our own request came back"),
        (rtu_frame(1, READ), b"\x01\x01\x01", True, ""),
        (b"", tcp_frame(9, 1, OFF_AND_ON), False, ""),
    ],
)
def test_a_misfitting_modbus_answer_is_described_in_words(
    sent: bytes, received: bytes, rtu: bool, words: str
) -> None:
    found = misfit(sent, received, rtu)
    assert words in found
    assert bool(words) == bool(found)
    assert rtu or not sent or not find_tcp_answer(sent, received)


def test_modbus_unit_0_is_accepted_over_tcp_and_refused_on_a_serial_bus() -> None:
    assert read(RelayOptions, {"url": "tcp://10.0.0.1", "unit": 0}).unit == 0
    for url in ("rtu+tcp://10.0.0.1", "rtu:///dev/ttyS0"):
        with pytest.raises(Misshapen, match="broadcast address"):
            read(RelayOptions, {"url": url, "unit": 0})
