"""A hall behind its bridge: two real brokers with the shipped files, and the line between them cut in the middle.

The city speaks MQTT 3.1.1 with the hall here: whatever it has to know comes as retained messages and events.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from edged.central.envelope import private_pem, public_entry
from tests.support.background import background
from tests.support.brokers import until
from tests.support.centres import Operator, envelope_of
from tests.support.cities import PASSWORD, City, at_city, bridged
from tests.support.daemons import ROOT, Daemon, Hall, Machines, small_hall
from tests.support.policies import KEY, envelope


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    async with bridged(tmp_path) as made:
        yield made


@pytest.fixture
async def hall(tmp_path: Path, city: City) -> AsyncIterator[tuple[Hall, Daemon, Machines]]:
    directory = tmp_path / "hall"
    directory.mkdir()
    async with small_hall(directory, city.hall) as parts:
        files = parts[0]
        keys = {"keys": [public_entry(KEY.public_key(), "city")]}
        (files.directory / "city.pub.json").write_text(json.dumps(keys))
        files.edit("[store]", '[policy]\nkeys = "city.pub.json"\ngroup = "river-city"\n\n[store]')
        await parts[1].start()
        yield parts


class CityMessages:
    """What the city receives from the hall. ``acknowledges`` confirms the events that came without a gap."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.retained: dict[str, bytes] = {}
        self.events: dict[int, dict[str, Any]] = {}

    async def listen(self) -> None:
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            topic = str(message.topic)
            if topic == "hall/east/events":
                event = json.loads(message.payload)
                self.events[event["sequence"]] = event
                await self.client.publish("hall/east/events/ack", self._ack(event), qos=1)
            else:
                self.retained[topic] = message.payload

    def _ack(self, event: dict[str, Any]) -> bytes:
        upto = 0
        while upto + 1 in self.events:
            upto += 1
        return json.dumps({"epoch": int(event["id"].split("/")[1]), "upto": upto}).encode()

    def sent(self, kind: str) -> list[str]:
        """Return the ids or subjects of all received events of ``kind``, in the order of their numbers."""
        of = [event for _, event in sorted(self.events.items()) if event["type"] == f"edged.{kind}"]
        return [event["data"].get("id") or event["subject"] for event in of]

    @property
    def line(self) -> bytes | None:
        return self.retained.get("hall/east/line")


@asynccontextmanager
async def city_messages(city: City) -> AsyncIterator[CityMessages]:
    """Connect as the city's centre and collect what it receives while the block runs."""
    async with at_city(city, "centre") as client:
        received = CityMessages(client)
        await client.subscribe("hall/#", qos=1)
        async with background(received.listen(), aiomqtt.MqttError):
            yield received


APPOINTMENT = {"service": "tax-general", "start": "2099-12-01T10:00:00+08:00"}


async def test_what_is_said_while_the_line_is_cut_arrives_on_both_sides(
    city: City, hall: tuple[Hall, Daemon, Machines]
) -> None:
    _, _, machines = hall
    async with city_messages(city) as received, at_city(city, "operator") as operator:
        await until(lambda: received.line == b"1" and "hall/east/status" in received.retained)
        orders = Operator(operator, "east")
        machines.tickets(2)
        first = orders.document("announce", {"text": "请注意", "text_en": "Attention"})
        await operator.publish("hall/east/ops/announce", envelope_of(first), qos=1)
        await until(
            lambda: (
                received.sent("operation.done") == [first["id"]] and len(received.sent("ticket.issued")) == 2
            )
        )
        city.line.cut()
        await until(lambda: received.line == b"0")
        machines.tickets(3, 3)
        second = orders.document("announce", {"text": "请再注意", "text_en": "Again"})
        wrong = orders.document("close", {"window": "w9"})
        await operator.publish("hall/east/ops/announce", envelope_of(second), qos=1)
        await operator.publish("hall/east/ops/close", envelope_of(wrong), qos=1)
        await operator.publish("hall/east/ops/close", b"?", qos=1)
        for name, changes in (("b-1", {}), ("b-2", {"service": "deeds"}), ("b-3", {"priority": "Minister"})):
            body = json.dumps({"id": name} | APPOINTMENT | changes).encode()
            await operator.publish("hall/east/appointments", body, qos=1)
        await operator.publish("city/river-city/policy/push", envelope(policy(9)), qos=1, retain=True)
        await asyncio.sleep(0.3)
        assert len(received.sent("ticket.issued")) == 2
        city.line.mend()
        await until(lambda: received.line == b"1" and len(received.sent("ticket.issued")) == 5)
        await until(lambda: received.sent("operation.done") == [first["id"], second["id"]])
        await until(lambda: received.sent("operation.refused") == [wrong["id"], "close"])
        await until(lambda: received.sent("appointment.made") == ["b-1"])
        await until(lambda: sorted(received.sent("appointment.refused")) == ["b-2", "b-3"])
        await until(
            lambda: json.loads(received.retained["hall/east/policy/report"])["applied"]["version"] == 9
        )
        assert json.loads(received.retained["hall/east/status"])["group"] == "river-city"
    assert sorted(received.events) == list(range(1, len(received.events) + 1))
    assert "hall/east/journal" not in received.retained
    assert not any("/dev/" in topic or "/ping/" in topic for topic in received.retained)


def policy(version: int) -> bytes:
    body = {"tidal": {"band": {"open_above": 7}}}
    return json.dumps(
        {
            **{"type": "policy", "halls": ["group:river-city"], "version": version, "body": body},
            **{"not_before": "2026-05-01T00:00:00+08:00", "expires": "2097-05-01T00:00:00+08:00"},
        }
    ).encode()


async def test_a_brokers_end_on_either_side_loses_nothing(
    city: City, hall: tuple[Hall, Daemon, Machines]
) -> None:
    _, _, machines = hall
    async with at_city(city, "operator") as operator, city_messages(city) as received:
        await until(lambda: received.line == b"1")
        machines.tickets(1)
        await until(lambda: len(received.sent("ticket.issued")) == 1)
        orders = Operator(operator, "east")
        document = orders.document("announce", {"text": "请注意", "text_en": "Attention"})
        city.line.cut()
        await until(lambda: received.line == b"0")
        await operator.publish("hall/east/ops/announce", envelope_of(document), qos=1)
    await asyncio.sleep(
        2.5
    )  # the shipped file promises what is acknowledged to be on disk within two seconds
    await city.city.kill()
    machines.tickets(2, 2)
    await city.city.start()
    city.line.mend()
    async with city_messages(city) as received:
        await until(lambda: received.sent("operation.done") == [document["id"]], 60.0)
        await until(lambda: len(received.sent("ticket.issued")) >= 2, 60.0)


async def test_an_order_over_the_bridge_is_answered_by_the_command(
    city: City, hall: tuple[Hall, Daemon, Machines]
) -> None:
    files, _, _ = hall
    (files.directory / "city.key").write_bytes(private_pem(KEY))
    async with city_messages(city) as received:
        await until(lambda: received.line == b"1" and "hall/east/status" in received.retained)
        for protocol in ("5", "3.1.1"):
            code, output = await command(
                files, city, protocol, "announce", "text=请注意", "text_en=Attention"
            )
            assert (code, "done" in output) == (0, True), output
            code, output = await command(files, city, protocol, "close", "window=w9")
            assert (code, "unknown-window" in output) == (1, True), output


async def command(files: Hall, city: City, protocol: str, *words: str) -> tuple[int | None, str]:
    secret = files.directory / "password"
    secret.write_text(PASSWORD)
    at = f"mqtt://operator@127.0.0.1:{city.city.port}?protocol={protocol}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edged", "op", "push", *words, "--broker", at, "--hall", "east"),
        *("--key", str(files.directory / "city.key")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "EDGED_PASSWORD_FILE": str(secret)},
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_a_hall_cannot_speak_for_another_one(city: City) -> None:
    context = ssl.create_default_context(cafile=str(city.directory / "city-ca.pem"))
    context.load_cert_chain(city.directory / "west.pem", city.directory / "west.key")
    async with (
        city_messages(city) as received,
        aiomqtt.Client(
            "127.0.0.1",
            city.halls_port,
            identifier="east",  # thrown out if the name in the certificate did not decide
            protocol=aiomqtt.ProtocolVersion.V5,
            tls_context=context,
            timeout=math.inf,
        ) as west,
    ):
        await until(lambda: received.line == b"1")
        await west.publish("hall/east/events/x", b"{}", qos=1)
        await west.publish("hall/east/policy/report", b"{}", qos=1, retain=True)
        await west.publish("hall/west/status", b"{}", qos=1, retain=True)
        await until(lambda: "hall/west/status" in received.retained)
        assert "hall/east/policy/report" not in received.retained
        assert received.line == b"1"


async def test_the_list_of_the_halls_broker_lets_the_bridge_through(tmp_path: Path) -> None:
    shipped = ROOT / "configs" / "mosquitto" / "edged.acl"
    async with (
        bridged(tmp_path, f"acl_file {shipped}") as city,
        city_messages(city) as received,
        at_city(city, "operator") as operator,
        aiomqtt.Client(
            "127.0.0.1", city.hall.port, identifier="edged", username="edged", timeout=math.inf
        ) as hall,
    ):
        await hall.subscribe("hall/east/ops/+", qos=1)
        await until(lambda: received.line == b"1")
        await hall.publish("hall/east/status", b"{}", qos=1, retain=True)
        await until(lambda: received.retained.get("hall/east/status") == b"{}")
        await operator.publish("hall/east/ops/open", b"order", qos=1)
        async with asyncio.timeout(10):
            message = await anext(hall.messages)
        assert message.payload == b"order"
