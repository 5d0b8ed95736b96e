"""``edged bench`` as its user runs it. The measured figures are not judged: a machine that runs tests is too busy."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from edged.bench.limits import LATENCIES
from edged.bench.plans import QUICK
from edged.bench.run import KEYS, NAMES
from edged.bench.sides import PEERS
from tests.support.brokers import plain_client, real_mosquitto
from tests.support.daemons import edged

CELL = ("p50_us", "p99_us", "p999_us", "limit_p50_us", "limit_p99_us", "asyncio_p50_us")
WHOLE_S = 280.0
PART_S = 120.0
HALVES = {  # each a test of its own: the whole would be the longest of all tests
    "wires": ("mqtt", "tcp", "rtu", "serial", "wire", "decisions", "disk"),
    "rest": ("start", "outage", "quiet", "cost", "load", "pages", "age", "day"),
}
OF_WIRES = {*LATENCIES, "commit_ms", "decision_us"}
HALL = """
[hall]
id = "east"
name = "东区"

[mqtt]
port = {port}
username = "edged"
password_file = "secret"

[store]
path = "data/hall.db"

[[areas]]
id = "tax"
name = "税务"
name_en = "Taxes"

[[services]]
id = "tax"
area = "tax"
name = "税务"
name_en = "Taxes"
prefix = "A"

[[windows]]
id = "w1"
number = "1"
skills = ["tax"]
"""


@pytest.mark.parametrize("half", HALVES)
def test_the_quick_bench_measures_everything(tmp_path: Path, half: str) -> None:
    sections = HALVES[half]
    arguments = ("--only", ",".join(sections), "--dir", str(tmp_path))
    done = edged("bench", "--embedded", "--quick", "--json", *arguments, timeout_s=WHOLE_S)
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert tuple(found["seconds"]) == sections
    kept = [one["kept"] for one in found["verdicts"]]
    assert len(kept) > 20
    assert done.returncode == (0 if all(kept) else 1)
    assert list(tmp_path.iterdir()) == []
    measured = {key for key in KEYS if found[key] is not None}
    if half == "wires":
        assert measured == OF_WIRES
        _look_at_wires(found)
    else:
        assert measured == set(KEYS) - OF_WIRES
        _look_at_the_rest(found)


def _look_at_wires(found: dict[str, Any]) -> None:
    for key in LATENCIES:
        for cell in (found[key], *found[key]["background"].values()):
            assert all(cell[name] > 0 for name in CELL), (key, cell)
            assert cell["samples"] > 0
    assert all(found["mqtt_mqtt"][f"{peer}_p99_us"] > 0 for peer in PEERS)
    assert found["decision_us"]["60"]["waiting"] == 2_000
    assert found["decision_us"]["1000"]["p50"] <= found["decision_us"]["1000"]["p99"]


def _look_at_the_rest(found: dict[str, Any]) -> None:
    echo = [found[f"aiomqtt_{what}"] for what in ("throughput_msg_s", "cpu_us_per_ticket", "first_ms")]
    assert min(echo) > 0, echo
    assert found["rss_mib"]["start"] > 10
    assert found["rss_after"]["tickets"] > 100
    assert found["restart_ms"] > 0
    beside_reader = found["age"]["beside_a_reader"]
    assert beside_reader["presses"] == QUICK.age.rounds * QUICK.age.presses
    assert min(beside_reader["p99_us"], beside_reader["alone_p99_us"]) > 0


def test_every_section_of_the_bench_is_in_one_half() -> None:
    assert sorted(section for half in HALVES.values() for section in half) == sorted(NAMES)


async def test_a_bench_on_the_halls_own_broker_leaves_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("any\n")
    (tmp_path / "data").mkdir()
    async with real_mosquitto() as broker:
        (tmp_path / "hall.toml").write_text(HALL.format(port=broker.port))
        arguments = ("bench", "--config", str(tmp_path / "hall.toml"), "--quick", "--json", "--only", "cost")
        done = await asyncio.to_thread(edged, *arguments, timeout_s=PART_S)
        assert done.returncode in (0, 1), done.stderr
        found = json.loads(done.stdout)
        assert found["cpu_us_per_ticket"] > 0
        assert found["broker"] == "the hall's own"
        assert found["mqtt_mqtt"] is None
        assert list((tmp_path / "data").iterdir()) == []
        assert await _standing(broker) == []


async def _standing(broker: Any) -> list[str]:
    """Return the topics below ``hall/`` that have a retained message."""
    async with plain_client(broker) as client:
        await client.subscribe("hall/#", qos=1)
        await client.subscribe("end", qos=1)
        await client.publish("end", b"", qos=1)
        topics: list[str] = []
        async with asyncio.timeout(10):
            async for message in client.messages:
                if message.topic.value == "end":
                    return topics
                topics.append(message.topic.value)
    raise AssertionError("the broker ended")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "--config hall.toml, or --embedded"),
        (("--embedded", "--only", "mqqt"), "there is no section 'mqqt'"),
        (("--config", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_a_wrong_call_says_what_is_right(arguments: tuple[str, ...], text: str) -> None:
    done = edged("bench", *arguments)
    assert done.returncode == 2
    assert text in done.stderr
