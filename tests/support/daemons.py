"""The real daemon as a process, a small hall for it to serve, and simulated devices.

Rules: every daemon has its own directory (hall.toml, journal, log, notify socket); it is killed when its block ends,
whatever happened; every wait has a deadline.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from devices.modbus_relay.fake import FakeRelay, FakeTcp
from devices.mqtt_json.fake import FakeDevice, FakeDispenser, FakeFleet, FakeOutput, FakePanel
from edged.clock import monotonic_s
from edged.core.model.commands import Action
from edged.core.model.events import TicketPrinted, TicketRequested
from edged.observer import Step
from edged.sim.broker import free_port
from tests.support.background import background
from tests.support.brokers import Broker, until
from tests.support.journals import steps_in

ROOT = Path(__file__).parents[2]
START_S = 90.0  # for the daemon to serve: what hangs is found, what is merely busy is not
STOP_S = 10.0  # the unit's promise is ten

HALL = """
[hall]
id = "east"
name = "东区大厅"

[mqtt]
port = {mqtt_port}
protocol = "{protocol}"
username = "edged"
keepalive_s = 3

[store]
path = "hall.db"

[web]
port = {web_port}

[duty]
pager = "pager-duty"

[[areas]]
id = "tax"
name = "税务"
name_en = "Taxes"
voice = "voice"
displays = ["screen"]
lamps = ["relay/1"]

[[services]]
id = "tax-general"
area = "tax"
name = "综合税务"
name_en = "General"
prefix = "A"

[[windows]]
id = "w1"
number = "1"
skills = ["tax-general"]
panel = "panel-w1"
confirms_arrival = true

[[windows]]
id = "w2"
number = "2"
tidal = true
skills = ["tax-general"]
panel = "panel-w2"
lamp = "lamp-w2"
confirms_arrival = true

[[windows]]
id = "w3"
number = "3"
tidal = true
skills = ["tax-general"]
lamp = "relay/0"

[[staff]]
id = "chen"
name = "陈敏"
skills = ["tax"]
pager = "pager-chen"
"""
RELAY = """
[[devices]]
id = "relay"
driver = "modbus_relay"
url = "{url}"
profile = "waveshare"
"""
JSON_KINDS = {
    "dispenser": "dispenser",
    "panel-w1": "panel",
    "panel-w2": "panel",
    "lamp-w2": "lamp",
    "screen": "display",
    "voice": "voice",
    "pager-chen": "pager",
    "pager-duty": "pager",
}
EXTRA_WINDOW = """
[[windows]]
id = "w4"
number = "4"
skills = ["tax-general"]
"""


def device_table(device: str, kind: str) -> str:
    """A ``[[devices]]`` table of hall.toml for a JSON device at the broker, of ``kind`` (dispenser, panel …)."""
    return f'\n[[devices]]\nid = "{device}"\ndriver = "mqtt_json"\nkind = "{kind}"\n'


class Hall:
    """A directory with a hall.toml for one daemon, and the journal that the daemon writes there."""

    def __init__(self, directory: Path, broker_port: int, protocol: str, relay_url: str) -> None:
        self.directory = directory
        self.web_port = free_port()
        self.file = directory / "hall.toml"
        self.journal = directory / "hall.db"
        text = HALL.format(mqtt_port=broker_port, protocol=protocol, web_port=self.web_port)
        text += RELAY.format(url=relay_url)
        self.file.write_text(text + "".join(device_table(*one) for one in JSON_KINDS.items()))

    def edit(self, before: str, after: str) -> None:
        """Replace ``before`` in hall.toml by ``after``, wherever it occurs; fails if it occurs nowhere."""
        text = self.file.read_text()
        assert before in text
        self.file.write_text(text.replace(before, after))

    def steps(self) -> list[Step]:
        """Every step that the journal holds now."""
        return steps_in(self.journal)

    def notes(self) -> Counter[str]:
        """How many notes (recorded facts) of each kind the journal holds."""
        return Counter(note.kind for step in self.steps() for note in step.notes)

    def tickets(self) -> list[TicketPrinted | TicketRequested]:
        """The journal's events about new tickets, in order, without those that the core ignored."""
        return [
            step.event
            for step in self.steps()
            if isinstance(step.event, TicketPrinted | TicketRequested)
            and not any(note.kind == "ignored" for note in step.notes)
        ]

    def numbers(self) -> list[str]:
        """The numbers printed by the dispenser itself, in order."""
        return [event.number for event in self.tickets() if isinstance(event, TicketPrinted)]

    def actions(self, kind: str) -> list[Action]:
        """The actions of ``kind`` (page, print …) commanded so far, in order. One that was sent again is there
        twice.
        """
        return [
            command
            for step in self.steps()
            for command in step.commands
            if isinstance(command, Action) and command.body.kind == kind
        ]

    def replay(self) -> subprocess.CompletedProcess[str]:
        """Run ``edged replay`` on the journal. It has the lowest priority, so a busy machine needs minutes."""
        return edged("replay", str(self.journal), timeout_s=600.0)

    def get(self, path: str) -> tuple[int, str]:
        """Fetch ``path`` from the daemon's web server; returns status and text."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.web_port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    async def quantile(self, histogram: str, share: float) -> float:
        """The upper bound of the first histogram bucket that contains at least ``share`` (0 to 1) of all
        observations.
        """
        _, text = await asyncio.to_thread(self.get, "/metrics")
        found = re.findall(rf'^{histogram}_bucket{{le="([^"]+)"}} (\S+)$', text, re.M)
        counts = [(float(bound), float(count)) for bound, count in found]
        return next(bound for bound, count in counts if count >= share * counts[-1][1])

    async def metric(self, name: str) -> float:
        """The sum over all series of one metric; 0 if there is none yet."""
        _, text = await asyncio.to_thread(self.get, "/metrics")
        found = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", text, re.M)
        return sum(map(float, found))


def edged(*arguments: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run ``edged`` with ``arguments`` as a child process to its end."""
    return subprocess.run(
        [sys.executable, "-m", "edged", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )


def hear_ctrl_c() -> None:
    """Make this process and its children react to SIGINT, as in a terminal. A shell's background job, such as a CI run,
    is started with SIGINT ignored.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Daemon:
    """``edged run`` as a child process, with a socket in the role of systemd's. ``notified`` holds what the daemon sent
    to that socket.

    All of these may be changed between two starts: ``planted``, a fault of ``tests/support/planted.py``; ``before``,
    the words of a command that runs the daemon (such as ``env``); ``arguments``, added to ``edged run``; ``environ``,
    added to its environment.
    """

    def __init__(self, hall: Hall, watchdog_s: float = 1.0) -> None:
        self.hall = hall
        self.planted = ""
        self.before: tuple[str, ...] = ()
        self.arguments: tuple[str, ...] = ()
        self.environ: dict[str, str] = {}
        self.log_to: int | None = None  # a descriptor instead of the file that ``log`` reads
        self.notified: list[str] = []
        self.started_s = 0.0
        self.process: asyncio.subprocess.Process | None = None
        self._watchdog_s = watchdog_s
        self._log = hall.directory / "edged.log"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> list[dict[str, Any]]:
        """The daemon's log lines so far, also those before a restart."""
        text = self._log.read_text() if self._log.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # the last line may be on its way
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        return [line for line in self.log if line["event"] == event]

    async def start(self, ready: bool = True) -> None:
        """Start the daemon; with ``ready`` wait until it has sent READY=1."""
        path = self.hall.directory / "notify"
        path.unlink(missing_ok=True)
        wire = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        wire.bind(str(path))
        wire.setblocking(False)
        self._wire = wire
        self.notified.clear()
        environ = os.environ | {
            "PYTHONPATH": str(ROOT),
            "NOTIFY_SOCKET": str(path),
            "WATCHDOG_USEC": str(int(self._watchdog_s * 1e6)),
            **self.environ,
        }
        environ.pop("WATCHDOG_PID", None)
        with self._log.open("ab") as log:
            self.started_s = monotonic_s()
            program = ("tests.support.planted", self.planted) if self.planted else ("edged",)
            self.process = await asyncio.create_subprocess_exec(
                *(*self.before, sys.executable, "-m", *program),
                *("run", "--config", str(self.hall.file), *self.arguments),
                stdout=log,
                stderr=log if self.log_to is None else self.log_to,
                env=environ,
            )
        asyncio.get_running_loop().add_reader(wire.fileno(), self._hear)
        if ready:
            await until(
                lambda: self.ready or self.process is None or self.process.returncode is not None, START_S
            )
            assert self.ready, f"ended with {self.process.returncode}: {self._log.read_text()[-2000:]}"

    @property
    def ready(self) -> bool:
        return any("READY=1" in text for text in self.notified)

    @property
    def pings(self) -> int:
        return sum("WATCHDOG=1" in text for text in self.notified)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    async def ended(self, within_s: float = STOP_S) -> int:
        """Wait for the daemon's end and return its exit code; fails after ``within_s``."""
        assert self.process is not None
        async with asyncio.timeout(within_s):
            return await self.process.wait()

    async def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended()

    async def kill(self) -> None:
        """Kill the daemon by SIGKILL, if it runs."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def close(self) -> None:
        wire: socket.socket | None = getattr(self, "_wire", None)
        if wire is not None and wire.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(wire.fileno())
            wire.close()

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            while True:
                self.notified.append(self._wire.recv(4096).decode())

    async def restart(self, ready: bool = True) -> None:
        """Start the daemon again after it has ended."""
        self.close()
        await self.start(ready)


class Machines:
    """The simulated devices of the small hall: JSON devices on one connection to the broker, and a relay module on
    Modbus TCP.
    """

    def __init__(self, broker_port: int) -> None:
        self.fleet = FakeFleet("east", port=broker_port)
        self.dispenser = FakeDispenser(self.fleet, "dispenser")
        self.panel = FakePanel(self.fleet, "panel-w1")
        self.tidal_panel = FakePanel(self.fleet, "panel-w2")
        self.lamp = FakeOutput(self.fleet, "lamp-w2")
        self.screen = FakeOutput(self.fleet, "screen")
        self.voice = FakeOutput(self.fleet, "voice")
        self.pager = FakePanel(self.fleet, "pager-chen")
        self.duty = FakePanel(self.fleet, "pager-duty")
        self.relay = FakeRelay(monotonic_s)
        self.relay_server = FakeTcp([self.relay])

    def tickets(self, count: int, first: int = 1) -> None:
        """Take ``count`` numbers at the dispenser, A001 and so on from ``first``; the dispenser issues the numbers
        itself.
        """
        for number in range(first, first + count):
            self.dispenser.ticket(f"A{number:03d}", "tax-general")

    @staticmethod
    def ids(device: FakeDevice, kind: str) -> list[str]:
        """The ids of the actions of ``kind`` that ``device`` received."""
        return [fields["id"] for heard, fields in device.actions if heard == kind]


@asynccontextmanager
async def relay_module(machines: Machines) -> AsyncIterator[str]:
    """Let the simulated relay module listen; yields its URL."""
    try:
        yield await machines.relay_server.start()
    finally:
        await machines.relay_server.stop()


@asynccontextmanager
async def connected(machines: Machines) -> AsyncIterator[None]:
    """Connect the simulated JSON devices to the broker."""
    async with background(machines.fleet.run()):
        async with asyncio.timeout(START_S):
            await machines.fleet.connected.wait()
        yield


@asynccontextmanager
async def small_hall(directory: Path, broker: Broker) -> AsyncIterator[tuple[Hall, Daemon, Machines]]:
    """Run the simulated devices of a small hall; yields the hall, its daemon (not yet started) and the devices."""
    machines = Machines(broker.port)
    async with relay_module(machines) as url, connected(machines):
        hall = Hall(directory, broker.port, broker.protocol, url)
        daemon = Daemon(hall)
        try:
            yield hall, daemon, machines
        finally:
            await daemon.kill()
            daemon.close()
