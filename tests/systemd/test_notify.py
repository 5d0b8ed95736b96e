"""sd_notify over real datagram sockets, path and abstract, and the watchdog that stops with a heartbeat."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from edged import clock
from edged.clock import monotonic_s
from edged.daemon.service_manager import STATUS_MAX_CHARS, ServiceManager

DEADLINE_S = 5.0


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A service manager's end, and the NOTIFY_SOCKET that leads to it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@edged-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
        wire.bind("\0" + name[1:] if name.startswith("@") else name)
        wire.settimeout(DEADLINE_S)
        yield wire, name


def test_each_state_is_one_datagram_of_the_protocol(manager: tuple[socket.socket, str]) -> None:
    wire, name = manager
    service = ServiceManager({"NOTIFY_SOCKET": name})
    service.ready("3 areas,\n12 windows")
    service.status("x" * 1000)
    service.ping()
    service.stopping()
    assert wire.recv(4096) == b"READY=1\nSTATUS=3 areas, 12 windows"
    assert wire.recv(4096) == b"STATUS=" + b"x" * STATUS_MAX_CHARS
    assert wire.recv(4096) == b"WATCHDOG=1"
    assert wire.recv(4096) == b"STOPPING=1"


def test_a_start_that_gets_on_asks_for_more_time_and_not_too_often(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wire, name = manager
    now_s = [100.0]
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s[0])
    service = ServiceManager({"NOTIFY_SOCKET": name})
    for _ in range(1_000):  # 25 s
        now_s[0] += 0.025
        service.alive()
    service.ready()
    datagrams = [wire.recv(4096) for _ in range(6)]
    assert datagrams[-1] == b"READY=1"
    assert all(one.startswith(b"EXTEND_TIMEOUT_USEC=30000000\n") for one in datagrams[:-1])


def quick_watchdog(manager: tuple[socket.socket, str]) -> tuple[socket.socket, ServiceManager]:
    """Give the manager's socket, non-blocking, and a client whose watchdog interval is 40 ms."""
    wire, name = manager
    wire.setblocking(False)
    return wire, ServiceManager({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "40000"})


async def test_the_watchdog_is_fed_while_all_hearts_beat_and_starved_when_one_stops(
    manager: tuple[socket.socket, str],
) -> None:
    wire, service = quick_watchdog(manager)
    loop = asyncio.get_running_loop()
    assert service.watchdog_s == 0.04
    beats = {"writer": monotonic_s()}
    promised_s = monotonic_s() + 60  # whoever waits says for how long

    def heartbeats() -> dict[str, float]:
        return {"steady": monotonic_s(), "waiting": promised_s, **beats}

    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        watch = group.create_task(service.watch(heartbeats, limit_s=0.1))
        assert await loop.sock_recv(wire, 4096) == b"WATCHDOG=1"
        beats["writer"] = monotonic_s()
        assert await loop.sock_recv(wire, 4096) == b"WATCHDOG=1"
        while (datagram := await loop.sock_recv(wire, 4096)) == b"WATCHDOG=1":
            pass
        assert datagram == b"STATUS=no heartbeat: writer"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(service.watchdog_s * 3):
                await loop.sock_recv(wire, 4096)
        beats["writer"] = monotonic_s()
        assert await loop.sock_recv(wire, 4096) == b"WATCHDOG=1"
        watch.cancel()


async def test_a_process_that_stood_still_is_fed_at_once_and_a_heart_that_stopped_is_still_found(
    manager: tuple[socket.socket, str],
) -> None:
    """As after SIGSTOP, or a machine that was suspended: every heartbeat is late, by as much as the look at them."""
    wire, service = quick_watchdog(manager)
    loop = asyncio.get_running_loop()
    beaten_s = monotonic_s()
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        watch = group.create_task(service.watch(lambda: {"part": beaten_s}, limit_s=0.2))
        assert await loop.sock_recv(wire, 4096) == b"WATCHDOG=1"
        time.sleep(0.5)  # noqa: ASYNC251 (that is what is tested)
        drained(wire)
        assert await loop.sock_recv(wire, 4096) == b"WATCHDOG=1"
        while (datagram := await loop.sock_recv(wire, 4096)) == b"WATCHDOG=1":
            pass
        assert datagram == b"STATUS=no heartbeat: part"
        watch.cancel()


def drained(wire: socket.socket) -> None:
    """Discard every datagram that already waits on the socket."""
    with suppress(BlockingIOError):
        while True:
            wire.recv(4096)


def test_a_blocked_loop_starves_the_watchdog(manager: tuple[socket.socket, str]) -> None:
    wire, name = manager
    code = "\n".join(
        [
            "import asyncio, time",
            "from edged.daemon.service_manager import ServiceManager",
            "async def main():",
            "    async with asyncio.TaskGroup() as group:",
            "        group.create_task(ServiceManager().watch(dict))",
            "        await asyncio.sleep(0.1)",
            "        time.sleep(60)",
            "asyncio.run(main())",
        ]
    )
    environ = {**os.environ, "NOTIFY_SOCKET": name, "WATCHDOG_USEC": "100000"}
    environ.pop("WATCHDOG_PID", None)
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", code], environ)
    try:
        assert wire.recv(4096) == b"WATCHDOG=1"
        wire.settimeout(0.5)
        with pytest.raises(TimeoutError):
            _drain(wire, at_most=100)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


@pytest.mark.parametrize(
    ("environ", "expected_s"),
    [
        ({"WATCHDOG_USEC": "10000000"}, 10.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}, 10.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "１０"}, None),
        ({}, None),
    ],
)
def test_the_interval_is_taken_where_it_is_meant_for_us(
    environ: dict[str, str], expected_s: float | None
) -> None:
    assert ServiceManager({"NOTIFY_SOCKET": "@nobody", **environ}).watchdog_s == expected_s


async def test_without_a_manager_nothing_happens() -> None:
    service = ServiceManager({"WATCHDOG_USEC": "1000"})
    service.ready()
    service.stopping()
    async with asyncio.timeout(DEADLINE_S):
        await service.watch(lambda: {"loop": monotonic_s()})
    assert service.watchdog_s is None


def test_a_manager_that_went_away_does_not_hurt(tmp_path: Path) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    service.ready()
    service.ping()
    assert not (tmp_path / "gone").exists()


def test_a_manager_that_does_not_read_does_not_stop_the_hall(manager: tuple[socket.socket, str]) -> None:
    wire, name = manager
    service = ServiceManager({"NOTIFY_SOCKET": name})
    for _ in range(2000):  # far more than net.unix.max_dgram_qlen
        service.ping()
    assert wire.recv(4096) == b"WATCHDOG=1"


def _drain(wire: socket.socket, at_most: int) -> None:
    for _ in range(at_most):
        wire.recv(4096)
