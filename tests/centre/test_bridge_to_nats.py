"""A hall's mosquitto and its shipped bridge at a city whose broker is a nats-server: the line is cut in the middle."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiomqtt

from edged.sim.city.line import CityLine
from tests.support.background import background
from tests.support.brokers import Mosquitto, real_mosquitto, until
from tests.support.cities import bridge_lines
from tests.support.nats import NatsCluster, nats_city

WAIT_S = 60.0  # the bridge tries again after a second or two, nats-server repeats what was not acknowledged after ten


class Line(NamedTuple):
    """A hall's broker, the city's broker, and the connection between them, which a test can cut."""

    hall: Mosquitto
    city: NatsCluster
    line: CityLine


class ReceivedMessages:
    """The payloads that a client received, by topic and in order, without repetitions (QoS 1 may repeat)."""

    def __init__(self) -> None:
        self.received = dict[str, list[bytes]]()

    async def listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            payloads = self.received.setdefault(str(message.topic), [])
            if not payloads or payloads[-1] != message.payload:
                payloads.append(message.payload)

    def numbers(self, topic: str) -> list[int]:
        """Of events or orders, as they came first."""
        found = (json.loads(payload)["n"] for payload in self.received.get(topic, []))
        return list(dict.fromkeys(found))


@asynccontextmanager
async def nats_and_hall(directory: Path) -> AsyncIterator[Line]:
    async with AsyncExitStack() as stack:
        city = await stack.enter_async_context(nats_city(directory, nodes=1))
        await city.healthy()
        line = await stack.enter_async_context(CityLine(city.ports[0]))
        hall = await stack.enter_async_context(real_mosquitto(*bridge_lines(directory, line)))
        yield Line(hall, city, line)


@asynccontextmanager
async def listening(client: aiomqtt.Client, *filters: str) -> AsyncIterator[ReceivedMessages]:
    """``client`` is connected and hears ``filters``."""
    messages = ReceivedMessages()
    async with client:
        for one in filters:
            await client.subscribe(one, qos=1)
        async with background(messages.listen(client), aiomqtt.MqttError):
            yield messages


def at_nats(made: Line, name: str) -> aiomqtt.Client:
    return aiomqtt.Client(
        *("127.0.0.1", made.city.ports[0]),
        identifier=f"test-{name}",
        protocol=aiomqtt.ProtocolVersion.V311,
        tls_context=made.city.context(name),
        timeout=math.inf,
    )


async def publish_numbers(client: aiomqtt.Client, topic: str, *numbers: int) -> None:
    """Publish one message ``{"n": number}`` for each number."""
    for number in numbers:
        await client.publish(topic, json.dumps({"n": number}).encode(), qos=1)


EVENTS, STATUS, LINE = "hall/east/events", "hall/east/status", "hall/east/line"
DOWN = (
    "hall/east/ops/announce",
    "hall/east/appointments",
    "hall/east/events/ack",
    "city/river-city/policy/push",
)


async def test_the_shipped_bridge_loses_nothing_at_a_nats_server(tmp_path: Path) -> None:
    async with nats_and_hall(tmp_path) as made:
        hall, centre, operator = (
            aiomqtt.Client("127.0.0.1", made.hall.port, timeout=math.inf),
            at_nats(made, "centre"),
            at_nats(made, "operator"),
        )
        async with (
            listening(centre, EVENTS, STATUS, LINE) as city,
            listening(hall, "hall/#", "city/#") as floor,
            operator,
        ):
            await until(lambda: city.received.get(LINE, [b""])[-1] == b"1", WAIT_S)
            await publish_numbers(hall, EVENTS, 1, 2)
            # the bridge says "1" before it subscribes for the first time; its events come after its subscriptions
            await until(lambda: city.numbers(EVENTS) == [1, 2], WAIT_S)
            await publish_numbers(operator, DOWN[0], 1)
            await until(lambda: floor.numbers(DOWN[0]) == [1], WAIT_S)

            made.line.cut()
            await until(lambda: city.received[LINE][-1] == b"0", WAIT_S)
            await publish_numbers(hall, EVENTS, *range(3, 50))
            await hall.publish(STATUS, b'{"state":"online"}', qos=1, retain=True)
            await publish_numbers(operator, DOWN[0], 2, 3)
            await publish_numbers(operator, DOWN[1], 4)
            await publish_numbers(centre, DOWN[2], 5)
            await operator.publish(DOWN[3], b'{"n":6}', qos=1, retain=True)
            made.line.mend()

            await until(lambda: city.received[LINE][-1] == b"1", WAIT_S)
            await until(lambda: sorted(city.numbers(EVENTS)) == list(range(1, 50)), WAIT_S)
            await until(lambda: city.received.get(STATUS) == [b'{"state":"online"}'], WAIT_S)
            came = {DOWN[0]: [1, 2, 3], DOWN[1]: [4], DOWN[2]: [5], DOWN[3]: [6]}
            await until(lambda: {one: sorted(floor.numbers(one)) for one in DOWN} == came, WAIT_S)
