"""Receives what the daemon publishes for the pages, as ``edged web`` does."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt

from tests.support.background import background
from tests.support.brokers import Broker


class PageEar:
    """The last message of each part of the pages, and how many of each arrived; made by ``pages_at``."""

    def __init__(self) -> None:
        self.parts: dict[str, Any] = {}
        self.received: dict[str, int] = {}

    def __getitem__(self, part: str) -> Any:
        return self.parts.get(part, {})


@asynccontextmanager
async def pages_at(broker: Broker, hall: str) -> AsyncIterator[PageEar]:
    """Collect the messages on ``hall/{hall}/page/#`` while the block runs."""
    ear, prefix = PageEar(), f"hall/{hall}/page/"

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            part = str(message.topic).removeprefix(prefix)
            assert isinstance(message.payload, bytes)
            ear.received[part] = ear.received.get(part, 0) + 1
            if message.payload:
                ear.parts[part] = json.loads(message.payload)
            else:
                ear.parts.pop(part, None)

    async with aiomqtt.Client("127.0.0.1", broker.port, identifier="web", timeout=math.inf) as client:
        await client.subscribe(f"{prefix}#", qos=1)
        async with background(listen(client), aiomqtt.MqttError):
            yield ear
