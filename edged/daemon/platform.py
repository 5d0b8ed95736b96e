"""What the application stands on outside this process: the disk, the broker, the devices' wires, the service manager.

One object, so that a simulated world can be put in its place and everything above stays what a site runs.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from edged.central.condemned import Condemned
from edged.config import DeviceConfig, HallConfig
from edged.daemon.devices import build
from edged.daemon.service_manager import ServiceManager
from edged.driver import Context, Driver, Reject
from edged.links.mqtt.link import MqttLink, MqttSettings
from edged.observers.web.server import WebServer
from edged.store.journal import Journal
from edged.store.starts import Starts

# A step leaves some dozen objects and hardly a cycle: often a look at the newest, so short (a quarter of a millisecond)
# that a lamp may wait for it, and seldom a longer one at what stayed.
GC_THRESHOLDS = (1_000, 200, 20)
SWITCH_S = (
    0.0005  # how long the journal's thread and the loop may keep Python's lock from each other (default 5 ms)
)


class Platform:
    """The machine and the hall's network."""

    def open_journal(self, config: HallConfig, alive: Callable[[], None]) -> Journal:
        """The journal at its place; ``alive`` is called while that takes long. Raises ``StoreError``."""
        return Journal.open(Path(config.store.path), keep_days=config.store.keep_days, alive=alive)

    def starts(self, config: HallConfig) -> Starts:
        """How often this hall was started lately."""
        return Starts(Path(config.store.path))

    def condemned(self, config: HallConfig) -> Condemned:
        """The signed documents that this hall failed on."""
        return Condemned(Path(config.store.path))

    def broker(self, settings: MqttSettings, reject: Reject) -> MqttLink:
        """The link to the hall's broker."""
        return MqttLink(settings, reject)

    def driver(self, device: DeviceConfig, context: Context) -> Driver:
        """The driver of one device, on its wire. Raises ``ValueError`` for options that make no driver."""
        return build(device, context)

    async def serve_web(self, web: WebServer, host: str, port: int) -> None:
        """The pages, until cancelled. Raises ``OSError`` where the place cannot be used."""
        await web.run(host, port)

    def manager(self) -> ServiceManager:
        """Whoever started us."""
        return ServiceManager()

    def hook_signals(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        """SIGTERM and SIGINT stop, SIGHUP reads hall.toml again; how long threads keep Python's lock."""
        sys.setswitchinterval(SWITCH_S)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        loop.add_signal_handler(signal.SIGHUP, reload)

    def settle_memory(self) -> None:
        """What the start made stays: the garbage collector need not look at it again while a lamp waits.

        Nor before: a start leaves no garbage worth the 40 ms.
        """
        gc.set_threshold(*GC_THRESHOLDS)
        gc.freeze()
        gc.enable()  # off since the process began
