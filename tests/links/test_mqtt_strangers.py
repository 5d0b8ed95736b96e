"""One wide subscription and the devices' narrow ones: every message comes to its device once, whoever asks when."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from edged.links.mqtt.connection import Connection
from edged.links.mqtt.link import Message, MqttLink, MqttSettings
from edged.links.mqtt.names import covers
from tests.support.brokers import (
    Rejections,
    collect,
    plain_client,
    real_mosquitto,
    running,
    settings_for,
    until,
)

WIDE = "hall/test/dev/+/up/#"


@pytest.mark.parametrize(
    ("wide", "narrow", "does"),
    [
        (WIDE, "hall/test/dev/w1/up/+", True),
        (WIDE, "hall/test/dev/w1/up/key", True),
        (WIDE, "hall/test/dev/w1/up", True),
        (WIDE, "hall/test/dev/w1/down/lamp", False),
        (WIDE, "hall/other/dev/w1/up/key", False),
        (WIDE, "hall/test/dev/#", False),
        ("a/+", "a/+", True),
        ("a/+", "a/#", False),
        ("a/+", "a/b/c", False),
        ("a/b", "a/+", False),
        ("#", "a/b", True),
    ],
)
def test_a_topic_filter_covers_another_only_if_it_matches_all_its_topics(
    wide: str, narrow: str, does: bool
) -> None:
    assert covers(wide, narrow) is does


def collect_the_rest(link: MqttLink) -> list[Message]:
    """Collect, and acknowledge, messages of devices that have no subscription of their own."""
    received: list[Message] = []

    def keep(message: Message) -> None:
        received.append(message)
        message.ack()

    link.subscribe_rest(WIDE, keep)
    return received


class ConnectionWithOldSession:
    """A connection to a broker that still has our earlier session; records what is subscribed and unsubscribed."""

    session_present = True

    def __init__(self) -> None:
        self.subscribed: list[str] = []
        self.unsubscribed: list[str] = []

    async def subscribe(self, filters: Iterable[tuple[str, int]]) -> list[str]:
        self.subscribed += [name for name, _ in filters]
        return []

    async def unsubscribe(self, filters: Iterable[str]) -> None:
        self.unsubscribed += filters


async def test_narrow_filters_of_an_older_session_are_unsubscribed_once() -> None:
    link = MqttLink(MqttSettings("edged-test"), Rejections())
    collect_the_rest(link)
    collect(link, "hall/test/dev/w1/up/+")
    lives = [ConnectionWithOldSession(), ConnectionWithOldSession()]
    for life in lives:
        await link._subscribe_all(life)  # type: ignore[arg-type]
        assert life.subscribed == [WIDE, "edged/ping"]
    assert [life.unsubscribed for life in lives] == [["hall/test/dev/w1/up/+"], []]


async def test_each_message_arrives_once_even_if_the_broker_keeps_narrow_subscriptions() -> None:
    async with real_mosquitto() as broker, plain_client(broker) as device:
        before = MqttLink(settings_for(broker), Rejections())
        collect(before, "hall/test/dev/w1/up/+")
        async with running(before):
            pass
        link = MqttLink(settings_for(broker), Rejections())
        own, other = collect(link, "hall/test/dev/w1/up/+"), collect_the_rest(link)
        async with running(link):
            await device.publish("hall/test/dev/last/up/key", b"settled", qos=1)
            await until(lambda: len(other) == 1)
            for number in range(20):
                await device.publish("hall/test/dev/w1/up/key", b"%d" % number, qos=1)
            await device.publish("hall/test/dev/last/up/key", b"end", qos=1)
            await until(lambda: len(other) == 2)
            assert [message.payload for message in own] == [b"%d" % number for number in range(20)]
            await until(lambda: link.connection is not None and link.connection.unacked == 0)


async def test_a_device_added_later_receives_the_messages_retained_at_the_broker() -> None:
    async with real_mosquitto() as broker, plain_client(broker) as device:
        await device.publish("hall/test/dev/w1/up/status", b"here", qos=1, retain=True)
        link = MqttLink(settings_for(broker), Rejections())
        other = collect_the_rest(link)
        async with running(link):
            await until(lambda: [message.payload for message in other] == [b"here"])
            own = collect(link, "hall/test/dev/w1/up/+")
            await until(lambda: [(message.payload, message.retain) for message in own] == [(b"here", True)])
            await device.publish("hall/test/dev/w1/up/key", b"1", qos=1)
            await until(lambda: len(own) == 2)
        assert len(other) == 1


class ConnectionRefusingWideFilter(Connection):
    """A connection to a broker that refuses the wide subscription."""

    async def subscribe(self, filters: Iterable[tuple[str, int]]) -> list[str]:
        asked = list(filters)
        refused = await super().subscribe([one for one in asked if one[0] != WIDE])
        return [*refused, *(topic for topic, _ in asked if topic == WIDE)]


async def test_a_topic_refused_to_a_device_added_later_is_reported() -> None:
    class ConnectionRefusingOneDevice(Connection):
        async def subscribe(self, filters: Iterable[tuple[str, int]]) -> list[str]:
            asked = list(filters)
            await super().subscribe(asked)
            return [topic for topic, _ in asked if topic.startswith("hall/test/dev/w7")]

    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker), Rejections(), ConnectionRefusingOneDevice)
        refusals: list[str] = []
        link.on_refused(lambda topic, why: refusals.append(topic))
        async with running(link):
            collect(link, "hall/test/dev/w7/up/+")
            await until(lambda: refusals == ["hall/test/dev/w7/up/+"])


async def test_a_broker_that_refuses_the_wide_filter_gets_one_filter_per_device() -> None:
    async with real_mosquitto() as broker, plain_client(broker) as device:
        link = MqttLink(settings_for(broker), Rejections(), ConnectionRefusingWideFilter)
        refusals: list[tuple[str, str]] = []
        link.on_refused(lambda topic, why: refusals.append((topic, why)))
        own, other = collect(link, "hall/test/dev/w1/up/+"), collect_the_rest(link)
        async with running(link):
            await device.publish("hall/test/dev/w9/up/key", b"0", qos=1)
            await device.publish("hall/test/dev/w1/up/key", b"1", qos=1)
            await until(lambda: len(own) == 1)
        assert (other, refusals) == ([], []), "no device is mute because of it"
