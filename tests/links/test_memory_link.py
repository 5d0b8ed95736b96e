"""The memory wire and its seeded faults; the TCP wire against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.clock import monotonic_s
from edged.core.model.losses import Loss
from edged.driver import Unreachable
from edged.links import ByteLink
from edged.links.memory import PENDING_BYTES_MAX, Mangler, MemoryLink, WireFaults
from edged.links.tcp import TcpByteLink

DEADLINE_S = 5.0


class PieceObserver:
    """Collects the pieces of bytes and the connection states that a link reports."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.states: list[tuple[bool, str]] = []

    def receive(self, data: bytes) -> None:
        self.pieces.append(data)

    def state_changed(self, up: bool, why: Loss) -> None:
        self.states.append((up, why.detail))

    @property
    def bytes(self) -> bytes:
        return b"".join(self.pieces)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until ``condition`` holds; after ``DEADLINE_S`` fail with the text ``what``."""
    deadline_s = monotonic_s() + DEADLINE_S
    while not condition():
        assert monotonic_s() < deadline_s, what
        await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def running(*lives: tuple[ByteLink, PieceObserver]) -> AsyncIterator[None]:
    """Run each link with its observer while the context is open."""
    async with asyncio.TaskGroup() as tasks:
        started = [
            tasks.create_task(wire.run(observer.receive, observer.state_changed)) for wire, observer in lives
        ]
        await asyncio.sleep(0)
        try:
            yield
        finally:
            for task in started:
                task.cancel()


async def test_a_memory_wire_without_faults_carries_every_byte_both_ways() -> None:
    (one, two), here, there = MemoryLink.pair(), PieceObserver(), PieceObserver()
    async with running((one, here), (two, there)):
        await one.write(b"ping")
        await two.write(b"pong")
        await until(lambda: (here.bytes, there.bytes) == (b"pong", b"ping"), "bytes were lost")
    assert here.states == [(True, "open")]
    assert (one.sent, one.received) == (4, 4)


async def test_delayed_pieces_of_a_memory_wire_keep_their_order() -> None:
    faults = WireFaults(split=1.0, delay_max_s=0.02)
    (one, two), there = MemoryLink.pair(seed=7, there=faults), PieceObserver()
    wanted = b"".join(bytes((n,)) * 9 for n in range(60))
    async with running((one, PieceObserver()), (two, there)):
        for at in range(0, len(wanted), 9):
            await one.write(wanted[at : at + 9])
        await until(lambda: len(there.bytes) == len(wanted), "bytes were lost")
    assert there.bytes == wanted
    assert len(there.pieces) > 60


@pytest.mark.parametrize(
    ("faults", "check"),
    [
        (WireFaults(lose=0.3), lambda n: 600 < n < 800),
        (WireFaults(duplicate=0.3), lambda n: 1200 < n < 1400),
        (WireFaults(lose_byte=0.3), lambda n: 600 < n < 800),
        (WireFaults(insert_byte=0.3), lambda n: 1200 < n < 1400),
        (WireFaults(flip_byte=0.3), lambda n: n == 1000),
    ],
)
def test_wire_faults_have_the_wanted_frequency_and_repeat_by_seed(
    faults: WireFaults, check: Callable[[int], bool]
) -> None:
    runs = []
    for seed in (1, 1, 2):
        mangler = Mangler(faults, seed)
        runs.append([piece for _ in range(1000) for _, piece in mangler.pieces(b"\x55")])
    assert check(len(b"".join(runs[0])))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_flipped_byte_differs_in_exactly_one_bit() -> None:
    [(_, piece)] = Mangler(WireFaults(flip_byte=1.0), 3).pieces(bytes(100))
    assert all(byte.bit_count() == 1 for byte in piece)


@given(st.binary(max_size=40), st.integers(0, 999))
def test_splitting_a_write_into_pieces_loses_no_byte(data: bytes, seed: int) -> None:
    pieces = Mangler(WireFaults(split=1.0), seed).pieces(data)
    assert b"".join(piece for _, piece in pieces) == data
    assert all(piece for _, piece in pieces)
    assert len(pieces) >= min(len(data), 2)


async def test_a_cut_wire_disconnects_both_ends_and_drops_bytes_under_way() -> None:
    (one, two), here, there = (
        MemoryLink.pair(there=WireFaults(delay_min_s=0.05, delay_max_s=0.05)),
        PieceObserver(),
        PieceObserver(),
    )
    async with running((one, here), (two, there)):
        await one.write(b"lost")
        one.cut("unplugged")
        one.cut("again")
        with pytest.raises(Unreachable, match="unplugged"):
            await two.write(b"x")
        two.mend()
        await one.write(b"kept")
        await until(lambda: there.bytes == b"kept", "the mended wire is deaf")
        one.reopen(Loss("no-answer", "silent"))
    assert here.states == [
        (True, "open"),
        (False, "unplugged"),
        (True, "open"),
        (False, "silent"),
        (True, "open"),
    ]
    assert there.states == [(True, "open"), (False, "unplugged"), (True, "open")]


async def test_a_memory_wire_refuses_writes_before_it_runs_and_beyond_its_capacity() -> None:
    one, two = MemoryLink.pair(there=WireFaults(delay_min_s=60.0, delay_max_s=60.0))
    with pytest.raises(Unreachable, match="not opened"):
        await one.write(b"x")
    async with running((one, PieceObserver()), (two, PieceObserver())):
        await one.write(bytes(PENDING_BYTES_MAX))
        with pytest.raises(Unreachable, match="full"):
            await one.write(b"x")


async def test_a_tcp_wire_reconnects_without_nagle() -> None:
    heard: list[bytes] = []
    calls: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(writer)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1000):
                heard.append(data)
                writer.write(data.upper())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link, here = TcpByteLink("127.0.0.1", port, jitter=lambda: 0.0), PieceObserver()
    async with running((link, here)):
        await until(lambda: link.connected, "not connected")
        assert link._transport is not None
        assert link._transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await link.write(b"ping")
        await until(lambda: here.bytes == b"PING", "no answer")
        calls[0].transport.abort()
        await until(lambda: [up for up, _ in here.states] == [True, False, True], "not reconnected")
        await link.write(b"again")
        await until(lambda: here.bytes == b"PINGAGAIN", "no answer after reconnecting")
    server.close()


async def test_a_closed_tcp_port_is_reported_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        link, here = TcpByteLink("127.0.0.1", taken.getsockname()[1], jitter=lambda: 0.0), PieceObserver()
        async with running((link, here)):
            await until(lambda: bool(here.states), "no failure was told")
            await asyncio.sleep(0.3)
            with pytest.raises(Unreachable):
                await link.write(b"x")
    assert [up for up, _ in here.states] == [False]
