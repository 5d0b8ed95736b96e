"""Identity and mobile numbers planted in every field of every message: none is found in what the daemon writes.

Scanned: database, WAL, keep file, log, /metrics, /healthz and every message that leaves it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from devices.mqtt_json.codec import MODELS
from edged.central.envelope import public_entry
from tests.support.brokers import Mosquitto, plain_client, real_mosquitto, until
from tests.support.centres import operator_at
from tests.support.daemons import Hall, Machines, small_hall
from tests.support.policies import KEY, document, envelope

# A valid one (GB 11643 check character) of a region that does not exist, and a number range nobody is given.
IDENTITY, MOBILE = "99010119900307001X", "19900000000"
PLANTED = (IDENTITY, MOBILE)
WIDE = str.maketrans("0123456789X", "０１２３４５６７８９Ｘ")
GOOD: dict[str, dict[str, Any]] = {
    "status": {"state": "online", "fw": "1.0"},
    "ticket": {
        "seq": 1,
        "number": "A001",
        "service": "tax-general",
        "priority": "elderly",
        "appointment": "b-1",
    },
    "request": {
        "seq": 1,
        "service": "tax-general",
        "priority": "elderly",
        "appointment": "b-1",
        "returning": "A1",
    },
    "key": {"seq": 1, "key": "next", "arg": "x"},
    "call": {"seq": 1, "number": "A001", "window": "w1", "service": "tax-general"},
    "end": {"seq": 1, "window": "w1", "number": "A001"},
    "queue": {"seq": 1, "service": "tax-general", "waiting": ["A001", "A002"]},
    "window": {"seq": 1, "window": "w1", "staffed": True},
    "rating": {"seq": 1, "level": 5},
    "count": {"seq": 1, "in_total": 5, "out_total": 2},
    "health": {"paper": "low", "fault": "x"},
    "done": {"id": "a1", "ok": False, "error": "x"},
}


def spoilt(good: dict[str, Any]) -> Iterator[bytes]:
    """The message with a planted number in one place after the other: values, keys, nested, wide, escaped."""
    for planted in PLANTED:
        for name in good:
            for text in (planted, f"id {planted}!", planted.translate(WIDE)):
                yield json.dumps(good | {name: text}, ensure_ascii=False).encode()
        yield json.dumps(good | {"note": planted, planted: 1, "deep": [{"x": planted}]}).encode()
        escaped = "".join(f"\\u{ord(c):04x}" for c in planted)
        yield json.dumps(good | {"extra": "@"}).replace("@", escaped).encode()
        yield planted.encode()


@pytest.fixture
def files_hold_nobody() -> Any:
    def check(folder: Path) -> None:
        for file in folder.rglob("*"):
            if file.is_file():
                assert_nobody(file.read_bytes(), str(file))

    return check


def assert_nobody(data: bytes, where: str) -> None:
    for planted in PLANTED:
        for spelling in (planted, planted.translate(WIDE)):
            assert spelling.encode() not in data, f"{spelling} stands in {where}"


async def listen(client: aiomqtt.Client, messages: list[tuple[str, bytes]]) -> None:
    """What the daemon says: everything but what this test sends."""
    await client.subscribe("#", qos=1)
    async for message in client.messages:
        topic = str(message.topic)
        if (
            "/up/" not in topic
            and "/push" not in topic
            and "/ops/" not in topic
            and "/appointments" not in topic
        ):
            assert isinstance(message.payload, bytes)
            messages.append((topic, message.payload))


async def test_no_message_leaves_a_trace_of_a_person(tmp_path: Path, files_hold_nobody: Any) -> None:
    async with real_mosquitto() as broker, small_hall(tmp_path, broker) as (files, daemon, machines):
        (tmp_path / "city.pub.json").write_text(
            json.dumps({"keys": [public_entry(KEY.public_key(), "city")]})
        )
        files.edit("[store]", '[policy]\nkeys = "city.pub.json"\n\n[store]')
        await daemon.start()
        messages: list[tuple[str, bytes]] = []
        async with plain_client(broker, "watcher") as watcher, plain_client(broker, "intruder") as intruder:
            listening = asyncio.get_running_loop().create_task(listen(watcher, messages))
            await plant_everywhere(broker, intruder, files, machines)
            await served_and_told(files, machines)
            pages = [(path, files.get(path)[1].encode()) for path in ("/metrics", "/healthz")]
            listening.cancel()
        assert await daemon.stop() == 0
        assert len(messages) > 20
        for where, data in (*messages, *pages):
            assert_nobody(data, where)
            assert_nobody(where.encode(), "a topic")
        files_hold_nobody(tmp_path)


async def plant_everywhere(
    broker: Mosquitto, intruder: aiomqtt.Client, files: Hall, machines: Machines
) -> None:
    assert set(GOOD) == set(MODELS), "a message that this test does not know"
    for kind, good in GOOD.items():
        for device in ("dispenser", "panel-w1", "pager-chen"):
            for payload in spoilt(good):
                await intruder.publish(f"hall/east/dev/{device}/up/{kind}", payload, qos=1)
    for payload in spoilt({"id": "b-1", "service": "tax-general", "start": "2026-11-25T10:00:00+08:00"}):
        await intruder.publish("hall/east/appointments", payload, qos=1)
    spoilt_policy = document(halls=["east"], body={"tidal": {"areas": {IDENTITY.lower(): {}}}})
    for raw in (envelope(spoilt_policy), envelope()[:-5] + IDENTITY.encode()):
        await intruder.publish("hall/east/policy/push", raw, qos=1)
    async with operator_at(broker, "east") as operator:
        for text in PLANTED:
            answer = await operator.order("announce", {"text": f"请{text}到窗口", "text_en": text})
            assert (answer["ok"], answer["code"]) == (False, "personal-data")
            answer = await operator.order("lift", {"kind": "open", "target": "w2"}, by=text)
            assert answer["code"] == "personal-data"
    async with asyncio.timeout(20):
        while await files.metric("edged_inputs_rejected_total") < 100:
            await asyncio.sleep(0.1)


async def served_and_told(files: Hall, machines: Machines) -> None:
    """Let the hall serve visitors, so that there is output to search for the planted numbers."""
    machines.panel.press("login")
    machines.tickets(3, first=701)
    await until(lambda: len(files.tickets()) >= 3)
    machines.panel.press("next")
    await until(lambda: files.notes()["ticket.called"] >= 1)


def test_the_check_for_personal_data_finds_what_was_planted(tmp_path: Path, files_hold_nobody: Any) -> None:
    (tmp_path / "hall.db").write_bytes(b"SQLite " + IDENTITY.encode())
    with pytest.raises(AssertionError, match="stands in"):
        files_hold_nobody(tmp_path)
