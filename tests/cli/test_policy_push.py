"""A pushed policy from end to end: the real command, a real broker, a real hall, and the answer in words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from edged.central import topics
from edged.central.policies import claimed
from edged.links.mqtt.link import MqttLink
from tests.support.brokers import (
    Rejections,
    collect,
    plain_client,
    real_mosquitto,
    running,
    settings_for,
    until,
)
from tests.support.desks import Desk, hall_in_service

HALL = """
[hall]
id = "east"
name = "东区大厅"
[mqtt]
port = {port}
[store]
path = "hall.db"
[web]
port = 0
[policy]
keys = "city.pub.json"
group = "city"
[[areas]]
id = "tax"
name = "税务"
name_en = "Taxes"
[[services]]
id = "tax-general"
area = "tax"
name = "综合税务"
name_en = "General"
prefix = "A"
[[windows]]
id = "w1"
number = "1"
skills = ["tax-general"]
"""
POLICY = {"halls": ["east"], "body": {"tidal": {"band": {"open_above": 5}}}}


@asynccontextmanager
async def desk_and_hall(directory: Path) -> AsyncIterator[Desk]:
    async with real_mosquitto() as broker:
        (directory / "hall.toml").write_text(HALL.format(port=broker.port), "utf-8")
        desk = Desk(directory)
        assert (await desk.run("policy", "keygen", "city"))[0] == 0
        link = MqttLink(settings_for(broker, "watcher"), Rejections())
        async with running(link), hall_in_service(directory, link):
            yield desk


async def test_push_waits_for_the_hall_and_says_applied_or_why_not(tmp_path: Path) -> None:
    async with desk_and_hall(tmp_path) as desk:
        policy = desk.write("policy.json", POLICY)
        to_east = ("--config", "hall.toml", "--key", "city.key")
        code, output = await desk.run("policy", "status", "--config", "hall.toml")
        assert (code, output) == (0, "version 0: applied / 已生效\n")
        code, output = await desk.run("policy", "push", policy, *to_east)
        assert (code, "version 1: applied / 已生效" in output) == (0, True), output

        # Signed beforehand, sent as it is; the second time it is known, later it is old.
        assert (
            await desk.run("policy", "sign", policy, "-k", "city.key", "-o", "two.json", "--version", "2")
        )[0] == 0
        for _ in range(2):
            code, output = await desk.run("policy", "push", "two.json", "--config", "hall.toml")
            assert (code, "version 2: applied / 已生效" in output) == (0, True), output
        code, output = await desk.run("policy", "push", policy, *to_east)
        assert (code, "version 3: applied / 已生效" in output) == (0, True), output
        assert "changes of what is in force / 与现行策略的差异：none 无" in output
        code, output = await desk.run("policy", "push", "two.json", "--config", "hall.toml")
        assert code == 1
        assert "version 2: REFUSED / 已拒绝\n  version: version 2 is not newer than version 3" in output
        assert "请用更高版本号重新签名" in output
        assert "in force: version 3" in output

        # Another key, another hall, a group.
        await desk.run("policy", "keygen", "thief")
        code, output = await desk.run("policy", "push", policy, "-c", "hall.toml", "-k", "thief.key")
        assert (code, "[unknown-signer]" in output) == (1, True)
        west = desk.write("west.json", POLICY | {"halls": ["west"]})
        code, output = await desk.run("policy", "push", west, *to_east)
        assert (code, "meant for west" in output, "发给 west" in output) == (1, True, True)
        group = desk.write("group.json", POLICY | {"halls": ["group:city"]})
        code, output = await desk.run("policy", "push", group, *to_east, "--group", "city")
        assert (code, "applied" in output) == (0, True)

        code, output = await desk.run("status", "--config", "hall.toml")
        assert code == 0, output
        assert "hall east at 127.0.0.1" in output
        assert "tax " in output
        assert "w1 " in output


async def test_push_to_a_hall_that_is_away_says_so(tmp_path: Path) -> None:
    async with real_mosquitto() as broker:
        (tmp_path / "hall.toml").write_text(HALL.format(port=broker.port), "utf-8")
        desk = Desk(tmp_path)
        await desk.run("policy", "keygen", "city")
        policy = desk.write("policy.json", POLICY)
        options = ("-k", "city.key", "--broker", f"mqtt://127.0.0.1:{broker.port}", "--hall", "east")
        code, output = await desk.run("policy", "push", policy, *options, "--wait-s", "0.5", "--retain")
        assert code == 1
        assert 'pushed; hall "east" did not answer within 0.5 s' in output
        code, output = await desk.run("policy", "status", "-c", "hall.toml")
        assert (code, "never reported" in output) == (1, True)
        # An answer from before is none: it stood at the broker when we came.
        await desk.run("policy", "sign", policy, "-k", "city.key", "-o", "signed.json", "--version", "1")
        old = {"desired": claimed((tmp_path / "signed.json").read_bytes()), "applied": {}, "state": "applied"}
        async with plain_client(broker) as client:
            await client.publish(topics.policy_report("east"), json.dumps(old), qos=1, retain=True)
        code, output = await desk.run(
            "policy", "push", "signed.json", *options, "--wait-s", "0.5", "--retain"
        )
        assert (code, "did not answer" in output) == (1, True), output
        # Left at the broker, it is taken when the hall comes.
        link = MqttLink(settings_for(broker, "watcher"), Rejections())
        async with running(link), hall_in_service(tmp_path, link):
            reports = collect(link, "hall/east/policy/report")
            await until(lambda: any(b'"applied":{"version":1,' in report.payload for report in reports))
