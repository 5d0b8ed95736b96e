"""A simulated city platform for one hall: receives the hall's events and sends signed orders, on connections of its
own.

It keeps every event by its number, finds gaps by ``previous`` (the number before), and acknowledges up to the last
number without a gap.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from heapq import heappop, heappush
from typing import Any, NamedTuple

import aiomqtt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edged.central import topics
from edged.central.audience import rfc3339
from edged.central.envelope import sign
from edged.central.operations import PAYLOAD_TYPE
from edged.clock import monotonic_s, wall_ms
from tests.support.background import background
from tests.support.brokers import Broker, until
from tests.support.policies import KEY

ACK_EVERY_S = 0.05


class Arrival(NamedTuple):
    """One received message of the topic ``events``; a message that came twice gives two. ``at_s``: when it came, by the
    monotonic clock.
    """

    number: int
    historical: bool
    at_s: float


class Centre:
    """The city platform's receiver of events, made by ``centre_at``. ``acknowledges`` False: it receives but
    acknowledges nothing.
    """

    def __init__(self, client: aiomqtt.Client, hall: str, epoch: int) -> None:
        self.client = client
        self.hall = hall
        self.epoch = epoch
        self.acknowledges = True
        self.upto = 0
        self.events: dict[int, dict[str, Any]] = {}
        self.arrivals: list[Arrival] = []
        self._open: list[tuple[int, int]] = []

    def store(self, event: dict[str, Any]) -> None:
        """Store a received event. Fails if it differs from an earlier one with the same number in more than
        ``historical`` and ``previous``, which may change when it is sent again.
        """
        number = event["sequence"]
        self.arrivals.append(Arrival(number, event["historical"], monotonic_s()))
        before = self.events.setdefault(number, event)
        assert {**before, "historical": 0, "previous": 0} == {**event, "historical": 0, "previous": 0}
        heappush(self._open, (number, event["previous"]))
        while self._open and self._open[0][1] <= self.upto:
            self.upto = max(self.upto, heappop(self._open)[0])

    async def acknowledge(self, upto: int | None = None, epoch: int | None = None) -> None:
        """Acknowledge the events up to ``upto`` (None: the last one without a gap before it) of ``epoch`` (None: the
        hall's).
        """
        body = {
            "epoch": self.epoch if epoch is None else epoch,
            "upto": self.upto if upto is None else upto,
        }
        await self.publish(json.dumps(body).encode())

    async def publish(self, payload: bytes, retain: bool = False) -> None:
        """Publish any ``payload`` on the topic of acknowledgements."""
        await self.client.publish(f"hall/{self.hall}/events/ack", payload, qos=1, retain=retain)

    async def listen(self) -> None:
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            self.store(json.loads(message.payload))

    async def keep_acknowledging(self) -> None:
        said = 0
        while True:
            await asyncio.sleep(ACK_EVERY_S)
            if self.acknowledges and self.upto > said:
                said = self.upto
                await self.acknowledge()


@asynccontextmanager
async def centre_at(broker: Broker, hall: str, epoch: int = 1, upto: int = 0) -> AsyncIterator[Centre]:
    """Connect a centre that has stored every event up to ``upto`` already, and acknowledges these at once."""
    async with aiomqtt.Client(
        "127.0.0.1", broker.port, identifier="city", protocol=aiomqtt.ProtocolVersion.V5, timeout=math.inf
    ) as client:
        centre = Centre(client, hall, epoch)
        centre.upto = upto
        await client.subscribe(f"hall/{hall}/events", qos=1)
        await centre.acknowledge()
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(centre.listen()), loop.create_task(centre.keep_acknowledging())]
        try:
            yield centre
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError, aiomqtt.MqttError):
                    await task


class Operator:
    """A person at the centre who sends orders to a hall; made by ``operator_at``."""

    def __init__(self, client: aiomqtt.Client, hall: str) -> None:
        self.client = client
        self.hall = hall
        self.answers: dict[bytes, dict[str, Any]] = {}
        self._counter = wall_ms()
        self._asked = 0
        self.answers_at = topics.answer(hall, "operator")

    def document(self, operation: str, body: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """A valid order. ``changes`` replace fields of it; a field given as None is left out."""
        self._counter += 1
        made = {
            "type": "operation",
            "halls": [self.hall],
            "operation": operation,
            "id": f"op-{self._counter}",
            "counter": self._counter,
            "not_before": rfc3339(wall_ms() - 1000),
            "expires": rfc3339(wall_ms() + 600_000),
            "by": "陈敏",
            "body": body,
        } | changes
        return {key: value for key, value in made.items() if value is not None}

    async def order(self, operation: str, body: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """Sign and send an order; returns the hall's answer."""
        return await self.send(operation, envelope_of(self.document(operation, body, **changes)))

    async def send(
        self, operation: str, raw: bytes, retain: bool = False, answers: str | None = None
    ) -> dict[str, Any]:
        """Publish any bytes as an order ``operation``; returns the hall's answer. With ``answers`` the hall is told to
        answer on that topic; {} is returned at once.
        """
        self._asked += 1
        correlation = b"%d" % self._asked
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic = answers or self.answers_at
        properties.CorrelationData = correlation
        await self.client.publish(
            f"hall/{self.hall}/ops/{operation}", raw, qos=1, retain=retain, properties=properties
        )
        if answers is not None:
            return {}
        await until(lambda: correlation in self.answers)
        return self.answers[correlation]

    async def listen(self) -> None:
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            assert message.properties is not None
            correlation: bytes = vars(message.properties)["CorrelationData"]
            self.answers[correlation] = json.loads(message.payload)


def envelope_of(document: dict[str, Any], key: Ed25519PrivateKey = KEY) -> bytes:
    """Sign the order ``document``."""
    return sign(json.dumps(document).encode(), PAYLOAD_TYPE, key)


@asynccontextmanager
async def operator_at(broker: Broker, hall: str) -> AsyncIterator[Operator]:
    """Connect an operator, who has a connection of their own."""
    async with aiomqtt.Client(
        "127.0.0.1", broker.port, identifier="operator", protocol=aiomqtt.ProtocolVersion.V5, timeout=math.inf
    ) as client:
        operator = Operator(client, hall)
        await client.subscribe(operator.answers_at, qos=1)
        async with background(operator.listen(), aiomqtt.MqttError):
            yield operator
