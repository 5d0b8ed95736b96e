"""The broker link: when and in which order it acknowledges, and what it does with what it cannot keep."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

import pytest

from edged.driver import Refused
from edged.links.mqtt.connection import Connection
from edged.links.mqtt.link import Message, MqttLink
from edged.links.mqtt.packets import PUBACK, read_puback
from tests.support.brokers import (
    Rejections,
    collect,
    plain_client,
    real_mosquitto,
    running,
    settings_for,
    until,
)


async def test_an_acknowledgement_for_an_earlier_connection_is_dropped() -> None:
    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker), Rejections())
        got = collect(link, "a/#", ack=False)
        async with running(link), plain_client(broker) as device:
            await device.publish("a/1", b"1", qos=1)
            await until(lambda: len(got) == 1)
            assert link.connection is not None
            link.connection.fail("broken", "test")
            await until(lambda: len(got) == 2)  # sent again on the next connection
            got[0].ack()
            assert link.connection is not None
            assert link.connection.unacked == 1
            got[1].ack()
            got[1].ack()
            assert link.connection.unacked == 0
        assert [message.payload for message in got] == [b"1", b"1"]


async def test_acknowledgements_leave_in_order_of_arrival() -> None:
    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker), Rejections())
        got = collect(link, "a/#", ack=False)
        sent: list[int] = []
        async with plain_client(broker) as device, running(link):
            assert isinstance(link.connection, Connection)
            wire = link.connection.wire
            assert wire is not None
            send: Callable[[bytes | bytearray], int] = wire.send

            def note(packet: bytes | bytearray) -> int:
                if packet[0] == PUBACK:
                    sent.append(read_puback(bytes(packet[2:]))[0])
                return send(packet)

            wire.send = note  # type: ignore[assignment,method-assign]
            for number in range(4):
                await device.publish("a/x", str(number).encode(), qos=1)
            await until(lambda: len(got) == 4)
            for index in (2, 0, 3, 1):
                got[index].ack()
            assert link.connection.unacked == 0
        assert sent == sorted(sent)
        assert len(sent) == 4


async def test_a_message_with_two_handlers_is_acknowledged_after_both() -> None:
    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker), Rejections())
        wide, narrow = collect(link, "a/#", ack=False), collect(link, "a/b", ack=False)
        async with plain_client(broker) as device, running(link):
            await device.publish("a/b", b"x", qos=1)
            await until(lambda: bool(wide) and bool(narrow))
            assert link.connection is not None
            open_before = link.connection.unacked
            wide[0].ack()
            assert link.connection.unacked == open_before
            narrow[0].ack()
            assert link.connection.unacked < open_before


async def test_a_message_whose_handler_fails_is_counted_and_acknowledged() -> None:
    async with real_mosquitto() as broker:
        rejections = Rejections()
        link = MqttLink(settings_for(broker), rejections)
        link.subscribe("bad/x", lambda message: int(message.payload))  # type: ignore[arg-type]
        good = collect(link, "good/x")
        async with plain_client(broker) as device, running(link):
            await device.publish("bad/x", b"not a number", qos=1)
            await device.publish("good/x", b"1", qos=1)
            await until(lambda: len(good) == 1)
            assert link.connection is not None
            assert link.connection.unacked == 0
        assert rejections == [("handler_failed", "bad/x: ValueError")]


async def test_messages_never_acknowledged_are_delivered_again_after_reconnecting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edged.links.mqtt.link.UNACKED_LIMIT_S", 0.3)
    async with real_mosquitto("max_inflight_messages 0") as broker:
        link = MqttLink(settings_for(broker, keepalive_s=1), Rejections())
        got = collect(link, "a/#", ack=False)
        async with plain_client(broker) as device, running(link):
            for number in range(32):
                await device.publish("a/x", str(number).encode(), qos=1)
            await until(lambda: len(got) == 64)
        assert [m.payload for m in got[:32]] == [m.payload for m in got[32:]]


async def test_the_mqtt_socket_has_nodelay_and_a_wildcard_topic_is_refused() -> None:
    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker), Rejections())
        async with running(link):
            assert isinstance(link.connection, Connection)
            assert link.connection.wire is not None
            raw = link.connection.wire.raw
            assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            with pytest.raises(Refused):
                link.publish("no/+/wildcards", b"")


async def test_an_access_list_that_refuses_our_ping_does_not_cut_the_link_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with real_mosquitto() as broker:
        await broker.stop()
        acl = broker.directory / "acl"
        acl.write_text("pattern readwrite a/#\n")
        config = broker.directory / "mosquitto.conf"
        config.write_text(config.read_text() + f"acl_file {acl}\n")
        await broker.start()
        monkeypatch.setattr("edged.links.mqtt.backoff.HURT_S", 0.05)
        link = MqttLink(settings_for(broker, keepalive_s=1), Rejections())
        got = collect(link, "a/b")
        changes: list[bool] = []
        link.on_state(lambda up, _reason: changes.append(up))
        async with running(link):
            await until(lambda: changes.count(True) == 4)
            connection = link.connection
            link.publish("a/b", b"x")
            await until(lambda: len(got) == 1)
            await asyncio.sleep(1.5)
            assert link.connection is connection


@pytest.mark.parametrize("spacing_ms", [20, 60, 120])
async def test_a_default_mosquitto_causes_no_forty_millisecond_stall(spacing_ms: int) -> None:
    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker, "edged"), Rejections())

        def answer(message: Message) -> None:
            link.publish("lamp", message.payload)
            message.ack()

        link.subscribe("ticket", answer)
        meter = MqttLink(settings_for(broker, "meter"), Rejections())
        lamps = collect(meter, "lamp")
        delays: list[float] = []
        async with running(link), running(meter):
            for number in range(15):
                await asyncio.sleep(spacing_ms / 1000)
                started = time.perf_counter()
                meter.publish("ticket", str(number).encode())
                while len(lamps) <= number:
                    await asyncio.sleep(0)
                delays.append(time.perf_counter() - started)
        assert sorted(delays)[len(delays) // 4] < 0.030, (
            delays
        )  # a stall is every message's; a busy machine is not
