"""A document is the whole policy: what it leaves out falls back, and whoever checks or pushes it is told before."""

from __future__ import annotations

import asyncio
import json

from edged.central.envelope import public_entry
from edged.central.policy_changes import built_in_sections, changes
from edged.core.model.policy import Policy
from tests.support.brokers import Mosquitto, plain_client, until
from tests.support.daemon_checks import watching
from tests.support.daemons import Daemon, Hall, Machines, edged
from tests.support.policies import KEY, document, envelope

Parts = tuple[Hall, Daemon, Machines]


def test_the_built_in_policy_changes_nothing_and_is_all_built_in_sections() -> None:
    assert changes(Policy(), Policy()) == []
    assert "tidal" in built_in_sections(Policy())


async def test_policy_check_lists_sections_that_fall_back_and_values_that_change(
    hall: Parts, broker: Mosquitto
) -> None:
    files, daemon, _machines = hall
    keys = {"keys": [public_entry(KEY.public_key(), "city")]}
    (files.directory / "city.pub.json").write_text(json.dumps(keys))
    files.edit("[store]", '[policy]\nkeys = "city.pub.json"\n\n[store]')
    await daemon.start()
    body = {"tidal": {"band": {"open_above": 6}}, "calling": {"max_calls": 5}}
    async with (
        plain_client(broker, "centre") as centre,
        watching(broker, "hall/east/policy/report") as reports,
    ):
        pushed = envelope(document(version=1, halls=["east"], body=body))
        await centre.publish("hall/east/policy/push", pushed, qos=1)
        await until(lambda: reports != [] and reports[-1]["applied"]["version"] == 1)
    partial = files.directory / "partial.json"
    partial.write_text(json.dumps(document(version=2, halls=["east"], body={"calling": {"max_calls": 4}})))
    done = await asyncio.to_thread(edged, "policy", "check", str(partial), "--config", str(files.file))
    assert done.returncode == 0, done.stderr
    (sections,) = [line for line in done.stdout.splitlines() if "built-in values" in line]
    assert "tidal" in sections
    assert "calling" not in sections
    assert ": 6 → 8  [tidal.band.open_above]" in done.stdout
    assert ": 5 → 4  [calling.max_calls]" in done.stdout
