"""Each error of the table in decision 0031 costs a line or a try, never a link or the process.

Errors that a test cannot bring about (a machine without memory, a full table of files) are raised where the kernel
would return them.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import pytest

from edged.links import ByteLink
from edged.links.losses import loss_of
from edged.links.mqtt.link import MqttLink
from edged.links.serial import SerialLink
from edged.links.tcp import TcpByteLink
from edged.log_writer import LogWriter
from edged.sim.broker import free_port
from tests.links.test_serial_link import WireObserver
from tests.support.brokers import Rejections, real_mosquitto, settings_for, until

LINE = b'{"event":"test"}\n'
WRITING = (
    "EIO",
    "ENXIO",
    "ENODEV",
    "ENOSPC",
    "EDQUOT",
    "EROFS",
    "EFBIG",
    "EINVAL",
    "EPERM",
    "ENOMEM",
    "ENOBUFS",
)
OPENING = ("EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "EACCES", "EPERM", "EBUSY")


@pytest.mark.parametrize("name", WRITING)
def test_a_log_line_that_meets_an_error_is_counted_and_the_next_is_written(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, (reader, writer), real = getattr(errno, name), os.pipe(), os.write
    failing = [True]

    def write(descriptor: int, data: bytes) -> int:
        if descriptor == writer and failing.pop() if failing else False:
            raise OSError(number, os.strerror(number))
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    out = LogWriter(writer)
    out.put(LINE)
    assert out.drain(10.0)
    assert out.lost == 1
    out.put(LINE)
    assert out.drain(10.0)
    assert LINE in os.read(reader, 65536)
    assert out.lost == 1
    os.close(reader)  # the writing end stays open: a thread may still hold its number


@contextmanager
def opening_fails(number: int, path: str | None) -> Iterator[list[int]]:
    """Let connecting (or opening ``path``) fail with errno ``number``; the list gets one entry for each try."""
    tries: list[int] = []

    def refuse(*_arguments: Any) -> None:
        tries.append(number)
        raise OSError(number, os.strerror(number))

    real = os.open

    def open_(name: Any, *arguments: Any, **named: Any) -> int:
        if name == path:
            refuse()
        return real(name, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        if path is None:
            patch.setattr(socket.socket, "connect", refuse, raising=False)
        else:
            patch.setattr(os, "open", open_)
        yield tries


@pytest.mark.parametrize("name", OPENING)
async def test_the_broker_link_names_an_error_of_opening_and_tries_again(name: str) -> None:
    number = getattr(errno, name)
    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker), Rejections())
        with opening_fails(number, None) as tries:
            task = asyncio.get_running_loop().create_task(link.run())
            await until(lambda: len(tries) >= 2)
            assert not link.connected
            assert os.strerror(number) in link.reason
        await until(lambda: link.connected)
        task.cancel()


async def over_tcp(stack: AsyncExitStack) -> tuple[ByteLink, str | None]:
    port = free_port()
    writers: list[
        asyncio.StreamWriter
    ] = []  # kept: since Python 3.13 one that nobody holds closes its connection
    server = await asyncio.start_server(lambda _reader, writer: writers.append(writer), "127.0.0.1", port)
    await stack.enter_async_context(server)

    def hang_up() -> None:
        for writer in writers:
            writer.close()

    stack.callback(hang_up)
    return TcpByteLink("127.0.0.1", port), None


async def over_a_pty(stack: AsyncExitStack) -> tuple[ByteLink, str | None]:
    near, far = os.openpty()
    for end in (near, far):
        stack.callback(os.close, end)
    return SerialLink(os.ttyname(far), baudrate=9600), os.ttyname(far)


@pytest.mark.parametrize("name", OPENING)
@pytest.mark.parametrize("over", [over_tcp, over_a_pty])
async def test_a_serial_or_tcp_wire_names_an_error_of_opening_and_tries_again(
    over: Callable[[AsyncExitStack], Awaitable[tuple[ByteLink, str | None]]], name: str
) -> None:
    number, observer = getattr(errno, name), WireObserver()
    async with AsyncExitStack() as stack:
        link, path = await over(stack)
        with opening_fails(number, path) as tries:
            task = asyncio.get_running_loop().create_task(link.run(observer.receive, observer.state_changed))
            stack.callback(task.cancel)
            await until(lambda: len(tries) >= 2)
        assert loss_of(OSError(number, os.strerror(number))).detail in " ".join(observer.reasons)
        await until(lambda: observer.states[-1:] == [True])
