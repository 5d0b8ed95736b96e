"""hall.toml against the files beside it: the broker's access list, the service unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.http_counter.driver import SPEAKER, HttpCounterOptions
from edged.config import access_list, load, unit_file
from tests.support.daemons import edged

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "configs" / "hall-example.toml"
ACL = ROOT / "configs" / "mosquitto" / "edged.acl"
UNIT = ROOT / "systemd" / "edged.service"


def lines(text: str) -> list[str]:
    return list(access_list.mistakes(load(EXAMPLE), text, "edged"))


def test_the_shipped_list_lets_the_example_speak() -> None:
    assert lines(ACL.read_text()) == []


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        ("topic read milesight/#\n", "user edged may not read milesight/door"),
        ("topic write milesight/door\n", "user counter-door may not write milesight/door"),
        ("topic readwrite hall/#\n", "user edged may not write hall/east/status"),
        ("topic read city/+/policy/push\n", "user edged may not read city/river-city/policy/push"),
        (
            "pattern write hall/+/dev/%u/up/#\n",
            "user dispenser-1 may not write hall/east/dev/dispenser-1/up/",
        ),
        (
            "pattern read hall/+/dev/%u/down/#\n",
            "user panel-w1 may not read hall/east/dev/panel-w1/down/lamp",
        ),
    ],
)
def test_each_line_that_is_missing_is_named(gone: str, expected: str) -> None:
    text = ACL.read_text()
    assert text.count(gone) >= 1
    assert any(expected in line for line in lines(text.replace(gone, "", 1)))


def test_processes_beside_the_daemon_may_say_what_they_say_and_no_more() -> None:
    """`edged bridge` under a name of its own, and `edged counters`, which speaks for its devices."""
    rules = access_list.parse(ACL.read_text())
    for word in ("status", "health", "ticket", "call", "end", "queue", "window"):
        assert access_list.allows(rules, "edged-bridge", "write", f"hall/east/dev/queue-1/up/{word}")
    for topic in HttpCounterOptions(vendor="axis", secret_file="x").topics("east", "door")[0]:
        assert access_list.allows(rules, SPEAKER, "write", topic)
        assert not access_list.allows(rules, "edged-bridge", "write", topic)
    for user in (SPEAKER, "edged-bridge"):
        for topic in (
            "hall/east/dev/panel-w1/up/key",
            "hall/east/dev/lamp-w1/down/lamp",
            "hall/east/ops/open",
        ):
            assert not access_list.allows(rules, user, "write", topic)
            assert not access_list.allows(rules, user, "read", topic)


def test_a_counters_listener_without_its_lines_is_named(tmp_path: Path) -> None:
    file = tmp_path / "hall.toml"
    counter = '[[devices]]\nid = "cam"\ndriver = "http_counter"\nvendor = "axis"\nsecret_file = "x"\n'
    file.write_text(f"{EXAMPLE.read_text()}\n{counter}")
    text = ACL.read_text()
    assert list(access_list.mistakes(load(file), text, "edged")) == []
    (mistake,) = access_list.mistakes(
        load(file), text.replace("topic write hall/+/dev/+/up/people\n", ""), "edged"
    )
    assert mistake.startswith("user edged-counters may not write hall/east/dev/cam/up/people")


@pytest.mark.parametrize(
    ("rule", "topic", "fits"),
    [
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/+/c", "a/b/c", True),
        ("a/+", "a/b/c", False),
        ("a/b", "a/b/c", False),
        ("#", "milesight/+/x", True),
    ],
)
def test_wildcards_are_those_of_mqtt(rule: str, topic: str, fits: bool) -> None:
    rules = access_list.parse(f"user u\ntopic read {rule}\n")
    assert access_list.allows(rules, "u", "read", topic) is fits
    assert access_list.allows(rules, "u", "write", topic) is False


def test_a_denied_topic_is_denied_whatever_else_is_allowed() -> None:
    rules = access_list.parse("user u\ntopic readwrite #\ntopic deny a/b\ntopic plain/name\n")
    assert access_list.allows(rules, "u", "read", "a/b") is False
    assert access_list.allows(rules, "u", "write", "plain/name") is True


def test_the_unit_names_what_it_denies_and_the_drop_in() -> None:
    found = list(unit_file.mistakes(load(EXAMPLE), UNIT.read_text()))
    assert [line.split(":")[0] for line in found] == ["devices.led-social.host", "devices.relay-1.url"]
    assert "IPAddressAllow=192.168.8.88" in found[0]
    drop_in = "\n[Service]\nIPAddressAllow=192.168.8.0/24\n"
    assert list(unit_file.mistakes(load(EXAMPLE), UNIT.read_text() + drop_in)) == []


def test_a_credential_that_the_unit_does_not_hand_over_is_named(tmp_path: Path) -> None:
    hall = tmp_path / "hall.toml"
    hall.write_text(EXAMPLE.read_text().replace("secrets_mqtt.password", "mqtt.password"))
    drop_in = "\nIPAddressAllow=192.168.8.0/24\n"
    (found,) = unit_file.mistakes(load(hall), UNIT.read_text() + drop_in)
    assert "/run/credentials/edged.service/mqtt.password" in found


def test_check_compares_the_access_list_and_the_unit() -> None:
    done = edged("check", str(EXAMPLE), "--acl", str(ACL), "--unit", str(UNIT))
    assert done.returncode == 2
    assert "IPAddressAllow=192.168.8.90" in done.stderr
    assert edged("check", str(EXAMPLE), "--acl", str(ACL)).returncode == 0
