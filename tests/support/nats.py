"""Runs nats-servers with the shipped files; only paths and ports are replaced, certificates and user names stay."""

from __future__ import annotations

import asyncio
import re
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from edged.clock import monotonic_s
from edged.sim.broker import free_port
from tests.support.authorities import Authority
from tests.support.needs import lacking

SHIPPED = Path(__file__).parents[2] / "configs" / "city"
NODES = 3
START_S = 60.0
WIRES = "wires"  # who speaks for every hall, which no hall may


class NatsCluster:
    """A cluster of nats-servers as the city's broker. ``ports``: the MQTT ports (TLS) of its nodes. A test may ``kill``
    and ``start`` a node any number of times.

    A cluster of one node runs the shipped file without its section about other nodes, and stores one copy of each
    message instead of three.
    """

    def __init__(self, directory: Path, nodes: int = NODES) -> None:
        self.directory = directory
        self._nodes = nodes
        self.authority = Authority(directory, "city-ca")
        for name in ("city-broker", "centre", "operator", "east", WIRES):
            self.authority.issue(name)
        self.ports = [free_port() for _ in range(nodes)]
        self._healths = [free_port() for _ in range(nodes)]
        self._clients = [free_port() for _ in range(nodes)]
        self._routes = [free_port() for _ in range(nodes)]
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._folders = [directory / f"node{node}" for node in range(nodes)]
        for node in range(nodes):
            self._write(node)

    async def start(self, node: int) -> None:
        self._running[node] = await asyncio.create_subprocess_exec(
            *("nats-server", "-c", str(self._folders[node] / f"nats-city-{node + 1}.conf")),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=(self._folders[node] / "log").open("ab"),
        )

    async def kill(self, node: int) -> None:
        process = self._running.pop(node)
        process.kill()
        await process.wait()

    async def stop(self) -> None:
        for node in list(self._running):
            await self.kill(node)

    async def healthy(self) -> None:
        """Wait until every node reports at /healthz that it is healthy: the cluster has a leader, and the node knows
        it.
        """
        deadline = monotonic_s() + START_S
        for node, port in enumerate(self._healths):
            while not await _healthy(port):
                log = (self._folders[node] / "log").read_text()[-2000:]
                assert self._running[node].returncode is None, log
                assert monotonic_s() < deadline, log
                await asyncio.sleep(0.05)

    def context(self, name: str) -> ssl.SSLContext:
        """TLS settings of a client with the certificate ``name``."""
        made = ssl.create_default_context(cafile=str(self.authority.file))
        made.load_cert_chain(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        return made

    def options(self, name: str, first: int) -> list[str]:
        """The options with which a command of the centre connects as ``name``; it tries node ``first`` before the
        others.
        """
        at = [*self.ports[first:], *self.ports[:first]]
        files = [("--ca", self.authority.file), ("--cert", self.directory / f"{name}.pem")]
        files += [("--cert-key", self.directory / f"{name}.key")]
        also = [word for port in at[1:] for word in ("--also", f"127.0.0.1:{port}")]
        return [f"mqtts://127.0.0.1:{at[0]}?protocol=3.1.1", *also, *(str(w) for pair in files for w in pair)]

    def _write(self, node: int) -> None:
        folder = self._folders[node]
        folder.mkdir()
        shutil.copy(SHIPPED / f"nats-city-{node + 1}.conf", folder)
        common = (SHIPPED / "nats-common.conf").read_text()
        for before, after in (
            ("127.0.0.1:4222", f"127.0.0.1:{self._clients[node]}"),
            ("127.0.0.1:8222", f"127.0.0.1:{self._healths[node]}"),
            ("0.0.0.0:6222", f"127.0.0.1:{self._routes[node]}"),
            ("0.0.0.0:8883", f"127.0.0.1:{self.ports[node]}"),
            ("/var/lib/nats", str(folder / "store")),
            ("/etc/nats/certs", str(self.directory)),
            ("max_file_store: 20GB", "max_file_store: 1GB"),
            *((f"city-{n + 1}.example:6222", f"127.0.0.1:{port}") for n, port in enumerate(self._routes)),
        ):
            assert before in common, before
            common = common.replace(before, after)
        if self._nodes == 1:
            common, copies = (
                common.replace("stream_replicas: 3", "stream_replicas: 1"),
                common.count("stream_replicas: 3"),
            )
            common, others = re.subn(r"\ncluster \{.*?\n\}\n", "\n", common, flags=re.DOTALL)
            assert (copies, others) == (1, 1)
        (folder / "nats-common.conf").write_text(common)
        users = (SHIPPED / "nats-users.conf").read_text()
        wires = f'{{ user: "CN={WIRES}", allowed_connection_types: ["MQTT"] }}\n'
        (folder / "nats-users.conf").write_text(users.replace("users: [\n", f"users: [\n    {wires}"))


async def _healthy(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
        answer = await reader.read()
    except OSError:
        return False
    writer.close()
    return answer.startswith(b"HTTP/1.0 200")


@asynccontextmanager
async def nats_city(directory: Path, nodes: int = NODES) -> AsyncIterator[NatsCluster]:
    """Start a cluster of ``nodes`` nodes, which may not have found each other yet (see ``healthy``)."""
    if shutil.which("nats-server") is None:
        lacking("nats-server is not installed (apt-get install nats-server)")
    cluster = NatsCluster(directory, nodes)
    try:
        for node in range(nodes):
            await cluster.start(node)
        yield cluster
    finally:
        await cluster.stop()
