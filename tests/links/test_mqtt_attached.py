"""What a device's driver hears of the broker link while it runs, and no longer."""

from __future__ import annotations

from edged.links.mqtt.attached import attached
from edged.links.mqtt.link import Message, MqttLink
from tests.support.brokers import (
    Rejections,
    collect,
    plain_client,
    real_mosquitto,
    running,
    settings_for,
    until,
)


async def test_an_ended_driver_receives_no_message_and_no_link_change() -> None:
    messages: list[Message] = []
    changes: list[bool] = []

    def changed(up: bool, _reason: str) -> None:
        changes.append(up)

    def refused(_topic: str, _why: str) -> None:
        """Nobody refuses here."""

    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker), Rejections())
        async with running(link):
            others = collect(link, "other")
            with attached(link, [("up", messages.append)], changed, refused):
                async with plain_client(broker) as client:
                    await client.publish("up", b"1", qos=1)
                    await until(lambda: [one.payload for one in messages] == [b"1"])
                messages[0].ack()
                await broker.stop()
                await until(lambda: changes == [False])
                await broker.start()
                await until(lambda: changes == [False, True])
            async with plain_client(broker, "later") as later:
                await later.publish("up", b"2", qos=1)
                await later.publish("other", b"3", qos=1)
                await until(lambda: [one.payload for one in others] == [b"3"])
    assert len(messages) == 1
    assert changes == [False, True], "the link stopped after the driver"
