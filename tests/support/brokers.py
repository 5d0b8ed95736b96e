"""Real MQTT brokers for tests: Debian's mosquitto, and the demo's embedded one.

Rules: every broker has its own port and its own directory, and is gone when its block ends. Without mosquitto a test is
skipped; under ``CI=true`` it fails.
"""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import aiomqtt

from edged.links.mqtt.link import Message, MqttLink, MqttSettings
from edged.sim.broker import EmbeddedBroker, free_port
from tests.support.background import background
from tests.support.needs import lacking

MOSQUITTO = "/usr/sbin/mosquitto"
START_S = 10.0
STOP_S = 5.0
UNTIL_S = 30.0  # what hangs is found, what is merely busy is not; a promised time is asserted by its test


class Mosquitto:
    """One mosquitto process. A test may start, stop and kill it any number of times; port and directory stay the
    same.
    """

    username = "test"
    protocol = "5"

    def __init__(self, directory: Path, lines: tuple[str, ...]) -> None:
        self.port = free_port()
        self.directory = directory
        self._config = directory / "mosquitto.conf"
        own = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "user root", "log_type error"]
        self._config.write_text("\n".join([*own, *lines]) + "\n")
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            _mosquitto_path(),
            "-c",
            str(self._config),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_S
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                assert self._process.returncode is None, f"mosquitto ended: {self._config.read_text()}"
                assert time.monotonic() < deadline, "mosquitto does not accept"
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return

    async def stop(self, number: int = signal.SIGTERM) -> None:
        """End the process by signal ``number``. It is sent again every ``STOP_S`` seconds: mosquitto forgets a SIGTERM
        that comes between the moment it listens and the moment its main loop runs.
        """
        if self._process is None:
            return
        while self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)
                self._process.send_signal(number)
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await self._process.wait()
        self._process = None

    async def kill(self) -> None:
        await self.stop(signal.SIGKILL)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the process by SIGSTOP while the block runs: its sockets stay open, but it answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


class Embedded(EmbeddedBroker):
    """The demo's broker, with the MQTT protocol version that it speaks."""

    protocol = "3.1.1"


Broker = Mosquitto | Embedded


def _mosquitto_path() -> str:
    path = MOSQUITTO if os.path.exists(MOSQUITTO) else shutil.which("mosquitto")
    if path is None:
        lacking("mosquitto is not installed (apt-get install mosquitto)")
    return path


@asynccontextmanager
async def real_mosquitto(*lines: str) -> AsyncIterator[Mosquitto]:
    """Run a mosquitto on a free port, with ``lines`` added to its configuration."""
    _mosquitto_path()
    with tempfile.TemporaryDirectory(prefix="edged-mosquitto-") as directory:
        broker = Mosquitto(Path(directory), lines)
        await broker.start()
        try:
            yield broker
        finally:
            await broker.stop()


@asynccontextmanager
async def embedded_broker() -> AsyncIterator[Embedded]:
    """Run the demo's broker, which is a child process."""
    async with Embedded() as broker:
        yield broker


@asynccontextmanager
async def either_broker(kind: str) -> AsyncIterator[Broker]:
    """Run the broker that ``kind`` names, "mosquitto" or "embedded": for fixtures that run a test with both."""
    async with real_mosquitto() if kind == "mosquitto" else embedded_broker() as broker:
        yield broker


def settings_for(broker: Broker, client_id: str = "edged-test", keepalive_s: int = 5) -> MqttSettings:
    """Settings of a link to ``broker``, with the newest MQTT version that this broker speaks."""
    protocol = "5" if broker.protocol == "5" else "3.1.1"
    return MqttSettings(
        client_id=client_id,
        port=broker.port,
        protocol=protocol,  # type: ignore[arg-type]
        username=broker.username,
        password="any",
        keepalive_s=keepalive_s,
        ping_topic=f"hall/test/edged/ping/{client_id}",
    )


class Rejections(list[tuple[str, str]]):
    """A callback for rejected messages that collects each (reason, detail) in itself, a list."""

    def __call__(self, reason: str, detail: str = "") -> None:
        self.append((reason, detail))

    @property
    def reasons(self) -> list[str]:
        return [reason for reason, _ in self]


@asynccontextmanager
async def running(link: MqttLink, up: bool = True) -> AsyncIterator[MqttLink]:
    """Run ``link`` while the block runs. The block begins once it is connected, or at once if not ``up``."""
    async with background(link.run()):
        if up:
            await until(lambda: link.connected)
        yield link


@asynccontextmanager
async def plain_client(broker: Broker, client_id: str = "device") -> AsyncIterator[aiomqtt.Client]:
    """Connect an MQTT client that uses none of our code, as a device would."""
    async with aiomqtt.Client(
        "127.0.0.1", broker.port, identifier=client_id, username="device", password="any", timeout=math.inf
    ) as client:
        yield client


async def until(condition: Callable[[], bool], timeout_s: float = UNTIL_S) -> None:
    """Wait until ``condition`` is true; the test fails after ``timeout_s`` seconds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.005)


def collect(link: MqttLink, topic_filter: str, ack: bool = True) -> list[Message]:
    """Subscribe ``link`` to ``topic_filter``; returns the list to which each message is added when it arrives. With
    ``ack`` each is acknowledged at once.
    """
    messages: list[Message] = []

    def keep(message: Message) -> None:
        messages.append(message)
        if ack:
            message.ack()

    link.subscribe(topic_filter, keep)
    return messages
