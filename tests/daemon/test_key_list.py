"""The whole daemon under a root key: keys are rotated and revoked over MQTT, kept over a crash, and never come back."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest

from edged.central.envelope import public_entry
from edged.cli.doctor_checks import check_key_list
from edged.config import load
from tests.support.brokers import Mosquitto, until
from tests.support.centres import Operator, envelope_of, operator_at
from tests.support.daemon_checks import watching
from tests.support.daemons import Daemon, Hall, Machines, edged
from tests.support.key_lists import NEXT_KEY, ROOT, SPARE_ROOT, entry, key_list, list_envelope, revoked
from tests.support.policies import KEY, document, envelope

POLICY, KEYS = "hall/east/policy/push", "hall/east/keys/push"


def write_keys(files: Hall, name: str, key: Any) -> None:
    entries = {"keys": [public_entry(key.public_key(), name)]}
    (files.directory / f"{name}.pub.json").write_text(json.dumps(entries))


def pushed(version: int, key: Any) -> bytes:
    return envelope(document(version=version, halls=["east"], body={}), key)


async def push(operator: Operator, topic: str, raw: bytes, reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Publish ``raw`` on ``topic`` and return the hall's report on it."""
    report_topic = topic.replace("push", "report")
    before = len(reports)
    await operator.client.publish(topic, raw, qos=1)

    def answer() -> dict[str, Any]:
        new = [
            one for one in reports[before:] if one["topic"] == report_topic and one["state"] != "rehearsing"
        ]
        return new[0] if new else {}

    await until(lambda: answer() != {}, 30.0)
    return answer()


@pytest.fixture
def rooted(hall: tuple[Hall, Daemon, Machines]) -> tuple[Hall, Daemon, Machines]:
    """The small hall with the key of its city and a root."""
    files = hall[0]
    write_keys(files, "city", KEY)
    write_keys(files, "root", ROOT)
    files.edit("[store]", '[policy]\nkeys = "city.pub.json"\nroot = "root.pub.json"\n\n[store]')
    return hall


async def test_a_stolen_key_is_revoked_and_stays_so_after_a_crash(
    rooted: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, _ = rooted
    await daemon.start()
    async with operator_at(broker, "east") as operator, watching(broker, "hall/east/+/report") as reports:
        await until(lambda: any(one["topic"] == "hall/east/keys/report" for one in reports))
        first = next(one for one in reports if one["topic"] == "hall/east/keys/report")
        assert first["applied"]["version"] == 0  # it goes on with what hall.toml names
        assert (await push(operator, POLICY, pushed(1, KEY), reports))["state"] == "applied"
        forged = list_envelope(key_list(9, entry(KEY), halls=["east"]), KEY)
        assert (await push(operator, KEYS, forged, reports))["reason"]["code"] == "unknown-signer"
        made = list_envelope(key_list(2, entry(NEXT_KEY), halls=["east"], revoked=[revoked(KEY)]))
        assert (await push(operator, KEYS, made, reports))["applied"]["version"] == 2
        refused = await push(operator, POLICY, pushed(2, KEY), reports)
        assert (refused["reason"]["code"], refused["applied"]["version"]) == ("key-revoked", 1)
        await until(lambda: "policy-key-revoked/old" in files.get("/healthz")[1], 30.0)
        order = operator.document("close", {"window": "w1"})
        assert (await operator.send("close", envelope_of(order, KEY)))["code"] == "key-revoked"
        assert (await operator.send("close", envelope_of(order, NEXT_KEY)))["ok"]
    await daemon.kill()
    await daemon.restart()  # nothing was retained: what it knows, its journal told
    assert daemon.logged("stored-key-list-refused") == []
    async with operator_at(broker, "east") as operator, watching(broker, "hall/east/+/report") as reports:
        await until(lambda: any(one["topic"] == "hall/east/keys/report" for one in reports), 30.0)
        old = list_envelope(key_list(1, entry(KEY), halls=["east"]))
        report = await push(operator, KEYS, old, reports)
        assert (report["reason"]["code"], report["applied"]["version"]) == ("old-version", 2)
        assert (await push(operator, POLICY, pushed(2, KEY), reports))["reason"]["code"] == "key-revoked"
        assert (await push(operator, POLICY, pushed(2, NEXT_KEY), reports))["state"] == "applied"
        await until(lambda: "policy-key-revoked" not in files.get("/healthz")[1], 30.0)
    assert await daemon.stop() == 0
    notes = files.notes()
    assert (notes["keys.applied"], notes["keys.rejected"]) == (1, 2)


async def test_a_lost_root_is_replaced_in_the_hall(
    rooted: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, _ = rooted
    await daemon.start()
    async with operator_at(broker, "east") as operator, watching(broker, "hall/east/+/report") as reports:
        stolen = list_envelope(key_list(2**53 - 1, entry(NEXT_KEY), halls=["east"]))
        assert (await push(operator, KEYS, stolen, reports))["state"] == "applied"
        write_keys(files, "root", SPARE_ROOT)
        daemon.signal(signal.SIGHUP)  # what the old root has signed counts no more
        await until(lambda: "key-list-unsigned/key-list" in files.get("/healthz")[1], 30.0)
        assert (await push(operator, POLICY, pushed(1, KEY), reports))["state"] == "applied"
        fresh = files.directory / "keys.dsse.json"
        fresh.write_bytes(list_envelope(key_list(1, entry(KEY), halls=["east"]), SPARE_ROOT))
        words = ("keys", "push", str(fresh), "--config", str(files.file), "--wait-s", "30")
        done = await asyncio.to_thread(edged, *words)
        assert done.returncode == 0, done.stderr
        assert "east: applied" in done.stdout
        check = check_key_list(load(files.file))
        assert (check.state, check.english) == ("well", "key list version 1, 1 keys")
        await until(lambda: "key-list-unsigned" not in files.get("/healthz")[1], 30.0)
    assert await daemon.stop() == 0
