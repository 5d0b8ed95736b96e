"""Why a device is lost: a closed set of words that drivers declare, each with words and remedy in two languages."""

from __future__ import annotations

import ast
import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from devices import REGISTRY
from edged.central.state_messages import StateMessages
from edged.core.model.commands import AlarmsSummary
from edged.core.model.events import DeviceBack, DeviceLost, Event
from edged.core.model.losses import LOSSES, OTHER, Loss, known
from edged.core.model.point import Point
from edged.core.people.alarms import TEXT
from edged.driver import DeviceContext, Garbled, Presence, Refused, Unreachable
from edged.links import ByteLink
from edged.links.losses import loss_of
from edged.links.modbus.frames import AGAIN_LATER, UNIT_IS_SILENT, exception_error
from edged.links.modbus.link import ModbusBus
from edged.links.pty import Pty
from edged.links.serial import SerialLink
from edged.links.tcp import TcpByteLink
from edged.sim.broker import free_port
from tests.support.brokers import until

ROOT = Path(__file__).parents[2]
DRIVERS = {
    name: getattr(import_module(module), klass)
    for name, (module, klass) in ((name, place.split(":")) for name, place in REGISTRY.items())
}
EVERY = [(driver, word) for driver, klass in DRIVERS.items() for word in sorted(klass.LOSSES)]
MESSAGE_MAX = 16 * 1024  # bytes that the hall's broker takes


def context(events: list[Event]) -> DeviceContext:
    def emit(event: Event, ack: Any = None) -> bool:
        events.append(event)
        return True

    return DeviceContext("d", "h", emit, lambda *_: None, asyncio.sleep, lambda: 0.0, None)


def test_every_reason_has_words_and_a_remedy_in_both_languages() -> None:
    for word, words in LOSSES.items():
        assert all(words), word
        assert not words.zh.isascii(), word
        assert (words.en + words.do_en).isascii(), word
    assert known("no answer in time") == OTHER, "a text of an earlier version's journal"


def test_together_drivers_declare_exactly_the_reasons_that_exist() -> None:
    declared = {word for klass in DRIVERS.values() for word in klass.LOSSES}
    assert declared == set(LOSSES)


def test_drivers_and_links_use_only_declared_reasons_of_loss() -> None:
    """Constants in ``.lost("…")``, ``Loss("…")`` and the second argument of a ``DeviceError``."""
    found = set()
    for file in [*ROOT.glob("devices/*/*.py"), *ROOT.glob("edged/links/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                name = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                place = {"lost": 0, "Loss": 0, "Unreachable": 1, "Garbled": 1, "Refused": 1}.get(name)
                if place is not None and len(node.args) > place:
                    word = node.args[place]
                    if isinstance(word, ast.Constant) and word.value:
                        assert word.value in LOSSES, f"{file}:{node.lineno}"
                        found.add(word.value)
    assert len(found) > 8
    for error in (Unreachable("x"), Garbled("x"), Refused("x")):
        assert error.word in LOSSES
    for code in (*AGAIN_LATER, *UNIT_IS_SILENT):
        assert exception_error(code).word == f"exception-{code}"
    assert exception_error(2).word == OTHER, "whoever says so is there"


@pytest.mark.parametrize(("driver", "reason"), EVERY)
async def test_each_reason_of_each_driver_reaches_the_hall_once(driver: str, reason: str) -> None:
    events: list[Event] = []
    presence = Presence(context(events))
    presence.lost(reason, "seen")
    presence.lost(reason, "seen again")
    assert events == [DeviceLost(Point("d"), reason, "seen")]
    presence.back()
    assert events[1:] == [DeviceBack(Point("d"))]


async def test_a_new_reason_of_the_same_loss_is_reported_but_not_too_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edged.driver.SETTLE_S", 0.2)
    events: list[Event] = []
    presence = Presence(context(events))
    presence.lost("port-missing")
    for _ in range(50):  # a line that fails in turns
        presence.lost("bad-answer")
        presence.lost("no-answer")
    assert events == [DeviceLost(Point("d"), "port-missing")]
    await asyncio.sleep(0.3)
    assert events[1:] == [DeviceLost(Point("d"), "no-answer")]
    presence.lost("bad-answer")
    await asyncio.sleep(0.3)
    assert events[2:] == [], "the next only after a while"
    presence.back()
    presence.lost("no-answer")
    assert events[2:] == [DeviceBack(Point("d")), DeviceLost(Point("d"), "no-answer")], "at once"


@asynccontextmanager
async def losses_of(link: ByteLink | ModbusBus) -> AsyncIterator[list[Loss]]:
    """Run a link; the list collects the losses that it reports."""
    reported: list[Loss] = []

    def changed(up: bool, why: Loss) -> None:
        if not up:
            reported.append(why)

    if isinstance(link, ModbusBus):
        link.on_state(changed)
        running = asyncio.create_task(link.run())
    else:
        running = asyncio.create_task(link.run(lambda data: None, changed))
    try:
        yield reported
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def first_loss(link: ByteLink | ModbusBus) -> Loss:
    """Run a link until its first loss, and return it."""
    async with losses_of(link) as reported:
        await until(lambda: reported != [], 10.0)
        return reported[0]


def serial_wires(path: Path) -> list[ByteLink | ModbusBus]:
    return [SerialLink(str(path), baudrate=9600), ModbusBus(f"rtu://{path}")]


@pytest.mark.parametrize("which", [0, 1])
async def test_each_fault_of_a_serial_port_is_lost_with_its_own_reason(tmp_path: Path, which: int) -> None:
    async def first_reason(path: Path) -> str:
        return (await first_loss(serial_wires(path)[which])).word

    assert await first_reason(tmp_path / "nothing") == "port-missing"
    file = tmp_path / "file"
    file.write_text("")
    assert await first_reason(file) == "not-a-port"
    port = Pty(tmp_path / "port")
    port.plug()
    try:
        other = os.open(port.slave, os.O_RDWR | os.O_NOCTTY)
        fcntl.flock(other, fcntl.LOCK_EX)
        assert await first_reason(tmp_path / "port") == "port-busy"
        os.close(other)
        async with losses_of(serial_wires(tmp_path / "port")[which]) as reported:
            await asyncio.sleep(0.3)
            port.unplug()
            await until(lambda: reported != [] and reported[-1].word == "port-missing", 10.0)
    finally:
        port.close()


async def test_each_fault_of_a_network_connection_is_lost_with_its_own_reason() -> None:
    port = free_port()
    for link in (TcpByteLink("localhost", port), ModbusBus(f"tcp://localhost:{port}")):
        assert (await first_loss(link)).word == "connection-refused"
    for link in (TcpByteLink("no.such.invalid", 1), ModbusBus("tcp://no.such.invalid:1")):
        assert (await first_loss(link)).word == "no-such-name"
    assert loss_of(PermissionError(13, "Permission denied")).word == "no-permission"
    assert loss_of(OSError(113, "No route to host")).word == "no-route"
    assert loss_of(TimeoutError()) == Loss("no-answer", "TimeoutError")
    assert loss_of(ValueError("odd")) == Loss(OTHER, "odd")


async def test_the_longest_list_of_alarms_fits_into_one_message() -> None:
    sent: list[bytes] = []

    class Broker:
        def publish(self, topic: str, payload: bytes, retain: bool) -> None:
            sent.append(payload)

    link: Any = Broker()
    names = [f"dispenser-of-the-longest-name-{number:03}"[-32:] for number in range(100)]
    kinds = sorted(TEXT, key=lambda kind: -len("".join(TEXT[kind]).encode()))
    alarms = [(kinds[number % 8], name, number) for number, name in enumerate(names)]
    alarms[-12:] = [("device-lost", name, 0) for name in names[-12:]]
    lost = tuple((name, "port-busy") for name in names[-12:])
    messages = StateMessages(link, "hall", lambda at_ms: "2026-11-30T10:00:00.000+08:00")
    await messages.show(Point("centre/alarms"), AlarmsSummary(tuple(alarms), lost))
    assert len(sent[0]) < MESSAGE_MAX
    assert LOSSES["port-busy"].do_zh.encode() in sent[0]


def test_an_error_number_inside_an_error_text_gives_the_reason_of_that_number() -> None:
    """asyncio and serialx hand an error of the system on as text."""
    itself = loss_of(ConnectionRefusedError(111, "Connection refused")).word
    assert itself != OTHER
    assert loss_of(RuntimeError("[Errno 111] Connection refused")).word == itself
    assert loss_of(RuntimeError("who knows")).word == OTHER
