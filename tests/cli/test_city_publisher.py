"""What ``edged centre rollout`` and ``abort`` publish: the city's broker confirms it, or the user reads that it did
not.
"""

from __future__ import annotations

import asyncio
import math

import aiomqtt
import pytest

from edged.cli import centre, exchange
from edged.cli.centre import CityPublisher
from edged.cli.target import from_url
from edged.sim.broker import free_port
from tests.support.brokers import real_mosquitto


async def test_what_is_said_while_the_broker_is_away_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "CONNECT_S", 1.0)  # for the acknowledgement that a dead broker owes
    async with real_mosquitto() as broker, asyncio.TaskGroup() as tasks:
        voice = CityPublisher(from_url(f"mqtt://127.0.0.1:{broker.port}", ""))
        await asyncio.to_thread(voice, "hall/east/policy/push", b"first")
        await broker.kill()
        second = tasks.create_task(asyncio.to_thread(voice, "hall/east/policy/push", b"second"))
        await broker.start()
        await second
        async with aiomqtt.Client("127.0.0.1", broker.port, timeout=math.inf) as hall:
            await hall.subscribe("hall/#", qos=1)
            await asyncio.to_thread(voice, "hall/west/policy/push", b"third")
            message = await anext(aiter(hall.messages))
            assert (str(message.topic), message.payload) == ("hall/west/policy/push", b"third")
        await asyncio.to_thread(voice.close)


async def test_a_connection_that_nobody_used_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(centre, "IDLE_S", -1.0)
    async with real_mosquitto() as broker:
        voice = CityPublisher(from_url(f"mqtt://127.0.0.1:{broker.port}", ""))
        await asyncio.to_thread(voice, "hall/east/policy/push", b"1")
        before = voice.talk
        await asyncio.to_thread(voice, "hall/east/policy/push", b"2")
        assert voice.talk is not before
        await asyncio.to_thread(voice.close)


def test_a_broker_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(centre, "PUBLISH_S", 0.0)
    nobody = free_port()
    refused = pytest.raises(OSError, match=f"took nothing for 0 s: no broker at 127.0.0.1:{nobody}")
    with centre.city_publisher(from_url(f"mqtt://127.0.0.1:{nobody}", "")) as publish, refused:
        publish("hall/east/policy/push", b"1")
