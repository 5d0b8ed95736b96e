"""The list of topics in the code, the access lists and the bridge say the same; a real parser reads AsyncAPI."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edged.central import topics
from edged.config import access_list
from edged.config.access_list import DAEMON_READS, DAEMON_WRITES, allows, parse
from tests.support.needs import lacking

CONFIGS = Path(__file__).parents[2] / "configs"
HALL = parse((CONFIGS / "mosquitto" / "edged.acl").read_text())
CITY = parse((CONFIGS / "mosquitto" / "city.acl").read_text())
NAMES = {
    "hall": "east",
    "group": "river-city",
    "area": "a",
    "window": "w",
    "operation": "open",
    "request": "r",
    "part": "names",
}
UNBRIDGED = (topics.ANSWER, topics.LINE)  # needs MQTT 5; the bridge says the other one itself
READER = """
const {Parser} = require('@asyncapi/parser');
new Parser().parse(require('fs').readFileSync(process.argv[1], 'utf8')).then(({document, diagnostics}) => {
  const wrong = diagnostics.filter(one => one.severity === 0);
  const told = wrong.map(one => one.path.join('.') + ' ' + one.message);
  console.log(JSON.stringify({read: document !== undefined, wrong: told}));
});
"""


def at(topic: topics.Topic, **other: str) -> str:
    return topic.at(**(NAMES | other))


@pytest.mark.parametrize("topic", topics.CONTRACT, ids=lambda topic: topic.address)
def test_each_side_may_publish_and_receive_only_its_own_topics_at_the_halls_broker(
    topic: topics.Topic,
) -> None:
    publisher, subscriber = ("centre", "edged") if topic.way == "down" else ("edged", "centre")
    assert allows(HALL, publisher, "write", at(topic))
    assert allows(HALL, subscriber, "read", at(topic))
    assert topic.way == "down" or not allows(HALL, "centre", "write", at(topic))


@pytest.mark.parametrize("topic", topics.CONTRACT, ids=lambda topic: topic.address)
def test_at_the_citys_broker_a_hall_speaks_for_itself_alone(topic: topics.Topic) -> None:
    local, down = topic.way == "local", topic.way == "down"
    assert allows(CITY, "east", "write", at(topic)) is (topic.way == "up")
    assert allows(CITY, "east", "read", at(topic)) is down
    if "{hall}" in topic.address:
        for access in ("read", "write"):
            assert not allows(CITY, "west", access, at(topic))
    acknowledged = topic == topics.EVENTS_ACK
    assert allows(CITY, "centre", "write", at(topic)) is acknowledged
    assert allows(CITY, "operator", "write", at(topic)) is (down and not acknowledged)
    assert down or local or allows(CITY, "centre", "read", at(topic))


@pytest.mark.parametrize("topic", topics.CONTRACT, ids=lambda topic: topic.address)
def test_the_nats_cluster_permits_the_same_topics_as_the_access_list(topic: topics.Topic) -> None:
    for user in ("east", "centre", "operator"):
        for access, word in (("write", "publish"), ("read", "subscribe")):
            assert cluster_allows(user, word, at(topic)) is allows(CITY, user, access, at(topic))
            other = at(topic, hall="west")
            assert cluster_allows(user, word, other) is allows(CITY, user, access, other)


def cluster_allows(user: str, word: str, topic: str) -> bool:
    """Whether configs/city/nats-users.conf allows a topic: its dots are slashes, > is #, * is +."""
    text = (CONFIGS / "city" / "nats-users.conf").read_text()
    part = text.partition(f'"CN={user}"')[2].partition("} }")[0]
    (listed,) = re.findall(rf"{word}: \[(.*)\]", part)
    patterns = [
        one.replace(".", "/").replace(">", ".+").replace("*", "[^/]+")
        for one in re.findall('"(.*?)"', listed)
    ]
    return any(re.fullmatch(pattern.replace("$", "[$]"), topic) for pattern in patterns)


def test_the_bridge_carries_all_of_it_and_nothing_else() -> None:
    carried = {}
    for line in (CONFIGS / "mosquitto" / "bridge.conf").read_text().splitlines():
        if line.startswith("topic "):
            _, tail, way, qos, hall_prefix, city_prefix = line.split()
            assert (qos, hall_prefix) == ("1", city_prefix)
            carried[hall_prefix + tail] = {"out": "up", "in": "down"}[way]
    assert carried == {
        topic.filter.replace("hall/+", "hall/east").replace("city/+", "city/river-city"): topic.way
        for topic in topics.CONTRACT
        if topic not in UNBRIDGED and topic.way != "local"
    }


def test_what_doctor_asks_of_an_access_list_is_all_of_the_contract() -> None:
    ours = [
        topic
        for topic in topics.CONTRACT
        if topic not in (topics.LINE, topics.GROUP_POLICY_PUSH, topics.GROUP_KEYS_PUSH)
    ]
    for tails, ways in ((DAEMON_WRITES, ("up", "local")), (DAEMON_READS, ("down",))):
        assert {f"hall/east/{tail}" for tail in tails} == {at(topic) for topic in ours if topic.way in ways}
    assert access_list.ACCESS


def official(text: Callable[[str], str], directory: Path) -> dict[str, object]:
    packages = os.environ.get("EDGED_NODE_PEERS")
    if not packages or not (Path(packages) / "@asyncapi" / "parser").is_dir():
        lacking("EDGED_NODE_PEERS names no folder with @asyncapi/parser")
    file = directory / "asyncapi.yaml"
    file.write_text(text((CONFIGS / "asyncapi.yaml").read_text()))
    ran = subprocess.run(
        ["node", "-e", READER, str(file)],
        env=os.environ | {"NODE_PATH": str(packages)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found: dict[str, object] = json.loads(ran.stdout)
    return found


def test_the_official_parser_reads_the_description(tmp_path: Path) -> None:
    assert official(lambda text: text, tmp_path) == {"read": True, "wrong": []}


def test_the_official_parser_refuses_what_is_none(tmp_path: Path) -> None:
    found = official(lambda text: text.replace("action: receive", "action: listen", 1), tmp_path)
    assert found["wrong"]
