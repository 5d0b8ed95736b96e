"""Runs the daemon with one planted fault: ``python -m tests.support.planted FAULT run --config FILE``.

The fault begins at SIGUSR1, or at the start where its docstring says so. ``FAULTS`` lists all faults; the docstring of
each function is the effect on the daemon.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial, partialmethod
from typing import Any

import devices
from edged.central.operation_desk import OperationDesk
from edged.central.policy_desk import PolicyDesk
from edged.core.engine import Engine
from edged.core.model.events import KeyPressed, PolicyApplied
from edged.core.tide import arbiter
from edged.daemon import app, lifetime
from edged.daemon import devices as running_devices
from edged.daemon.service_manager import ServiceManager
from edged.links.mqtt.link import MqttLink
from edged.store.journal import Journal
from edged.store.writer import JournalWriter, Report
from tests.support.flaky_disk import FailingDisk
from tests.support.slates import Slate

LIMIT_S = 2.0  # for heartbeats: what the daemon gives five seconds is not waited for here
HOUR_S = 3600.0
SYNC_S = "EDGED_SYNC_S"  # of the environment: what a sync of "crawling" takes


class Stubborn(Slate):
    """A driver whose ``show`` neither ends nor can be cancelled."""

    deadline_s = 0.5

    async def show(self, point: str, value: Any) -> None:
        """Never return, even if cancelled."""
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(HOUR_S)


class Falling(Slate):
    """A driver that fails whenever it is started."""

    async def run(self) -> None:
        """Fail at once."""
        raise ZeroDivisionError("planted")


def falling() -> None:
    """Make a driver "falling" known to hall.toml. It fails as soon as it runs, and is restarted after 50 ms. Effective
    from the start.
    """
    devices.REGISTRY["falling"] = "tests.support.planted:Falling"
    running_devices.RESTART_S = (0.05,) * 4


def hourly() -> None:
    """Tell the core the wall time every three seconds instead of every hour. Effective from the start."""
    vars(app)["CLOCK_EVERY_MS"] = 3000


def impatient() -> None:
    """Raise the alarm about a lost device after one second. Effective from the start."""
    vars(app)["LOST_MS"] = 1000


def hasty() -> None:
    """Let safe mode (after repeated crashes) end after ten seconds. Effective from the start."""
    vars(lifetime)["SAFE_S"] = 10.0


def blocked() -> None:
    """Block the event loop's thread for an hour."""
    _on_signal(lambda: time.sleep(HOUR_S))


def stubborn() -> None:
    """Make a driver "stubborn" known to hall.toml, which hangs when it is to show something. Effective from the
    start.
    """
    devices.REGISTRY["stubborn"] = "tests.support.planted:Stubborn"


def dead_link() -> None:
    """End the task of the broker link as if somebody had cancelled it."""
    links: list[MqttLink] = []
    init = MqttLink.__init__

    def remember(self: MqttLink, *arguments: Any) -> None:
        init(self, *arguments)
        links.append(self)

    async def die(self: MqttLink) -> None:
        raise asyncio.CancelledError

    def loose() -> None:
        MqttLink._live_once = die  # type: ignore[assignment,method-assign]
        connection = links[0].connection
        assert connection is not None
        connection.fail("broken", "planted")

    MqttLink.__init__ = remember  # type: ignore[assignment,method-assign]
    _on_signal(loose)


def dead_writer() -> None:
    """Raise an unexpected exception in the journal's writer thread."""

    def fail(self: JournalWriter, taken: object) -> bool:
        raise ValueError("planted")

    _replace(JournalWriter, "_write_all", fail)


def hung_writer() -> None:
    """Let a commit of the journal hang, as on a disk that does not answer."""
    _replace(JournalWriter, "_commit", lambda self, group: time.sleep(HOUR_S))


def unacknowledged() -> None:
    """Kill the daemon when a clerk's "next" is on disk but not yet acknowledged to the broker."""

    pass_on = Journal._pass_on

    def die(self: Journal, report: Report) -> None:
        events = [job.step.event for job in report.jobs if job.step is not None]
        if any(isinstance(event, KeyPressed) and event.key == "next" for event in events):
            os.kill(os.getpid(), signal.SIGKILL)
        pass_on(self, report)

    _replace(Journal, "_pass_on", die)


def crawling() -> None:
    """Let every sync of the disk take ``EDGED_SYNC_S`` seconds. Effective from the start."""
    delay_s = float(os.environ[SYNC_S])
    disk = FailingDisk("crawling", lambda kind, count: time.sleep(delay_s) if kind == "sync" else None)
    Journal.open = partial(Journal.open, vfs="crawling")  # type: ignore[method-assign]
    KEPT.append(disk)


def hoarding() -> None:
    """Take all memory that the process may still have, first in large pieces, then in small ones."""

    def hoard() -> None:
        for size in (1 << 20, 1 << 16, 1 << 12, 1 << 8):
            with suppress(MemoryError):
                while True:
                    KEPT.append(b"x" * size)

    _on_signal(hoard)


def crashing_tide() -> None:
    """Let the core fail whenever a "+1" window is to be opened. Effective from the start."""

    def fail(*arguments: Any) -> bool:
        raise ZeroDivisionError("planted")

    arbiter._request = fail  # type: ignore[assignment]


def failing_desks() -> None:
    """Let two parts of the daemon fail: the policy desk on every pushed policy of version 3, and the operation desk on
    every order to open a window. Effective from the start.
    """
    hand_policy, hand_order = PolicyDesk._hand_over, OperationDesk._hand_over

    def policy(self: PolicyDesk, waiting: Any) -> None:
        if waiting.verified.version == 3:
            raise ZeroDivisionError("planted")
        hand_policy(self, waiting)

    def order(self: OperationDesk, order: Any, *arguments: Any) -> None:
        if order.name == "open":
            raise RecursionError("planted")
        hand_order(self, order, *arguments)

    PolicyDesk._hand_over = policy  # type: ignore[method-assign]
    OperationDesk._hand_over = order  # type: ignore[assignment,method-assign]


def core_without_policies() -> None:
    """Let the core fail on every pushed policy. Effective from the start."""
    lamps_first = Engine.lamps_first

    def fail(self: Engine, at_ms: int, event: Any) -> Any:
        if isinstance(event, PolicyApplied) and event.pushed:
            raise ZeroDivisionError("planted")
        return lamps_first(self, at_ms, event)

    Engine.lamps_first = fail  # type: ignore[method-assign]


FAULTS: dict[str, Callable[[], None]] = {
    fault.__name__: fault
    for fault in (
        blocked,
        stubborn,
        dead_link,
        dead_writer,
        hung_writer,
        unacknowledged,
        crawling,
        hoarding,
        crashing_tide,
        failing_desks,
        core_without_policies,
        falling,
        hasty,
        impatient,
        hourly,
    )
}
KEPT: list[object] = []


def _replace(kind: type, name: str, broken: Callable[..., object]) -> None:
    """At SIGUSR1, replace method ``name`` of ``kind`` by ``broken``. Fails at the start if there is no such method,
    because then nothing would be planted.
    """
    assert hasattr(kind, name), f"{kind.__name__} has no {name}"
    _on_signal(lambda: setattr(kind, name, broken))


def _on_signal(loose: Callable[[], object]) -> None:
    signal.signal(signal.SIGUSR1, lambda number, frame: loose())


def main() -> None:
    """Plant the fault named by the first argument, then run ``edged`` with the others."""
    from edged.__main__ import main as edged

    fault = sys.argv.pop(1)
    FAULTS[fault]()
    if fault != "crawling":  # which the real limit has to bear
        ServiceManager.watch = partialmethod(ServiceManager.watch, limit_s=LIMIT_S)  # type: ignore[assignment]
    edged()


if __name__ == "__main__":
    sys.modules.setdefault("tests.support.planted", sys.modules["__main__"])
    main()
