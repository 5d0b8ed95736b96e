"""A pty pair as a port that is there, pulled, and read by nobody: the device's end never waits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edged.links.pty import UNREAD_MAX, Pty

FULL = 4 * UNREAD_MAX  # more than the kernel and the port's own buffer hold
pytestmark = pytest.mark.timeout(20)  # a write that waits for the other end would wait for ever


def plugged(port: Pty) -> None:
    port.plug()


def plugged_again(port: Pty) -> None:
    port.plug()
    port.replug()


@pytest.mark.parametrize("begin", [plugged, plugged_again])
async def test_a_simulated_device_never_blocks_when_the_program_does_not_read(
    begin: Callable[[Pty], None], tmp_path: Path
) -> None:
    port = Pty(tmp_path / "port")
    begin(port)
    sent = bytes(n % 251 for n in range(FULL))
    for start in range(0, FULL, 1024):
        port.send(sent[start : start + 1024])
    assert 0 < port.lost < FULL
    assert UNREAD_MAX - 1024 < port.unread <= FULL - port.lost
    program = os.open(port.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    read = bytearray()
    while len(read) < FULL - port.lost:
        await asyncio.sleep(0)
        try:
            read += os.read(program, 4096)
        except BlockingIOError:
            await asyncio.sleep(0.001)
    os.close(program)
    assert read == sent[: len(read)], "what was kept is the first of it, in order"
    assert port.unread == 0
    port.close()


async def test_bytes_sent_before_a_replug_are_not_delivered_after_it(tmp_path: Path) -> None:
    port = Pty(tmp_path / "port")
    port.plug()
    for _ in range(20):
        port.send(b"x" * 1000)
    port.replug()
    assert port.unread == 0
    port.close()
    assert not port.plugged
    assert port.place.name not in os.listdir(tmp_path)
    port.send(b"into the air")
    assert (port.unread, port.lost) == (0, 0)


async def test_the_device_end_of_a_pty_receives_written_bytes_and_plug_changes(
    tmp_path: Path,
) -> None:
    port, received, states = Pty(tmp_path / "port"), bytearray(), list[bool]()
    end = asyncio.create_task(port.run(received.extend, lambda up, _: states.append(up)))
    await asyncio.sleep(0)
    name = port.plug()
    assert os.readlink(port.path) == name
    program = os.open(port.path, os.O_RDWR | os.O_NOCTTY)
    os.write(program, b"\r\n\x03")  # raw: no echo, no line, no interrupt
    async with asyncio.timeout(5):
        while len(received) < 3:
            await asyncio.sleep(0.001)
    os.close(program)
    assert bytes(received) == b"\r\n\x03"
    assert port.unread == 0
    assert port.replug() != name
    port.unplug()
    assert states == [False, True, False, True, False]
    end.cancel()
    port.close()
