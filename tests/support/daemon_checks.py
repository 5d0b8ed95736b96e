"""Limits, checks and an observer of MQTT topics that several tests of the daemon share."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.support.background import background
from tests.support.brokers import Mosquitto, plain_client
from tests.support.daemons import Hall

TIDE = 9  # waiting visitors that open a tidal window: one above Band.open_above
RESTART_S = 20.0  # to lamps that are right: not never; how long it takes is for `edged bench`
FROZEN_S = 6.5  # above the inbox's WAKE_S + FREEZE_S
OUTAGE_S = 3.0
BROKER_FOUND_S = 6.0  # half a second between probes, and a very busy machine


def identical(hall: Hall) -> None:
    done = hall.replay()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("identical")


@asynccontextmanager
async def watching(broker: Mosquitto, topic_filter: str) -> AsyncIterator[list[dict[str, Any]]]:
    """Collect the JSON messages on ``topic_filter`` while the block runs; each is given with its topic as key
    "topic".
    """
    heard: list[dict[str, Any]] = []
    async with plain_client(broker, "onlooker") as client:
        await client.subscribe(topic_filter, qos=1)

        async def listen() -> None:
            async for message in client.messages:
                with suppress(ValueError):  # our own ping is no JSON
                    body = json.loads(bytes(message.payload))
                    if isinstance(body, dict):
                        heard.append(body | {"topic": str(message.topic)})

        async with background(listen()):
            yield heard
