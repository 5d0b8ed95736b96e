"""The demo's city platform: a client of the broker that the daemon uses, too. It pushes a policy, books appointments,
sends orders, and acknowledges events.

It knows the daemon only through topics and signed documents. Documents are dated by the hall's clock. Events are
acknowledged in order and without gaps, at least once a second.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt

from edged.central import operations, policies, topics
from edged.central.envelope import load_private, sign
from edged.sim.given_broker import BrokerPlace

RETRY_S = 0.5  # between connections, and between pushes until the hall has answered
ANSWER_S = 3.0  # aiomqtt waits for ever for a broker that disconnects before it answers
ACK_EVERY_S = 0.5  # real seconds; the hall sends events again after five
ORDER_MIN = 30  # hall minutes that an order stays valid: half a real minute at sixty times the speed
OUT_MAX = 1_000  # messages for the broker; a hall day of the demo has a few hundred
NAME = "区政务服务中心"


class DemoCentre:
    """The city platform: ``run`` it until cancelled. ``directory`` holds city.key, the private key that signs its
    documents; ``wall_ms`` returns the hall's wall time.
    """

    def __init__(self, hall: str, broker: BrokerPlace, directory: Path, wall_ms: Callable[[], int]) -> None:
        self._hall = hall
        self._broker = broker
        self._key = directory / "city.key"
        self._wall_ms = wall_ms
        self._out: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(OUT_MAX)
        self._in_force = 0  # the policy version that the hall reports as in force
        self._reported = asyncio.Event()
        self._ahead: set[int] = set()
        self._epoch = 0
        self.acknowledged = 0  # every event up to this number has been received

    async def run(self) -> None:
        """Receive the hall's messages and acknowledge its events until cancelled."""
        while True:
            try:
                await self._connected_once()
            except* (aiomqtt.MqttError, TimeoutError):
                pass
            await asyncio.sleep(RETRY_S)

    @property
    def in_force(self) -> int:
        """The policy version that the hall reported last as in force; 0 before its first report."""
        return self._in_force

    async def bring_in_force(self, document: dict[str, Any]) -> None:
        """Sign a policy document and push it again and again until the hall reports that it is in force."""
        payload = json.dumps(
            {k: v for k, v in document.items() if k != "$schema"}, ensure_ascii=False
        ).encode()
        policies.inspect(payload, None)
        envelope = sign(payload, policies.PAYLOAD_TYPE, load_private(self._key))
        while self._in_force < document["version"]:
            self._out.put_nowait((topics.policy_push(self._hall), envelope))
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S * 4):
                    await self._wait_in_force(document["version"])

    async def _wait_in_force(self, version: int) -> None:
        """Wait until the hall reports ``version`` or a later one as in force. The first report after connecting may
        still name an older one.
        """
        while self._in_force < version:
            self._reported.clear()
            await self._reported.wait()

    def book(self, name: str, service: str, start_wall_ms: int) -> None:
        """Send the hall an appointment (网上预约) with the id ``name`` for ``start_wall_ms`` (ms since 1970)."""
        start = datetime.fromtimestamp(start_wall_ms // 1000, UTC).isoformat()
        body = {"id": name, "service": service, "start": start}
        self._out.put_nowait((topics.appointments(self._hall), json.dumps(body).encode()))

    def order(self, operation: str, body: dict[str, Any]) -> None:
        """Sign and send the hall an order of the city (such as opening a window). ``operation``: the kind of order;
        ``body``: the fields of this kind.
        """
        now_ms = self._wall_ms()
        now = datetime.fromtimestamp(now_ms // 1000, UTC)
        document = {
            "type": operations.TYPE,
            "halls": [self._hall],
            "operation": operation,
            "id": f"demo-{now_ms}",
            "counter": now_ms,
            "not_before": now.isoformat(),
            "expires": (now + timedelta(minutes=ORDER_MIN)).isoformat(),
            "by": NAME,
            "body": body,
        }
        payload = json.dumps(document, ensure_ascii=False).encode()
        operations.inspect(payload)
        envelope = sign(payload, operations.PAYLOAD_TYPE, load_private(self._key))
        self._out.put_nowait((topics.operation(self._hall, operation), envelope))

    async def _connected_once(self) -> None:
        place, name = self._broker, f"centre-{self._hall}"
        username, password = place.login(name)
        client = aiomqtt.Client(
            # Without a limit: before Python 3.12 asyncio.wait_for may swallow a cancellation.
            place.host,
            place.port,
            identifier=name,
            username=username,
            password=password,
            tls_context=place.tls,
            timeout=math.inf,
        )
        async with AsyncExitStack() as connection:
            connection.callback(_retrieve_exception, client)
            async with asyncio.timeout(ANSWER_S):
                await connection.enter_async_context(client)
                await client.subscribe(topics.events(self._hall), qos=1)
                await client.subscribe(topics.policy_report(self._hall), qos=1)
            async with asyncio.TaskGroup() as parts:
                parts.create_task(self._publish_queued(client))
                parts.create_task(self._acknowledge(client))
                async for message in client.messages:
                    if isinstance(message.payload, bytes) and message.payload:
                        self._received(str(message.topic), json.loads(message.payload))

    def _received(self, topic: str, fields: dict[str, Any]) -> None:
        if topic == topics.policy_report(self._hall):
            self._in_force = fields["applied"]["version"]
            self._reported.set()
            return
        self._epoch = int(fields["id"].split("/")[1])
        self._ahead.add(fields["sequence"])
        while self.acknowledged + 1 in self._ahead:
            self.acknowledged += 1
            self._ahead.discard(self.acknowledged)

    async def _publish_queued(self, client: aiomqtt.Client) -> None:
        while True:
            topic, payload = await self._out.get()
            try:
                await client.publish(topic, payload, qos=1)
            except (
                aiomqtt.MqttError,
                asyncio.CancelledError,
            ):  # the latter if another task saw the end of the connection first
                self._out.put_nowait((topic, payload))
                raise

    async def _acknowledge(self, client: aiomqtt.Client) -> None:
        sent = 0
        while True:
            await asyncio.sleep(ACK_EVERY_S)
            if self.acknowledged > sent:
                sent = self.acknowledged
                answer = json.dumps({"epoch": self._epoch, "upto": sent}).encode()
                await client.publish(topics.events_ack(self._hall), answer, qos=1)


def _retrieve_exception(client: aiomqtt.Client) -> None:
    """Retrieve the exception of a lost connection; otherwise asyncio would log "exception was never retrieved"."""
    ended = client._disconnected
    if ended.done() and not ended.cancelled():
        ended.exception()
