"""Whoever takes what the daemon says may stop taking it: the hall is served, its health answers, SIGTERM ends it.

Known elsewhere: a Python service hangs in ``write(2)`` when its container's log driver stops reading (moby, blocking
delivery is the default of json-file and syslog); journald that was stopped with its sockets leaves services with a dead
stdout; a terminal stopped by Ctrl-S (XOFF) blocks every foreground program. The table is decision 0031.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import pty
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edged.journald import NativeJournal
from edged.log_writer import GONE, WAITING_BYTES_MAX, LogWriter
from tests.support.brokers import Mosquitto, until
from tests.support.daemons import Daemon, Hall, Machines

Parts = tuple[Hall, Daemon, Machines]
PIPE_BYTES = 4096  # the smallest the kernel gives: full after a dozen lines
LINE = b'{"event":"test"}\n'


@contextmanager
def narrow_pipe() -> Iterator[tuple[int, int]]:
    """A pipe that is full at once.

    Its writing end stays open to the end of the run: the thread of a log writer may still hold the number, and would
    write into whatever is given that number next.
    """
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        yield reader, writer
    finally:
        with suppress(OSError):
            os.close(reader)


async def test_a_log_reader_that_stops_reading_blocks_nobody(hall: Parts) -> None:
    files, daemon, machines = hall
    with narrow_pipe() as (_reader, writer):
        daemon.log_to = writer
        await daemon.start()
        for first in range(1, 400, 40):
            machines.tickets(40, first)
        machines.panel.press("login")
        machines.panel.press("next")
        await until(lambda: machines.panel.shown.get("panel", {}).get("number") == "A001")
        status, _ = await asyncio.to_thread(files.get, "/healthz")
        assert status == 200
        assert await files.metric("edged_log_lines_lost_total") >= 0
        assert await daemon.stop() == 0


async def test_with_every_output_stalled_the_event_loop_goes_on(hall: Parts, broker: Mosquitto) -> None:
    """Log, broker, serial line, Modbus module, web client and service manager take nothing more, all at once."""
    files, daemon, machines = hall
    near, far = pty.openpty()
    deaf = socket.create_server(("127.0.0.1", 0))
    text = files.file.read_text().replace(
        f"tcp://127.0.0.1:{machines.relay_server.port}", f"tcp://127.0.0.1:{deaf.getsockname()[1]}"
    )
    card = f'\n[[devices]]\nid = "card"\ndriver = "onbon_bx"\npath = "{os.ttyname(far)}"\nmodel = "6k"\n'
    files.file.write_text(
        text.replace('"screen"]', '"screen", "card"]') + card + "width = 128\nheight = 32\n"
    )
    with narrow_pipe() as (_reader, writer):
        daemon.log_to = writer
        await daemon.start()
        asyncio.get_running_loop().remove_reader(daemon._wire.fileno())
        idle = socket.create_connection(("127.0.0.1", files.web_port))
        idle.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        machines.tickets(60)
        await until(lambda: machines.panel.waiting == 60)
        with broker.frozen():
            await asyncio.sleep(3.0)  # the length of the stall is the case
            status, _ = await asyncio.to_thread(files.get, "/healthz")
            assert status == 200
            assert await daemon.stop() == 0
        idle.close()
    os.close(near)
    os.close(far)
    deaf.close()


# -- one line's way out, for every error that a descriptor has --


def filled(descriptor: int, **options: object) -> LogWriter:
    return LogWriter(descriptor, **options)  # type: ignore[arg-type]


def test_log_lines_that_find_no_room_are_counted_and_the_count_is_logged_later() -> None:
    with narrow_pipe() as (reader, writer):
        out = filled(writer)
        count = WAITING_BYTES_MAX // len(LINE) + 2000
        for _ in range(count):
            out.put(LINE)
        assert 0 < out.lost < count
        text = b""
        while sum(map(int, re.findall(rb'"lost": (\d+)', text))) < out.lost:
            text += os.read(reader, 65536)
        assert sum(map(int, re.findall(rb'"lost": (\d+)', text))) == out.lost


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def closed_terminal() -> int:
    near, far = pty.openpty()
    os.close(near)
    return far


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def read_only() -> int:
    return os.open("/dev/null", os.O_RDONLY)


BROKEN: tuple[tuple[Callable[[], int], int], ...] = (
    (closed_pipe, errno.EPIPE),
    (closed_terminal, errno.EIO),
    (full_disk, errno.ENOSPC),
    (read_only, errno.EBADF),
)


@pytest.mark.parametrize(("make", "number"), BROKEN, ids=[make.__name__ for make, _ in BROKEN])
def test_log_lines_that_cannot_be_written_are_counted(make: Callable[[], int], number: int) -> None:
    descriptor = make()
    with pytest.raises(OSError, match=re.escape(os.strerror(number))):
        os.write(descriptor, LINE)
    out = filled(descriptor)
    for _ in range(3):
        out.put(LINE)
    assert out.drain(5.0)
    assert out.lost == 3
    os.close(descriptor)


def test_log_lines_for_a_non_blocking_descriptor_wait_until_it_is_ready() -> None:
    """Node.js and some shells do that to a terminal they share (EAGAIN)."""
    with narrow_pipe() as (reader, writer):
        os.set_blocking(writer, False)
        out = filled(writer)
        for _ in range(2000):
            out.put(LINE)
        text = b""
        while len(text) < 2000 * len(LINE):
            text += os.read(reader, 65536)
        assert (text, out.lost) == (LINE * 2000, 0)


@pytest.mark.parametrize("number", sorted(GONE), ids=lambda one: errno.errorcode[one])
def test_a_broken_connection_to_journald_is_opened_again(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = socket.socketpair()
    writer = os.dup(near.fileno())
    real, broken = os.write, [True]

    def write(descriptor: int, data: bytes) -> int:
        if descriptor == writer and broken[0]:
            raise OSError(number, os.strerror(number))
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    fresh, reader = socket.socketpair()

    def connect() -> int:
        broken[0] = False
        return os.dup(fresh.fileno())

    out = LogWriter(writer, True, connect)
    out.put(LINE)
    assert out.drain(5.0)
    assert reader.recv(1000) == LINE
    assert out.lost == 0
    for one in (near, far, fresh, reader):
        one.close()
    os.close(writer)


@contextmanager
def native_socket(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """What stands in for journald's socket."""
    place = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(place)
        yield reader, place


def test_a_line_for_journald_carries_its_fields(tmp_path: Path) -> None:
    """An error takes the stream: journald knows the unit of a stream when the process is gone."""
    with narrow_pipe() as (stream, writer), native_socket(tmp_path) as (reader, place):
        out = filled(writer, native=NativeJournal(place))
        out.put(b'<6>{"event": "step"}\n', b"EDGED_WINDOW=w11\nEDGED_WINDOW=w12\n")
        assert reader.recv(4096).decode().splitlines() == [
            *("PRIORITY=6", "SYSLOG_IDENTIFIER=edged", "EDGED_WINDOW=w11", "EDGED_WINDOW=w12"),
            'MESSAGE={"event": "step"}',
        ]
        out.put(b'<3>{"event": "broke"}\n')
        assert os.read(stream, 4096) == b'<3>{"event": "broke"}\n'
        assert out.lost == 0


def test_a_stalled_journald_costs_log_lines_and_its_new_socket_is_found(tmp_path: Path) -> None:
    line = b"<6>" + LINE
    with narrow_pipe() as (stream, writer):
        with native_socket(tmp_path) as (reader, place):
            out = filled(writer, native=NativeJournal(place))
            for _ in range(WAITING_BYTES_MAX // len(line) + 2000):
                out.put(line)
            assert out.lost > 0, "nobody reads, and whoever logs is not held up"
            logged = b""
            while b"log-lines-lost" not in logged:
                logged = reader.recv(65536)
            reader.setblocking(False)
            while not out.drain(0.001):
                with suppress(BlockingIOError):
                    while reader.recv(65536):
                        pass
        os.unlink(place)
        out.put(line)  # no socket is there: it takes the stream
        assert os.read(stream, 65536) == line


async def test_log_lines_carry_the_local_time_of_the_hall(hall: Parts) -> None:
    _files, daemon, _machines = hall
    await daemon.start()
    assert await daemon.stop() == 0
    assert {line["at"][-6:] for line in daemon.log} == {"+08:00"}
    assert daemon.logged("stopped") != [], "the last line of a process is written"
