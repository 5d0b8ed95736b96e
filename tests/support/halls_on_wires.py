"""Halls as a city hears them, without a daemon: they number events, keep what is not acknowledged, and send it again.

What ``central/uplink.py`` promises, and nothing more: fresh events at once, history in order from the last
acknowledgement after a silence. What one counted itself is the oracle of tests.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import aiomqtt

from edged.clock import monotonic_s

RESEND_S = 1.0  # a hall waits five; tests are in a hurry
SLICE = 200


class WireHall:
    """``happen`` makes an event; ``made`` is how many there are, ``upto`` what the city has acknowledged."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.made = 0
        self.upto = 0
        self.events: dict[int, dict[str, Any]] = {}
        self.progress_s = monotonic_s()

    def happen(self, kind: str = "ticket.called", subject: str = "", **data: Any) -> bytes:
        self.made += 1
        number = self.made
        self.events[number] = {
            **{"specversion": "1.0", "id": f"{self.name}/1/{number}", "source": f"/halls/{self.name}"},
            **{"type": f"edged.{kind}", "subject": subject or f"A{number:03d}", "data": data},
            **{"time": datetime.now(UTC).isoformat(), "sequence": number, "previous": number - 1},
        }
        if self.made == self.upto + 1:
            self.progress_s = monotonic_s()
        return self.letter(number, historical=False)

    def letter(self, number: int, historical: bool) -> bytes:
        return json.dumps(self.events[number] | {"historical": historical}).encode()

    def acknowledged(self, payload: bytes) -> None:
        fields = json.loads(payload)
        assert fields["upto"] <= self.made, (self.name, fields, self.made)
        if fields["upto"] > self.upto:
            self.upto = fields["upto"]
            self.progress_s = monotonic_s()


class WireCity:
    """Several such halls on one connection, which is made again for as long as it takes. Made by ``wire_halls``."""

    def __init__(self, port: int, names: Iterable[str], **address: Any) -> None:
        self.halls = {name: WireHall(name) for name in names}
        self._port = port
        self._address = address
        self._client: aiomqtt.Client | None = None

    async def happen(self, name: str, kind: str = "ticket.called", subject: str = "", **data: Any) -> None:
        payload = self.halls[name].happen(kind, subject, **data)
        with suppress(aiomqtt.MqttError):
            if self._client is not None:
                await self._client.publish(f"hall/{name}/events", payload, qos=1)

    @property
    def all_acknowledged(self) -> bool:
        return all(hall.upto == hall.made for hall in self.halls.values())

    async def say(self, topic: str, payload: bytes, retain: bool = True) -> None:
        assert self._client is not None
        await self._client.publish(topic, payload, qos=1, retain=retain)

    async def run(self) -> None:
        while True:
            with suppress(aiomqtt.MqttError, OSError):
                async with (
                    aiomqtt.Client(
                        "127.0.0.1",
                        self._port,
                        protocol=aiomqtt.ProtocolVersion.V311,
                        timeout=math.inf,
                        **self._address,
                    ) as client,
                    asyncio.TaskGroup() as tasks,
                ):
                    await client.subscribe("hall/+/events/ack", qos=1)
                    self._client = client
                    tasks.create_task(self._resend(client))
                    async for message in client.messages:
                        name = str(message.topic).split("/")[1]
                        assert isinstance(message.payload, bytes)
                        if name in self.halls:
                            self.halls[name].acknowledged(message.payload)
            self._client = None
            await asyncio.sleep(0.2)

    async def _resend(self, client: aiomqtt.Client) -> None:
        while True:
            await asyncio.sleep(RESEND_S / 2)
            for hall in self.halls.values():
                if hall.upto == hall.made or monotonic_s() - hall.progress_s < RESEND_S:
                    continue
                hall.progress_s = monotonic_s()
                for number in range(hall.upto + 1, min(hall.made, hall.upto + SLICE) + 1):
                    letter = hall.letter(number, historical=True)
                    await client.publish(f"hall/{hall.name}/events", letter, qos=1)


@asynccontextmanager
async def wire_halls(port: int, names: Iterable[str], **address: Any) -> AsyncIterator[WireCity]:
    """Connected when the block begins."""
    city = WireCity(port, names, **address)
    task = asyncio.get_running_loop().create_task(_whole(city))
    try:
        async with asyncio.timeout(20):
            while city._client is None:
                await asyncio.sleep(0.01)
        yield city
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _whole(city: WireCity) -> None:
    while True:
        with suppress(ExceptionGroup):
            await city.run()
        await asyncio.sleep(0.2)
