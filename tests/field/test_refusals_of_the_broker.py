"""What the broker refuses is an answer: the device counts as not reached, with the reason, as an alarm. A broker that
was there a moment ago is tried at once, its limits are kept, and who takes the controller's id is named.

Known elsewhere: clients that take a PUBACK with reason 0x87 for success (mosquitto answers so since 1.6 where MQTT 5 is
spoken), SUBACK 0x80 read as granted, and messages above a broker's maximum packet size, which end the connection.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from edged.clock import monotonic_s
from edged.links.mqtt.link import MqttLink
from edged.links.mqtt.wire import MqttWire
from tests.support.brokers import (
    Mosquitto,
    Rejections,
    plain_client,
    real_mosquitto,
    running,
    settings_for,
    until,
)
from tests.support.daemons import Daemon, Hall, Machines, small_hall

BACK_S = 2.0  # a broker that is back is found within this, however often it was killed before


def health(files: Hall) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files.get("/healthz")[1])
    return found


async def test_a_publish_the_broker_refuses_raises_an_alarm_for_the_device(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite #\ntopic deny hall/east/dev/lamp-w2/down/#\n")
    acl.chmod(0o600)
    async with (
        real_mosquitto(f"acl_file {acl}") as broker,
        small_hall(tmp_path, broker) as (files, daemon, machines),
    ):
        write_access_list(acl, denied="hall/east/dev/lamp-w2/down/#")
        await broker.stop()
        await broker.start()
        await daemon.start()
        await until(lambda: "broker-refuses/lamp-w2" in health(files)["alarms"])
        assert "not authorized" in str(health(files)["concerns"])
        assert "lamp-w2" in health(files)["devices_lost"]
        assert machines.lamp.lamp is None
        write_access_list(acl, denied="nothing/at/all")
        await broker.stop()
        await broker.start()
        await until(lambda: "broker-refuses/lamp-w2" not in health(files)["alarms"])
        assert len(daemon.logged("publish-refused")) == 1, "not once for each re-assertion"


def write_access_list(acl: Path, denied: str) -> None:
    """Write an access list that denies one topic to everybody, the anonymous ones too."""
    rules = f"topic readwrite #\ntopic deny {denied}\n"
    acl.write_text(rules + f"user edged\n{rules}user device\n{rules}")


async def test_messages_above_the_size_limit_of_the_broker_are_refused_and_not_sent() -> None:
    async with real_mosquitto("max_packet_size 2000") as broker:
        link = MqttLink(settings_for(broker), Rejections())
        refusals: list[tuple[str, str]] = []
        link.on_refused(lambda topic, why: refusals.append((topic, why)))
        async with running(link):
            link.publish("a/b", bytes(3000))
            assert refusals == [("a/b", "larger than the broker takes (2000 bytes)")]
            link.publish("a/b", bytes(1900))
            await until(lambda: refusals[1:] == [("a/b", "")])
            assert link.connected


async def test_a_broker_with_a_small_message_limit_ends_neither_connection_nor_daemon(tmp_path: Path) -> None:
    """github.com/mqttjs/MQTT.js/issues/768 and github.com/LabOverWire/mqtt-lib/pull/103: a message above the broker's
    limit ended connection after connection, there; here it ended the daemon, at each start.
    """
    async with (
        real_mosquitto("max_packet_size 400") as broker,
        small_hall(tmp_path, broker) as (files, daemon, machines),
    ):
        await daemon.start()
        await until(lambda: "larger than the broker takes (400 bytes)" in str(health(files)["concerns"]))
        machines.tickets(2)
        await until(lambda: machines.panel.waiting == 2)
        assert any(alarm.startswith("broker-refuses/") for alarm in health(files)["alarms"])
        assert await daemon.stop() == 0
        assert len(daemon.logged("link-up")) == 1


async def test_the_brokers_disconnect_reason_wins_over_our_failed_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """github.com/mqttjs/MQTT.js/issues/768 and github.com/owntracks/ios/issues/864: only "closed" was ever said."""
    reasons: list[str] = []

    def broken(_wire: MqttWire) -> bool:
        monkeypatch.undo()
        raise BrokenPipeError

    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker, "east"), Rejections())
        link.on_state(lambda up, why: reasons.append(why))
        async with running(link):
            wire = getattr(link._connection, "wire", None)
            assert isinstance(wire, MqttWire)
            wire._in = b"\xe0\x02\x8e\x00"  # a DISCONNECT has arrived, and the broker has closed
            wire._at = 0
            monkeypatch.setattr(MqttWire, "flush", broken)
            link.publish("a/b", b"", urgent=True)
            await until(lambda: reasons[1:] != [])
    assert reasons[1] == "another client uses our id 'east'"


async def test_a_broker_without_retained_messages_is_used_without_retaining() -> None:
    """To ask it for one is a protocol error, and ends the connection (MQTT 5 §3.2.2.3.5)."""
    async with real_mosquitto("retain_available false") as broker:
        link = MqttLink(settings_for(broker), Rejections())
        async with running(link):
            link.publish("a/b", b"x", retain=True)
            await asyncio.sleep(0.5)
            assert link.connected


async def test_a_broker_killed_again_and_again_is_back_at_once(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    _files, daemon, _machines = hall
    await daemon.start()
    for kill in range(1, 7):
        await until(lambda kill=kill: len(daemon.logged("link-up")) == kill)  # type: ignore[misc]
        await broker.kill()
        await asyncio.sleep(0.7)  # as its service manager takes
        await broker.start()
        back_s = monotonic_s()
        await until(lambda kill=kill: len(daemon.logged("link-up")) == kill + 1)  # type: ignore[misc]
        assert monotonic_s() - back_s < BACK_S, f"kill {kill}"


async def test_a_client_that_takes_the_controllers_id_raises_an_alarm(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, _machines = hall
    await daemon.start()
    for _ in range(3):
        await until(lambda: health(files)["mqtt_connected"], 60.0)
        async with plain_client(broker, "edged-east") as thief:
            await thief.publish("hall/east/edged/ping/edged-east", b"somebody else", retain=True)
            await until(lambda: not health(files)["mqtt_connected"])
        if "client-id-taken/edged-east" in health(files)["alarms"]:
            break
    await until(lambda: "client-id-taken/edged-east" in health(files)["alarms"], 60.0)
