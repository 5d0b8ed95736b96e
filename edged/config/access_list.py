"""Checks mosquitto's access list against hall.toml: may every device publish, and may the daemon receive it?

mosquitto accepts a subscription that its list forbids and then drops the messages, without an error for either side.
The format is that of mosquitto.conf(5)'s ``acl_file``; a user is a certificate's common name or a user name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from edged.config import HallConfig

# One example of each topic in ``central/topics.py``, below hall/{hall}; a test compares these with that list.
DAEMON_WRITES = (
    *("status", "journal", "state/area/a", "state/window/w", "state/cases", "state/alarms"),
    *("page/names", "page/area/a", "page/line/a", "page/window/w"),
    *("events", "policy/report", "keys/report", "answer/r"),
)
DAEMON_READS = ("events/ack", "policy/push", "keys/push", "ops/open", "appointments")
ACCESS = ("read", "write", "readwrite", "deny")


class AccessRule(NamedTuple):
    """One rule of the list. ``user``: None for clients without a name; ``pattern``: ``%u`` in ``topic`` stands for the
    client's user name.
    """

    user: str | None
    access: str
    topic: str
    pattern: bool


def parse(text: str) -> list[AccessRule]:
    """Parse the rules of a list. Other lines are skipped: mosquitto itself refuses a wrong list."""
    rules: list[AccessRule] = []
    user: str | None = None
    for raw in text.splitlines():
        words = raw.strip().split(None, 1)
        if len(words) < 2 or words[0].startswith("#"):
            continue
        kind, rest = words
        if kind == "user":
            user = rest
        elif kind in ("topic", "pattern"):
            access, _, topic = rest.partition(" ")
            if access not in ACCESS:
                access, topic = "readwrite", rest
            rules.append(AccessRule(user, access, topic.strip(), kind == "pattern"))
    return rules


def allows(rules: list[AccessRule], user: str, access: str, topic: str) -> bool:
    """Whether the broker's ``rules`` let ``user`` have ``access`` ("read" or "write") to ``topic``."""
    mine = [rule for rule in rules if rule.pattern or rule.user == user]
    fitting = [rule for rule in mine if _fits(rule.topic.replace("%u", user).replace("%c", user), topic)]
    if any(rule.access == "deny" for rule in fitting):
        return False
    return any(rule.access in (access, "readwrite") for rule in fitting)


def mistakes(config: HallConfig, text: str, controller: str) -> Iterator[str]:
    """Yield a sentence for each topic that hall.toml needs and the list forbids. ``controller``: the daemon's user name
    at the broker.
    """
    rules = parse(text)
    hall = f"hall/{config.hall}"
    rooted = config.policy.root is not None  # a hall without root keys ignores key lists
    own = [("write", f"{hall}/{tail}") for tail in DAEMON_WRITES]
    own += [("read", f"{hall}/{tail}") for tail in DAEMON_READS]
    own = [one for one in own if rooted or "/keys/" not in one[1]]
    if config.policy.group is not None:
        own.append(("read", f"city/{config.policy.group}/policy/push"))
        if rooted:
            own.append(("read", f"city/{config.policy.group}/keys/push"))
    for access, topic in own:
        if not allows(rules, controller, access, topic):
            yield _mistake(controller, access, topic)
    for device in config.devices:
        published, subscribed = device.options.topics(config.hall, device.id)
        for topic in published:
            if not allows(rules, controller, "read", topic):
                yield f"{_mistake(controller, 'read', topic)}: {device.id} is not received"
            sender = device.options.speaker(device.id)
            if not allows(rules, sender, "write", topic):
                yield _mistake(sender, "write", topic)
        for topic in subscribed:
            if not allows(rules, controller, "write", topic):
                yield f"{_mistake(controller, 'write', topic)}: {device.id} is not reached"
            if not allows(rules, device.id, "read", topic):
                yield _mistake(device.id, "read", topic)


def _mistake(user: str, access: str, topic: str) -> str:
    return f'user {user} may not {access} {topic}; the list needs "user {user}" and "topic {access} {topic}"'


def _fits(rule: str, topic: str) -> bool:
    """Whether a rule's topic covers ``topic``, by MQTT's wildcards."""
    wanted, given = rule.split("/"), topic.split("/")
    for position, part in enumerate(wanted):
        if part == "#":
            return True
        if position >= len(given) or (part != "+" and part != given[position]):
            return False
    return len(wanted) == len(given)
