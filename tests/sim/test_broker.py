"""The demo's broker: starts, stops, dies with its parent, and keeps what a controller that was killed left open."""

from __future__ import annotations

import asyncio
import importlib.util
import math
import sys
import time

import aiomqtt
import pytest

from edged.links.mqtt.link import MqttLink
from edged.sim.broker import BrokerMissing, EmbeddedBroker
from tests.support.brokers import (
    Rejections,
    collect,
    embedded_broker,
    plain_client,
    running,
    settings_for,
    until,
)


async def test_missing_library_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(BrokerMissing, match=r"pip install 'edged\[demo\]'"):
        await EmbeddedBroker().start()


async def test_anonymous_clients_are_refused_because_their_queue_would_be_lost() -> None:
    async with embedded_broker() as broker:
        with pytest.raises(aiomqtt.MqttError, match="135"):
            async with aiomqtt.Client("127.0.0.1", broker.port, timeout=math.inf):
                pass


async def test_unacknowledged_messages_come_again_in_order_after_the_connection_is_lost() -> None:
    async with embedded_broker() as broker:
        link = MqttLink(settings_for(broker), Rejections())
        got = collect(link, "a/#", ack=False)
        async with plain_client(broker) as device, running(link):
            for number in range(10):
                await device.publish("a/x", str(number).encode(), qos=1)
            await until(lambda: len(got) == 10)
            got[0].ack()
            await link_turn()
            assert link.connection is not None
            link.connection.fail("broken", "test")
            await until(lambda: len(got) == 19)
        assert [int(message.payload) for message in got[10:]] == list(range(1, 10))


async def test_takeover_of_a_session_leaves_the_newcomer_hearing() -> None:
    async with embedded_broker() as broker:
        link = MqttLink(settings_for(broker, "same"), Rejections())
        got = collect(link, "a/b")
        older = aiomqtt.Client(
            "127.0.0.1", broker.port, identifier="same", username="u", clean_session=False, timeout=math.inf
        )
        await older.__aenter__()
        await older.subscribe("a/b", qos=1)
        async with running(link), plain_client(broker) as device:
            await device.publish("a/b", b"x", qos=1)
            await until(lambda: [message.payload for message in got] == [b"x"])


async def test_broker_ends_with_its_parent_even_when_that_is_killed() -> None:
    script = (
        "import asyncio, os\n"
        "from edged.sim.broker import EmbeddedBroker\n"
        "async def main():\n"
        "    broker = EmbeddedBroker()\n"
        "    await broker.start()\n"
        "    print(broker.pid, broker.port, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    line = await child.stdout.readline()
    await child.wait()
    _, port = (int(word) for word in line.split())
    deadline = time.monotonic() + 5
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            break
        writer.close()
        assert time.monotonic() < deadline, "the broker outlived its parent"
        await asyncio.sleep(0.02)


async def link_turn() -> None:
    """Give the event loop time to send the acknowledgement."""
    await asyncio.sleep(0.05)
