"""Three nats-servers as the city's broker, with the shipped files: a node dies in the middle, nothing is missing."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import aiomqtt
import pytest

from tests.centre.test_consume import HALLS, Process, ask, happen, settled
from tests.support.brokers import until
from tests.support.halls_on_wires import wire_halls
from tests.support.nats import WIRES, nats_city

CONSUMERS, WIRED = 0, 1  # the nodes that they connect to first


@pytest.mark.full
async def test_a_node_dies_and_nothing_is_missing(tmp_path: Path, dsn: str) -> None:
    async with nats_city(tmp_path) as cluster:
        broker, *more = cluster.options("centre", CONSUMERS)
        process = Process(0, dsn, *more)
        process.words = ("--broker", broker, *process.words[2:])
        await process.start()
        try:
            await cluster.healthy()
            async with wire_halls(cluster.ports[WIRED], HALLS, tls_context=cluster.context(WIRES)) as city:
                await happen(city, 10)
                await until(lambda: any(hall.upto for hall in city.halls.values()), 60.0)
                await happen(city, 10)
                await cluster.kill(CONSUMERS)
                await happen(city, 20)
                await settled(city, dsn)
                await cluster.start(CONSUMERS)
                await happen(city, 5)
                await settled(city, dsn)
                await a_hall_speaks_for_itself_alone(cluster.context("east"), cluster.ports[WIRED], dsn)
        finally:
            await process.end(9)


async def a_hall_speaks_for_itself_alone(context: object, port: int, dsn: str) -> None:
    """Hall "east" publishes under the name of hall "west", which reaches nobody; under its own name it arrives."""
    for hall in ("west", "east"):
        client = aiomqtt.Client(
            *("127.0.0.1", port),
            protocol=aiomqtt.ProtocolVersion.V311,
            tls_context=context,  # type: ignore[arg-type]
            timeout=math.inf,
        )
        event = {
            "id": f"{hall}/1/1",
            "sequence": 1,
            "previous": 0,
            "type": "edged.ticket.called",
            "subject": "A1",
        }
        event |= {"time": "2026-12-01T10:00:00+08:00", "data": {}, "specversion": "1.0"}
        try:
            async with asyncio.timeout(30.0 if hall == "east" else 2.0), client:
                await client.publish(f"hall/{hall}/events", json.dumps(event).encode(), qos=1)
        except (aiomqtt.MqttError, TimeoutError):
            assert hall == "west"  # no PUBACK comes for what it may not say
    await until(lambda: ask(dsn, "SELECT hall FROM events WHERE hall IN ('east', 'west')") == [("east",)])
