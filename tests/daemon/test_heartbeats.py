"""Every deadline by which a part of the daemon promises to be back is one that the watchdog looks at."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Mapping
from pathlib import Path

from edged.config import load
from edged.daemon.app import Application
from edged.daemon.platform import Platform
from edged.daemon.service_manager import ServiceManager
from edged.heartbeat import Heartbeat
from tests.support.brokers import Broker
from tests.support.daemons import small_hall

LONG_AGO_S = -1.0


def living() -> list[Heartbeat]:
    return [one for one in gc.get_objects() if type(one) is Heartbeat]


class Holding(ServiceManager):
    """Instead of feeding a watchdog, holds back one heartbeat after the other and looks whether that is seen."""

    def __init__(self) -> None:
        super().__init__({})
        self.before = {id(one) for one in living()}
        self.held = 0
        self.unseen: list[Heartbeat] = []
        self.over = asyncio.Event()

    async def watch(self, heartbeats: Callable[[], Mapping[str, float]], limit_s: float = 0.0) -> None:
        for one in living():
            if id(one) not in self.before:
                due_s, one.due_s = one.due_s, LONG_AGO_S
                self.held += 1
                if min(heartbeats().values()) != LONG_AGO_S:
                    self.unseen.append(one)
                one.due_s = due_s
        self.over.set()
        await super().watch(heartbeats)


class Watched(Platform):
    def __init__(self, manager: ServiceManager) -> None:
        self._manager = manager

    def manager(self) -> ServiceManager:
        return self._manager

    def hook_signals(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        pass


async def test_every_heartbeat_of_the_daemon_is_watched(tmp_path: Path, broker: Broker) -> None:
    gc.collect()
    async with small_hall(tmp_path, broker) as (hall, _daemon, _machines):
        manager = Holding()
        app = Application(load(hall.file), platform=Watched(manager))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(app.run())
            await manager.over.wait()
            app.stop.set()
        devices = len(app.config.devices)
        assert manager.held >= 2 * devices + len(
            ("clock", "reloads", "mqtt", "pages", "policy desk", "uplink")
        )
        assert manager.unseen == []
