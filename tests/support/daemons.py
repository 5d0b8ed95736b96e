"""The real daemon as a process, a small hall for it to serve, and what the tests ask of both.

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
    """One JSON device of hall.toml."""
    return f'\n[[devices]]\nid = "{device}"\ndriver = "mqtt_json"\nkind = "{kind}"\n'


class Hall:
    """A directory with a hall.toml for one daemon; ``edit`` spoils or changes it."""

    def __init__(self, directory: Path, broker_port: int, protocol: str, relay_url: str) -> None:
        self.directory = directory
        self.web_port = free_port()
        self.file = directory / "hall.toml"
        self.journal = directory / "hall.db"
        text = HALL.format(mqtt_port=broker_port, protocol=protocol, web_port=self.web_port)
        text += RELAY.format(url=relay_url)
        self.file.write_text(text + "".join(device_table(*one) for one in JSON_KINDS.items()))

    def edit(self, before: str, after: str) -> None:
        """Replace a text that is there."""
        text = self.file.read_text()
        assert before in text
        self.file.write_text(text.replace(before, after))

    def steps(self) -> list[Step]:
        """Every step of the journal so far."""
        return steps_in(self.journal)

    def notes(self) -> Counter[str]:
        """Facts by kind."""
        return Counter(note.kind for step in self.steps() for note in step.notes)

    def tickets(self) -> list[TicketPrinted | TicketRequested]:
        """Ticket inputs that had an effect, in order."""
        return [
            step.event
            for step in self.steps()
            if isinstance(step.event, TicketPrinted | TicketRequested)
            and not any(note.kind == "ignored" for note in step.notes)
        ]

    def numbers(self) -> list[str]:
        """The printed numbers among them."""
        return [event.number for event in self.tickets() if isinstance(event, TicketPrinted)]

    def actions(self, kind: str) -> list[Action]:
        """Actions commanded, in order; a page that was sent again stands twice."""
        return [
            command
            for step in self.steps()
            for command in step.commands
            if isinstance(command, Action) and command.body.kind == kind
        ]

    def replay(self) -> subprocess.CompletedProcess[str]:
        """``edged replay`` on the journal. It runs when nobody else wants to, so a busy machine takes minutes."""
        return edged("replay", str(self.journal), timeout_s=600.0)

    def get(self, path: str) -> tuple[int, str]:
        """A page of the daemon's web server."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.web_port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    async def quantile(self, histogram: str, share: float) -> float:
        """The bound of the bucket that ``share`` of a histogram's observations do not exceed."""
        _, text = await asyncio.to_thread(self.get, "/metrics")
        found = re.findall(rf'^{histogram}_bucket{{le="([^"]+)"}} (\S+)$', text, re.M)
        counts = [(float(bound), float(count)) for bound, count in found]
        return next(bound for bound, count in counts if count >= share * counts[-1][1])

    async def metric(self, name: str) -> float:
        """The sum over all series of one metric; 0 where there is none yet."""
        _, text = await asyncio.to_thread(self.get, "/metrics")
        found = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", text, re.M)
        return sum(map(float, found))


def edged(*arguments: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "edged", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )


def hear_ctrl_c() -> None:
    """As in a terminal: a shell's background job, such as a CI run, is born deaf to it, and so are its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Daemon:
    """``edged run`` as a child process with a service manager's socket. ``notified`` holds what it told that.

    All of these may be changed between two starts: ``planted``, a fault of ``tests/support/planted.py``; ``before``, a
    command that runs the daemon; ``arguments``, added to ``edged run``; ``environ``, added to its environment.
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
        """Its log lines so far, of all its lives."""
        text = self._log.read_text() if self._log.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # the last line may be on its way
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Log lines of one event."""
        return [line for line in self.log if line["event"] == event]

    async def start(self, ready: bool = True) -> None:
        """Start; with ``ready``, until it says READY=1."""
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
        """Wait for its end; the exit code."""
        assert self.process is not None
        async with asyncio.timeout(within_s):
            return await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM."""
        self.signal(signal.SIGTERM)
        return await self.ended()

    async def kill(self) -> None:
        """SIGKILL, whatever it does."""
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
        """Start again after an end."""
        self.close()
        await self.start(ready)


class Machines:
    """The far ends of the small hall: JSON devices on one connection, and a relay module on Modbus TCP."""

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
        """Visitors take numbers that the dispenser allots itself."""
        for number in range(first, first + count):
            self.dispenser.ticket(f"A{number:03d}", "tax-general")

    @staticmethod
    def ids(device: FakeDevice, kind: str) -> list[str]:
        """Ids of the actions that ``device`` got."""
        return [fields["id"] for heard, fields in device.actions if heard == kind]


@asynccontextmanager
async def relay_module(machines: Machines) -> AsyncIterator[str]:
    """The relay module, listening; yields its URL."""
    try:
        yield await machines.relay_server.start()
    finally:
        await machines.relay_server.stop()


@asynccontextmanager
async def connected(machines: Machines) -> AsyncIterator[None]:
    """The JSON devices, on the broker."""
    async with background(machines.fleet.run()):
        async with asyncio.timeout(START_S):
            await machines.fleet.connected.wait()
        yield


@asynccontextmanager
async def small_hall(directory: Path, broker: Broker) -> AsyncIterator[tuple[Hall, Daemon, Machines]]:
    """Devices on their wires and a daemon not yet started."""
    machines = Machines(broker.port)
    async with relay_module(machines) as url, connected(machines):
        hall = Hall(directory, broker.port, broker.protocol, url)
        daemon = Daemon(hall)
        try:
            yield hall, daemon, machines
        finally:
            await daemon.kill()
            daemon.close()
