"""Private names of libraries that we bind to: each is there as it was, and no other is used.

These libraries are pinned to their minor version. When a new one is tried, this test says what is missing and which
part of ours stands on it, before a link fails in a hall.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import math
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import aiomqtt
import pytest

ROOT = Path(__file__).parents[2]
PINNED = ("aiomqtt", "amqtt", "paho-mqtt", "serialx")
LIBRARY_OBJECTS = {"client", "paho", "_client", "_paho"}  # what we call them; all else is our own
# of the standard library, and of named tuples and the like: documented, or only a type's name
DOCUMENTED = {"_replace", "_asdict", "_exit", "_Hash", "_Decompress"}


class Bound(NamedTuple):
    """A private name of a library: where it is defined, which of our files uses it, and what breaks without it."""

    owner: str
    name: str
    user: str
    breaks: str


METHODS = (
    Bound(
        "paho.mqtt.client.Client",
        "_create_socket",
        "links/mqtt/connection.py",
        "no buffered socket: 40 ms stalls",
    ),
    Bound(
        "paho.mqtt.client.Client",
        "_sock_close",
        "links/mqtt/connection.py",
        "a frozen connection is never ended",
    ),
    Bound(
        "paho.mqtt.client.Client",
        "_mid_generate",
        "links/mqtt/connection.py",
        "two packets under one packet id",
    ),
    Bound("aiomqtt.Client", "_on_connect", "links/mqtt/connection.py", "aiomqtt never learns of CONNACK"),
    Bound("aiomqtt.Client", "_on_connect", "cli/exchange.py", "no command connects"),
    Bound(
        "serialx.platforms.serial_linux.LinuxSerial",
        "_reconfigure_port",
        "links/serial.py",
        "a key pressed while the port opens is flushed away",
    ),
    Bound(
        "serialx.platforms.serial_linux.LinuxSerial",
        "_build_tcsetattr_flags",
        "links/serial.py",
        "no port opens",
    ),
    Bound(
        "serialx.platforms.serial_linux.LinuxSerial",
        "_after_configure_port",
        "links/serial.py",
        "no port opens",
    ),
    Bound(
        "serialx.platforms.serial_linux.LinuxSerialTransport",
        "_serial_cls",
        "links/serial.py",
        "a key pressed while the port opens is flushed away",
    ),
    Bound("amqtt.broker.Broker", "_get_handler", "sim/broker.py", "the demo's broker loses messages"),
    Bound("amqtt.broker.Broker", "_stop_handler", "sim/broker.py", "the demo's broker loses messages"),
    Bound(
        "amqtt.mqtt.protocol.broker_handler.BrokerProtocolHandler",
        "_send_packet",
        "sim/broker.py",
        "the demo's broker loses messages",
    ),
    Bound(
        "amqtt.mqtt.protocol.broker_handler.BrokerProtocolHandler",
        "_handle_message_flow",
        "sim/broker.py",
        "the demo's broker loses messages",
    ),
)
# set in __init__, so only their assignment can be looked for
ATTRIBUTES = (
    Bound(
        "aiomqtt.Client", "_client", "links/mqtt/connection.py", "no way to paho: the daemon has no broker"
    ),
    Bound(
        "aiomqtt.Client",
        "_client",
        "cli/exchange.py",
        "edged doctor cannot tell a broker that retains nothing",
    ),
    Bound(
        "aiomqtt.Client",
        "_connected",
        "links/mqtt/connection.py",
        "a refused connection is waited for in vain",
    ),
    Bound(
        "aiomqtt.Client", "_disconnected", "sim/centre.py", "the demo's centre complains when its broker ends"
    ),
    Bound("amqtt.broker.Broker", "_subscriptions", "sim/broker.py", "the demo's broker loses messages"),
    Bound(
        "amqtt.mqtt.protocol.handler.ProtocolHandler",
        "_puback_waiters",
        "sim/broker.py",
        "the demo's broker loses messages",
    ),
)


def owner_of(bound: Bound) -> type:
    module, _, name = bound.owner.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert isinstance(found, type)
    return found


@pytest.mark.parametrize("bound", METHODS, ids=lambda bound: bound.name)
def test_library_functions_we_call_or_replace_exist(bound: Bound) -> None:
    assert hasattr(owner_of(bound), bound.name), (
        f"{bound.owner}.{bound.name} is gone: {bound.user}: {bound.breaks}"
    )


@pytest.mark.parametrize("bound", ATTRIBUTES, ids=lambda bound: bound.name)
def test_library_attributes_we_read_are_still_set(bound: Bound) -> None:
    attribute = f"self.{bound.name}"
    assert attribute in inspect.getsource(owner_of(bound)), (
        f"{bound.owner}.{bound.name} is gone: {bound.user}: {bound.breaks}"
    )


async def test_aiomqtt_gives_access_to_its_paho_client() -> None:
    client = aiomqtt.Client("localhost", timeout=math.inf)
    assert type(client._client).__name__ == "Client", "links/mqtt/connection.py takes it for paho's"
    assert not client._connected.done()
    assert client._client.on_connect == client._on_connect


def test_aiomqtt_still_acknowledges_messages_by_itself() -> None:
    """This is why ``edged centre consume`` uses paho instead (decision 0014)."""
    wishes = inspect.signature(aiomqtt.Client).parameters
    assert not [name for name in wishes if "ack" in name], (
        "acknowledges by hand now: move edged/centre/broker.py"
    )
    assert not hasattr(aiomqtt.Message, "ack")


def test_no_private_library_name_is_used_that_is_not_listed() -> None:
    listed = {bound.name for bound in (*METHODS, *ATTRIBUTES)}
    used = {(where, name) for where, name in _foreign() if name not in DOCUMENTED}
    unlisted = [f"{where}: {name}" for where, name in sorted(used) if name not in listed]
    assert not unlisted, "private names of others; list them above with what breaks: " + ", ".join(unlisted)
    for bound in (*METHODS, *ATTRIBUTES):
        assert bound.name in (ROOT / "edged" / bound.user).read_text("utf-8"), f"no longer used: {bound}"


def test_minor_versions_of_libraries_with_private_names_used_are_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    for library in PINNED:
        major, minor = metadata.version(library).split(".")[:2]
        below = f"<{major}.{int(minor) + 1}"
        lines = [line for line in wanted if line.startswith(f"{library}>")]
        assert lines, library
        assert all(line.endswith(below) for line in lines), f"{library}: want {below}, found {lines}"


def _foreign() -> Iterator[tuple[str, str]]:
    """Private names that nothing in our tree defines, or that are read of what we call by a library's name."""
    trees = {
        str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8"))
        for part in ("edged", "devices")
        for path in (ROOT / part).rglob("*.py")
    }
    ours = {name for tree in trees.values() for name in _defined(tree)}
    for where, tree in trees.items():
        for node in ast.walk(tree):
            if (
                not isinstance(node, ast.Attribute)
                or not node.attr.startswith("_")
                or node.attr.startswith("__")
            ):
                continue
            of = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if of in LIBRARY_OBJECTS or node.attr not in ours:
                yield where, node.attr


def _defined(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Attribute(attr=name, value=ast.Name(id="self" | "cls"), ctx=ast.Store()):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Constant(value=str(name)) if name.isidentifier():  # __slots__
                yield name
