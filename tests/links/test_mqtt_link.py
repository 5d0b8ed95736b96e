"""The broker link against real brokers: nothing lost, nothing hangs, every guard holds."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edged.driver import Unreachable
from edged.links.mqtt.connection import SUBACK_S, Connection
from edged.links.mqtt.link import Message, MqttLink, MqttSettings
from tests.support.brokers import (
    Broker,
    Rejections,
    collect,
    either_broker,
    plain_client,
    real_mosquitto,
    running,
    settings_for,
    until,
)

SOON_S = 5.0  # not after a minute of backing off; `edged bench` says how soon

VICTIM = """
import asyncio, os, sys, structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
from edged.links.mqtt.link import Message, MqttLink, MqttSettings
port, protocol, stop_after = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
link = MqttLink(MqttSettings("victim", port=port, protocol=protocol, username="u", ping_topic="ping/victim"), print)
kept = 0
def keep(message):
    global kept
    kept += 1
    print(message.payload.decode(), flush=True)  # our "disk"
    if kept == stop_after:
        os.kill(os.getpid(), 9)
    message.ack()
link.subscribe("burst/#", lambda message: asyncio.get_running_loop().call_later(0.01, keep, message))
asyncio.run(link.run())
"""


@pytest.fixture(params=["mosquitto", "embedded"])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    async with either_broker(request.param) as started:
        yield started


def start_subscriber_process(broker: Broker, stop_after: int) -> subprocess.Popen[str]:
    """Start a process that prints each message as stored and kills itself at number ``stop_after`` (0: never)."""
    command = [sys.executable, "-c", VICTIM, str(broker.port), broker.protocol, str(stop_after)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def test_a_published_message_is_received_and_retained_state_is_marked_as_retained(
    broker: Broker,
) -> None:
    link = MqttLink(settings_for(broker), Rejections())
    live = collect(link, "hall/t/live")
    async with plain_client(broker) as device, running(link):
        await device.publish("hall/t/state", b"old", qos=1, retain=True)
        state = collect(link, "hall/t/state")  # subscribed while running
        link.publish("hall/t/live", "请A012号".encode())
        await until(lambda: len(live) == 1 and len(state) == 1)
        assert (live[0].payload, live[0].retain) == ("请A012号".encode(), False)
        assert (state[0].payload, state[0].retain) == (b"old", True)


async def test_a_request_is_answered_on_its_response_topic_with_its_correlation_data() -> None:
    asks = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    asks.ResponseTopic, asks.CorrelationData = "city/answers", b"17"
    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker), Rejections())
        asked = collect(link, "hall/t/ask")
        who: dict[str, Any] = {"username": "city", "password": "any", "protocol": aiomqtt.ProtocolVersion.V5}
        city = aiomqtt.Client("127.0.0.1", broker.port, timeout=math.inf, **who)
        async with city, running(link):
            await city.subscribe("city/answers", qos=1)
            await city.publish("hall/t/ask", b"who", qos=1, properties=asks)
            await city.publish("hall/t/ask", b"a word that asks nothing", qos=1)
            await until(lambda: len(asked) == 2)
            assert [link.respond(one, b"us") for one in asked] == [True, False]
            answer = await anext(aiter(city.messages))
            reported: Any = answer.properties
            assert (answer.payload, reported.CorrelationData) == (b"us", b"17")


async def test_a_broker_without_retained_messages_is_not_asked_to_retain() -> None:
    """It would end the connection (MQTT 5 §3.2.2.3.5)."""
    async with real_mosquitto("retain_available false") as broker:
        link = MqttLink(settings_for(broker), Rejections())
        got, changes = collect(link, "hall/t/state"), list[bool]()
        link.on_state(lambda up, reason: changes.append(up))
        async with running(link):
            link.publish("hall/t/state", b"on", retain=True)
            await until(lambda: len(got) == 1)
            assert changes == [True]


async def test_a_subscription_made_while_the_link_comes_up_receives_messages() -> None:
    """As a device does that a reload adds between our SUBSCRIBE and the broker's answer."""

    class Late(Connection):
        async def subscribe(self, filters: Iterable[tuple[str, int]]) -> list[str]:
            refused = await super().subscribe(filters)
            if len(got) < 2:
                got.append(collect(link, f"hall/t/{len(got)}"))
            return refused

    got: list[list[Message]] = []
    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker), Rejections(), Late)
        async with plain_client(broker) as device, running(link):
            for number in range(2):
                await device.publish(f"hall/t/{number}", b"here", qos=1, retain=True)
            await until(lambda: len(got) == 2 and all(got))


async def test_a_subscription_fails_at_once_when_its_connection_ends() -> None:
    async with real_mosquitto() as broker:
        connection = Connection(settings_for(broker), lambda *_: None, print, frozenset(), lambda _: None)
        await connection.open()
        asyncio.get_running_loop().call_soon(connection.fail, "closed", "cable pulled")
        with pytest.raises(Unreachable, match="cable pulled"):
            async with asyncio.timeout(SUBACK_S / 2):
                await connection.subscribe([("hall/t/#", 1)])
        connection.close()


async def test_a_process_killed_in_a_burst_loses_no_message(broker: Broker) -> None:
    first = start_subscriber_process(broker, 100)
    assert first.stderr is not None
    assert "link-up" in await asyncio.to_thread(first.stderr.readline)
    async with plain_client(broker) as device:
        for number in range(300):
            await device.publish("burst/x", str(number).encode(), qos=1)
        kept, _ = await asyncio.to_thread(first.communicate)
        seen = {int(line) for line in kept.split()}
        assert len(seen) == 100
        second = start_subscriber_process(broker, 0)
        assert second.stdout is not None
        try:
            while len(seen) < 300:
                async with asyncio.timeout(60):
                    line = await asyncio.to_thread(second.stdout.readline)
                seen.add(int(line))
        finally:
            second.kill()
            await asyncio.to_thread(second.communicate)
    assert seen == set(range(300))


async def test_messages_queued_for_an_absent_link_arrive_without_the_retain_flag(broker: Broker) -> None:
    link = MqttLink(settings_for(broker), Rejections())
    got = collect(link, "q/#")
    async with running(link):
        pass
    async with plain_client(broker) as device:
        for number in range(20):
            await device.publish("q/x", str(number).encode(), qos=1)
        async with running(link):
            await until(lambda: len(got) >= 20)
    assert [int(message.payload) for message in got] == list(range(20))
    assert not any(message.retain for message in got)


async def test_a_session_lost_by_the_broker_is_subscribed_again() -> None:
    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker), Rejections())
        got = collect(link, "a/b")
        changes: list[bool] = []
        link.on_state(lambda up, _reason: changes.append(up))
        async with running(link):
            await broker.kill()
            await until(lambda: not link.connected)
            with pytest.raises(Unreachable):
                link.publish("a/b", b"lost")
            await broker.start()
            started = time.monotonic()
            await until(lambda: link.connected)
            assert time.monotonic() - started < SOON_S
            link.publish("a/b", b"back")
            await until(lambda: [m.payload for m in got] == [b"back"])
        assert changes == [True, False, True, False]


async def test_a_broker_that_returns_after_three_seconds_is_connected_soon() -> None:
    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker), Rejections())
        async with running(link):
            await broker.kill()
            await asyncio.sleep(3)  # the outage itself
            await broker.start()
            started = time.monotonic()
            await until(lambda: link.connected)
        assert time.monotonic() - started < SOON_S


async def test_a_frozen_broker_is_noticed_soon_and_reconnected() -> None:
    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker, keepalive_s=1), Rejections())
        reasons: list[str] = []
        link.on_state(lambda up, reason: reasons.append(reason))
        async with running(link):
            with broker.frozen():
                started = time.monotonic()
                await until(lambda: not link.connected)
                assert time.monotonic() - started < SOON_S
                assert "frozen" in reasons[-1]
            await until(lambda: link.connected)


@pytest.mark.parametrize("goodbye_ms", [0, 20])
async def test_a_broker_that_closes_after_connack_is_retried_without_hanging_or_busy_loop(
    goodbye_ms: int,
) -> None:
    connects = 0

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connects
        connects += 1
        await reader.read(512)
        writer.write(b"\x20\x03\x00\x00\x00")
        await writer.drain()
        await asyncio.sleep(goodbye_ms / 1000)
        writer.close()

    async with await asyncio.start_server(broker, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        link = MqttLink(_settings(port), Rejections())
        states: list[bool] = []
        link.on_state(lambda up, _reason: states.append(up))
        async with running(link, up=False):
            await until(lambda: connects >= 2, 8)
            spent, now = time.process_time(), time.monotonic()
            await asyncio.sleep(0.3)
            assert time.process_time() - spent < 0.15
            assert time.monotonic() - now < 1
        assert states == [False]
        assert connects <= 5


async def test_silent_broker_is_given_up_after_the_connack_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.links.mqtt.connection.CONNACK_S", 0.2)
    gone = asyncio.Event()

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(512):
            pass
        gone.set()
        writer.close()

    async with await asyncio.start_server(broker, "127.0.0.1", 0) as server:
        link = MqttLink(_settings(server.sockets[0].getsockname()[1]), Rejections())
        reasons: list[str] = []
        link.on_state(lambda _up, reason: reasons.append(reason))
        async with running(link, up=False):
            async with asyncio.timeout(3):
                await gone.wait()  # the socket was closed, not leaked
            await until(lambda: len(reasons) == 1)
        assert "no CONNACK" in reasons[0]


async def test_a_refused_password_is_reported_once_with_its_reason(tmp_path: Path) -> None:
    nobody = tmp_path / "passwords"
    nobody.touch(0o600)
    async with real_mosquitto(f"password_file {nobody}", "allow_anonymous false") as broker:
        link = MqttLink(settings_for(broker), Rejections())
        reasons: list[str] = []
        link.on_state(lambda _up, reason: reasons.append(reason))
        async with running(link, up=False):
            await until(lambda: len(reasons) == 1)
            await asyncio.sleep(0.7)
        assert len(reasons) == 1
        assert "ot authorized" in reasons[0]


async def test_a_second_client_with_our_id_is_reported_and_both_do_not_keep_replacing_each_other() -> None:
    async with real_mosquitto() as broker:
        links = [MqttLink(settings_for(broker, "same-id"), Rejections()) for _ in range(2)]
        changes: list[tuple[int, bool, str]] = []

        def saw(index: int, up: bool, reason: str) -> None:
            changes.append((index, up, reason))

        for index, link in enumerate(links):
            link.on_state(partial(saw, index))
        async with running(links[0]), running(links[1]):
            await until(lambda: any("same-id" in reason for _, _, reason in changes))
            settled = len(changes)
            await asyncio.sleep(1.5)
            assert len(changes) <= settled + 1  # the winner may still be coming up
            assert links[0].connected != links[1].connected
        assert settled <= 9


@pytest.mark.parametrize(
    ("lives", "ours", "reported"), [(1, False, False), (2, False, True), (2, True, False), (3, False, True)]
)
def test_a_retained_ping_of_another_process_is_reported_only_after_our_first_connection(
    lives: int, ours: bool, reported: bool
) -> None:
    """The first finds what an earlier process of ours left at the broker."""
    refused = Rejections()
    link = MqttLink(MqttSettings("hall", ping_topic="ping/hall"), refused)
    link._lives = lives
    payload = link._signature if ours else b"another process"
    link._on_ping(Message("ping/hall", payload, True, lambda: None))
    assert (link._rival, refused.reasons) == (reported, ["client_id_in_use"] * reported)


async def test_the_broker_sends_no_more_than_its_window_of_unstored_messages() -> None:
    async with real_mosquitto("max_inflight_messages 0") as broker:
        link = MqttLink(settings_for(broker, keepalive_s=1), Rejections())
        got = collect(link, "burst/#", ack=False)
        async with plain_client(broker) as device, running(link):
            for number in range(100):
                await device.publish("burst/x", str(number).encode(), qos=1)
            await until(lambda: len(got) >= 32)
            pinged = link._ping_seen_s
            await until(lambda: link._ping_seen_s != pinged)  # our own ping still gets through
            assert len(got) == 32
            for index in range(100):
                await until(lambda: len(got) > index)
                got[index].ack()
            assert [int(message.payload) for message in got] == list(range(100))


async def test_a_burst_of_five_thousand_messages_is_received_complete_and_in_order() -> None:
    async with real_mosquitto("max_queued_messages 10000") as broker:
        link = MqttLink(settings_for(broker), Rejections())
        got: list[int] = []
        peak = 0
        loop = asyncio.get_running_loop()

        def keep(message: Message) -> None:
            nonlocal peak
            assert link.connection is not None
            peak = max(peak, link.connection.unacked)
            got.append(int(message.payload))
            loop.call_later(0.001, message.ack)  # the disk

        link.subscribe("burst/x", keep)
        async with plain_client(broker) as device, running(link):
            for number in range(5000):
                device._client.publish("burst/x", str(number).encode(), 1)
                if number % 50 == 0:
                    await asyncio.sleep(0)
            await until(lambda: len(got) >= 5000, 20)
        assert got == list(range(5000))
        assert (
            1 < peak <= 64
        )  # mosquitto 2.0.11 overshoots the agreed 32 by a few while acknowledgements come in


async def test_publishing_to_a_broker_that_does_not_read_fails_and_memory_stays_bounded() -> None:
    seen_enough = asyncio.Event()

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(512)
        writer.write(b"\x20\x03\x00\x00\x00")
        mid = (await reader.read(512))[2:4]
        writer.write(b"\x90\x04" + mid + b"\x00\x00")
        await writer.drain()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await seen_enough.wait()
        writer.transport.abort()

    async with await asyncio.start_server(broker, "127.0.0.1", 0) as server:
        link = MqttLink(_settings(server.sockets[0].getsockname()[1]), Rejections())
        async with running(link):
            connection = link.connection
            assert isinstance(connection, Connection)
            assert connection.wire is not None
            with pytest.raises(Unreachable, match="does not read"):
                await _publish_much(link)
            assert connection.wire.backlog_bytes < 2 << 20
            await until(lambda: not link.connected)  # and its silence is noticed
        seen_enough.set()


async def _publish_much(link: MqttLink) -> None:
    for _ in range(1000):
        link.publish("a/b", bytes(120_000))  # a window of these is more than any kernel buffers
        await asyncio.sleep(0)


def _settings(port: int) -> MqttSettings:
    return MqttSettings("edged-test", port=port, keepalive_s=1)


async def test_an_unreadable_packet_ends_the_connection_after_the_messages_before_it() -> None:
    def packet(head: int, body: bytes) -> bytes:
        return bytes([head, len(body)]) + body

    topic = b"hall/t/x"
    good = packet(0x30, len(topic).to_bytes(2, "big") + topic + b"\x00good")
    bad = packet(0x34, b"\x00\x01xnobody subscribed at QoS 2")

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(512)
        writer.write(b"\x20\x03\x00\x00\x00")
        asked = await reader.read(512)
        writer.write(packet(0x90, asked[2:4] + b"\x00\x01\x01"))  # both filters: granted
        await reader.read(512)
        writer.write(good + bad)
        while await reader.read(512):
            pass
        writer.close()

    async with await asyncio.start_server(broker, "127.0.0.1", 0) as server:
        reported: list[str] = []
        link = MqttLink(_settings(server.sockets[0].getsockname()[1]), Rejections())
        link.subscribe("hall/t/x", lambda message: reported.append(message.payload.decode()))
        link.on_state(lambda up, reason: reported.append("up" if up else reason))
        async with running(link, up=False):  # it is up for a moment only
            await until(lambda: any("unreadable" in one for one in reported))
    heard = reported[reported.index("good") :]
    assert "unreadable" in heard[1]


def test_a_link_that_stays_down_logs_each_new_reason_once() -> None:
    link = MqttLink(MqttSettings("edged-test"), Rejections())
    reported: list[tuple[bool, str]] = []
    link.on_state(lambda up, reason: reported.append((up, reason)))
    with structlog.testing.capture_logs() as logs:
        link._changed(True, "")
        for reason in ("absent", "absent", "not authorised", "not authorised"):
            link._changed(False, reason)
    assert [(line["event"], line.get("reason")) for line in logs] == [
        ("link-up", None),
        ("link-down", "absent"),
        ("link-still-down", "not authorised"),
    ]
    assert reported == [(True, ""), (False, "absent")]


def test_a_link_that_is_down_names_the_effect_on_its_process_and_a_remedy_unless_it_stops() -> None:
    link = MqttLink(MqttSettings("edged-test", down_effect="the pages are stale"), Rejections())
    with structlog.testing.capture_logs() as logs:
        for up, reason in ((True, ""), (False, "absent"), (True, ""), (False, "stopped")):
            link._changed(up, reason)
    down = [line for line in logs if line["event"] == "link-down"]
    assert all("the pages are stale" in line["effect"] for line in down)
    assert [(line["log_level"], "remedy" in line) for line in down] == [("warning", True), ("info", False)]
