"""A signed policy that makes a hall worse: the whole daemon goes back by itself, says so, and stays back."""

from __future__ import annotations

import asyncio
import json

from edged.central.envelope import public_entry
from edged.clock import Warp, wall_ms
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemon_checks import identical, watching
from tests.support.daemons import Daemon, Hall, Machines, edged
from tests.support.policies import KEY, document, envelope

PUSH = "hall/east/policy/push"
SPEED = 600  # hall minutes in a tenth of a second: the verdict needs twenty of them


def pushed(version: int, enabled: bool) -> bytes:
    return envelope(document(version=version, halls=["east"], body={"tidal": {"enabled": enabled}}))


async def test_a_harmful_policy_is_put_back_and_does_not_come_again(
    hall: tuple[Hall, Daemon, Machines], broker: Mosquitto
) -> None:
    files, daemon, machines = hall
    keys = {"keys": [public_entry(KEY.public_key(), "city")]}
    (files.directory / "city.pub.json").write_text(json.dumps(keys))
    files.edit("[store]", '[policy]\nkeys = "city.pub.json"\n\n[store]')
    daemon.arguments = ("--warp", str(Warp(SPEED, wall_ms(), wall_ms())))
    await daemon.start()
    async with (
        plain_client(broker, "centre") as centre,
        watching(broker, "hall/east/policy/report") as reports,
    ):
        await centre.publish(PUSH, pushed(1, enabled=False), qos=1, retain=True)
        await until(lambda: reports != [] and reports[-1]["applied"]["version"] == 1)
        machines.panel.press("login")
        machines.tickets(8)
        await until(lambda: reports[-1]["state"] == "rolled-back", 10.0)
        last_report = reports[-1]
        assert (last_report["desired"]["version"], last_report["applied"]["version"]) == (1, 0)
        assert last_report["reason"]["code"] == "made-it-worse"
        assert "上一版" in last_report["reason"]["message_zh"]
        health = json.loads((await asyncio.to_thread(files.get, "/healthz"))[1])
        assert health["policy_version"] == 0
        assert "policy-harmful/east" in health["alarms"]
        await daemon.kill()
        reports.clear()
        await daemon.restart()  # and the broker brings the retained push again
        await until(lambda: len(reports) > 1)
        assert {report["state"] for report in reports} == {"rolled-back"}
        await centre.publish(PUSH, pushed(2, enabled=True), qos=1)
        await until(lambda: reports[-1]["applied"]["version"] == 2)
        assert reports[-1]["state"] == "applied"
    assert await daemon.stop() == 0
    notes = files.notes()
    assert (notes["policy.applied"], notes["policy.harmful"], notes["policy.rolled_back"]) == (2, 1, 1)
    output = edged("why", "--config", str(files.file)).stdout
    assert "策略 v1使等候变差，恢复 v0" in output
    assert "version 1 made waits worse, version 0 returns" in output
    identical(files)
