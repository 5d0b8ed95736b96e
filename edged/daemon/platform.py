"""The daemon's environment: disk, broker, device drivers and their connections, service manager.

The simulator replaces this one object, so that everything above it is the code that runs in a hall.
"""

from __future__ import annotations

import asyncio
import gc
import secrets
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from edged.central.condemned import Condemned
from edged.central.signatures import PublicKey
from edged.config import DeviceConfig, HallConfig, WebTable, accepted, verdicts
from edged.config.verdicts import FileVerdict
from edged.daemon import files
from edged.daemon.devices import build
from edged.daemon.service_manager import ServiceManager
from edged.driver import DeviceContext, Driver, Reject
from edged.links.mqtt.link import MqttLink, MqttSettings
from edged.observer import Observer
from edged.observers.secrets import watch_secrets
from edged.observers.web.server import WebServer
from edged.store.journal import Journal
from edged.store.starts import Starts

# A step leaves some dozen objects and hardly a cycle. So collect the youngest generation often, which takes a quarter
# of a millisecond (a lamp can wait that long), and the older ones seldom.
GC_THRESHOLDS = (1_000, 200, 20)
SWITCH_S = 0.0005  # how long one thread may hold Python's lock while the other waits (default 5 ms)


log = structlog.get_logger("edged.platform")


class Platform:
    """The environment in a real hall."""

    def open_journal(self, config: HallConfig, alive: Callable[[], None]) -> Journal:
        """Open the journal; ``alive`` is called repeatedly if that takes long. Raises ``StoreError`` if it cannot be
        used.
        """
        return Journal.open(Path(config.store.path), keep_days=config.store.keep_days, alive=alive)

    def starts(self, config: HallConfig) -> Starts:
        """The crash counter: how many starts in a row ended too soon."""
        return Starts(Path(config.store.path))

    def condemned(self, config: HallConfig) -> Condemned:
        """The list of signed documents that crashed this hall and are never tried again."""
        return Condemned(Path(config.store.path))

    def broker(self, settings: MqttSettings, reject: Reject) -> MqttLink:
        """The link to the hall's broker."""
        return MqttLink(settings, reject)

    def ticket_secret(self) -> str:
        """64 random hexadecimal digits, the secret for addresses of visitors' pages."""
        return secrets.token_hex(32)

    def observers(self) -> tuple[Observer, ...]:
        """Observers of each step in addition to the application's own."""
        return ()

    def driver(self, device: DeviceConfig, context: DeviceContext) -> Driver:
        """Make the driver of one device. Raises ``ValueError`` for options it cannot use."""
        return build(device, context)

    def policy_keys(self, config: HallConfig) -> tuple[dict[str, PublicKey], str]:
        """The keys that may sign policies; see ``files.policy_keys``."""
        return files.policy_keys(config)

    def root_keys(self, config: HallConfig) -> dict[str, PublicKey] | None:
        """The keys that may sign key lists; None if neither their file nor its copy can be read. See
        ``files.root_keys``.
        """
        return files.root_keys(config)

    def duty_keys(self, config: HallConfig) -> dict[str, PublicKey]:
        """The public keys of duty desks; see ``files.duty_keys``."""
        return files.duty_keys(config)

    async def watch_files(self, config: HallConfig, report: Callable[[Mapping[str, str]], None]) -> None:
        """Until cancelled, call ``report`` with the files that hall.toml names and that cannot be used (path to
        reason), whenever they change.
        """
        await watch_secrets(files.named_files(config), lambda: files.spoilt(config), report)

    async def read_config(self, file: Path) -> files.Reading:
        """Read hall.toml and the files it names. Raises ``ConfigErrors`` if hall.toml has errors."""
        return await asyncio.to_thread(files.read, file)

    async def keep_config(self, config: HallConfig) -> None:
        """Keep a copy of the accepted configuration, for a start with a faulty hall.toml. A disk error is only
        logged.
        """
        try:
            await asyncio.to_thread(accepted.keep, config)
        except OSError as error:
            log.warning(
                "accepted-configuration-not-saved",
                error=error.strerror,
                effect="a start with a faulty hall.toml falls back to the configuration before this one",
                remedy="check the disk and the permissions of the journal's folder, then `edged reload`",
            )

    async def write_verdict(self, config: HallConfig, verdict: FileVerdict) -> None:
        """Write the outcome of a reload to the file for which `edged reload` waits. A disk error is only logged."""
        try:
            await asyncio.to_thread(verdicts.write, Path(config.store.path), verdict)
        except OSError as error:
            log.warning(
                "reload-result-not-written",
                error=error.strerror,
                effect="`edged reload` and systemctl cannot say whether hall.toml was applied; this log says it",
                remedy="check the disk and the permissions of the journal's folder",
            )

    async def open_web(self, web: WebServer, table: WebTable) -> None:
        """Bind the web listener. Raises ``OSError`` if the port cannot be used."""
        await web.open(table.host, table.port, table.names)

    async def serve_web(self, web: WebServer) -> None:
        """Serve ``/metrics``, ``/healthz`` and the like until cancelled."""
        await web.run()

    def manager(self) -> ServiceManager:
        """The service manager (systemd) that started us."""
        return ServiceManager()

    def hook_signals(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        """Call ``stop`` on SIGTERM and SIGINT, ``reload`` on SIGHUP. Also set Python's thread switch interval to
        ``SWITCH_S``, so that other threads do not hold up the event loop for longer.
        """
        sys.setswitchinterval(SWITCH_S)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        loop.add_signal_handler(signal.SIGHUP, reload)

    def settle_memory(self) -> None:
        """Enable garbage collection, after excluding from it all objects made during the start: examining them would
        pause the loop.

        The garbage of the start is not collected before, because that takes 40 ms and gains little.
        """
        gc.set_threshold(*GC_THRESHOLDS)
        gc.freeze()
        gc.enable()  # off since the process began
