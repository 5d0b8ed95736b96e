"""What the demo's people and its centre go by: the policy's hours, and events without gaps."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edged.central.envelope import private_pem
from edged.config import load
from edged.sim.arrivals import arrivals
from edged.sim.centre import DemoCentre
from edged.sim.given_broker import BrokerPlace
from edged.sim.rota import Rota

CONFIGS = Path(__file__).parents[2] / "configs"
SITE = load(CONFIGS / "hall-demo.toml").site
HOURS: dict[str, Any] = json.loads((CONFIGS / "policy-demo.json").read_text("utf-8"))["body"]["hours"]


@pytest.mark.parametrize(
    ("window", "minute", "at_lunch", "day_over"),
    [
        ("w2", 11 * 60 + 59, False, False),
        ("w2", 12 * 60, True, False),
        ("w1", 12 * 60, False, False),  # on the noon roster
        ("w2", 13 * 60 + 30, False, False),
        ("w6", 17 * 60, False, True),
        ("w2", 17 * 60, False, False),  # taxes have extended hours
        ("w2", 17 * 60 + 15, False, True),
    ],
)
def test_clerks_eat_and_leave_by_the_policy(window: str, minute: int, at_lunch: bool, day_over: bool) -> None:
    rota = Rota(SITE, HOURS, lambda: float(minute))
    assert (rota.at_lunch(window), rota.day_over(window)) == (at_lunch, day_over)


def test_the_centre_acknowledges_only_what_has_no_gap_before_it(tmp_path: Path) -> None:
    centre = DemoCentre("demo", BrokerPlace("127.0.0.1", 1), tmp_path, lambda: 0)
    acknowledged = []
    for number in (1, 3, 2, 2, 5, 4):
        centre._received("hall/demo/events", {"id": f"demo/7/{number}", "sequence": number})
        acknowledged.append(centre.acknowledged)
    assert acknowledged == [1, 1, 3, 3, 3, 5]


async def test_the_centre_waits_for_its_own_policy_not_for_the_one_before(tmp_path: Path) -> None:
    """What a hall in its first second reports, before anything was pushed: the built-in policy is applied."""
    document = json.loads((CONFIGS / "policy-demo.json").read_text("utf-8"))
    (tmp_path / "city.key").write_bytes(private_pem(Ed25519PrivateKey.generate()))
    centre = DemoCentre("demo", BrokerPlace("127.0.0.1", 1), tmp_path, lambda: 0)
    report = {"state": "applied", "desired": None, "applied": {"version": 0, "sha256": ""}}
    centre._received("hall/demo/policy/report", report)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        pushing = tasks.create_task(centre.bring_in_force(document))
        topic, _ = await centre._out.get()
        assert topic == "hall/demo/policy/push"
        centre._received("hall/demo/policy/report", report)
        await asyncio.sleep(0)
        assert not pushing.done()
        centre._received("hall/demo/policy/report", report | {"applied": {"version": document["version"]}})


def test_nobody_comes_just_to_complain() -> None:
    coming = {arrival.service for arrival in arrivals(SITE, 1, 3)}
    assert coming == {service.id for service in SITE.services if not service.case}
