"""The HTTP side over real sockets: what it answers, and how it treats clients that do not behave."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from edged.observers.web.doorkeeper import CONNECTIONS_MAX
from edged.observers.web.server import SECURITY_HEADERS, HallHealth, WebServer
from tests.support import host_headers

DEADLINE_S = 5.0
WELL = HallHealth(
    serving=True,
    durable=True,
    mqtt_connected=True,
    devices_lost=(),
    policy_version=3,
    epoch=1,
    seq=42,
    uptime_s=1.5,
)


class Served:
    """A running server and what it reported."""

    def __init__(self, head_timeout_s: float) -> None:
        self.health = WELL
        self.refused: Counter[str] = Counter()
        self.exposition = b"edged_durable 1.0\n"
        self.server = WebServer(
            lambda: self.exposition, lambda: self.health, self._count, head_timeout_s=head_timeout_s
        )

    def _count(self, reason: str) -> None:
        self.refused[reason] += 1

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.server.port)

    async def ask(self, head: str) -> tuple[int, dict[str, str], bytes]:
        reader, writer = await self.connect()
        writer.write(head.replace("\n", "\r\n").encode())
        async with asyncio.timeout(DEADLINE_S):
            answer = await reader.read()
        writer.close()
        top, _, body = answer.partition(b"\r\n\r\n")
        first, *lines = top.decode().split("\r\n")
        headers = {name: text for name, _, text in (line.partition(": ") for line in lines)}
        return int(first.split(" ")[1]), headers, body

    async def get(self, path: str, host: str = "localhost:9464") -> tuple[int, dict[str, str], bytes]:
        return await self.ask(f"GET {path} HTTP/1.1\nHost: {host}\n\n")


@asynccontextmanager
async def served(head_timeout_s: float = DEADLINE_S, names: Sequence[str] = ()) -> AsyncIterator[Served]:
    one = Served(head_timeout_s)
    await one.server.open(port=0, names=names)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(one.server.run())
        await asyncio.sleep(0)
        yield one
        task.cancel()
    one.server.close()


async def test_metrics_are_served_as_text_with_the_security_headers() -> None:
    async with served() as hall:
        status, headers, body = await hall.get("/metrics")
    assert status == 200
    assert body == b"edged_durable 1.0\n"
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert headers["Connection"] == "close"
    assert SECURITY_HEADERS.items() <= headers.items()


@pytest.mark.parametrize(
    ("change", "status", "state"),
    [
        ({}, 200, "ok"),
        ({"mqtt_connected": False}, 200, "degraded"),
        ({"devices_lost": ("led-1",)}, 200, "degraded"),
        ({"durable": False}, 503, "degraded"),
        ({"serving": False}, 503, "degraded"),
    ],
)
async def test_health_is_200_while_calls_are_served_and_kept(
    change: dict[str, object], status: int, state: str
) -> None:
    async with served() as hall:
        hall.health = replace(WELL, **change)  # type: ignore[arg-type]
        got, headers, body = await hall.get("/healthz")
    answer = json.loads(body)
    assert (got, answer["state"]) == (status, state)
    assert headers["Content-Type"].startswith("application/json")
    assert answer["seq"] == 42
    assert set(answer) == {"state", *HallHealth.__dataclass_fields__}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
async def test_only_get_is_answered(method: str) -> None:
    async with served() as hall:
        status, headers, _ = await hall.ask(f"{method} /metrics HTTP/1.1\nHost: localhost\n\n")
    assert (status, headers["Allow"]) == (405, "GET")


async def test_only_our_own_names_are_answered() -> None:
    async with served(names=host_headers.NAMES) as hall:
        port = hall.server.port
        assert port is not None
        for host in host_headers.OURS:
            assert await host_headers.status(port, "/healthz", (host,)) == 200, host
        assert hall.refused["http-host"] == 0
        for host in host_headers.NOT_OURS:
            assert await host_headers.status(port, "/metrics", (host,)) == 421, host
        for hosts in host_headers.SEVERAL:
            assert await host_headers.status(port, "/metrics", hosts) == 421, hosts
        assert hall.refused["http-host"] == len(host_headers.NOT_OURS) + len(host_headers.SEVERAL)


async def test_an_unknown_path_is_404_with_the_security_headers() -> None:
    async with served() as hall:
        status, headers, _ = await hall.get("/api/open-window")
    assert status == 404
    assert SECURITY_HEADERS.items() <= headers.items()


async def test_the_seventeenth_connection_is_ended_and_a_place_comes_free_again() -> None:
    async with served() as hall:
        idle = [await hall.connect() for _ in range(CONNECTIONS_MAX)]
        await _until(lambda: hall.server.doorkeeper.open == CONNECTIONS_MAX)
        reader, writer = await hall.connect()
        async with asyncio.timeout(DEADLINE_S):
            assert await _ended(reader)
        writer.close()
        assert hall.refused["http-full"] == 1
        idle[0][1].close()
        await _until(lambda: hall.server.doorkeeper.open < CONNECTIONS_MAX)
        status, _, _ = await hall.get("/healthz")
        assert status == 200
        for _, held in idle:
            held.close()


async def test_a_head_that_does_not_come_in_time_ends_the_connection() -> None:
    async with served(head_timeout_s=0.1) as hall:
        reader, writer = await hall.connect()
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: loc")  # and no more
        async with asyncio.timeout(DEADLINE_S):
            assert await _ended(reader)
        writer.close()
        assert hall.refused["http-slow"] == 1
        assert (await hall.get("/healthz"))[0] == 200


async def test_a_reader_that_does_not_read_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.observers.web.doorkeeper.ANSWER_TIMEOUT_S", 0.1)
    async with served() as hall:
        hall.exposition = b"x" * 50_000_000  # more than both sockets buffer
        _, writer = await hall.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await _until(lambda: hall.refused["http-slow"] == 1 and hall.server.doorkeeper.open == 0)
        writer.close()
        assert (await hall.get("/healthz"))[0] == 200


@pytest.mark.parametrize(
    "head",
    [
        "GET /" + "a" * 9000 + " HTTP/1.1\nHost: localhost\n\n",
        "\x00\x01\x02\n\n",
        "GET /metrics HTTP/9.9\n\n",
    ],
)
async def test_garbage_is_refused_and_the_next_client_is_served(head: str) -> None:
    async with served() as hall:
        status, _, _ = await hall.ask(head)
        assert status in (400, 421)
        assert (await hall.get("/healthz"))[0] == 200


async def _ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def _until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.005)
