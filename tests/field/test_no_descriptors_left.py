"""A process that may open nothing more (EMFILE) loses no link for good: each is tried again and comes back by itself.

A brother of wires that are away: a full disk, a refused connection and a missing port were survived, and this is met by
whatever opens something. What is open already goes on.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from tempfile import TemporaryDirectory

import pytest

from edged.links import ByteLink
from edged.links.mqtt.link import MqttLink
from edged.links.serial import SerialLink
from edged.links.tcp import TcpByteLink
from edged.sim.broker import free_port
from tests.links.test_serial_link import WireObserver
from tests.support.brokers import Rejections, real_mosquitto, running, settings_for, until

WORDS = os.strerror(24)  # EMFILE


@contextmanager
def nothing_can_be_opened() -> Iterator[None]:
    """Limit this process to the descriptors of standard input, output and errors, which are taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_the_broker_link_recovers_once_descriptors_are_available() -> None:
    async with real_mosquitto() as broker:
        link = MqttLink(settings_for(broker), Rejections())
        async with running(link):
            with nothing_can_be_opened():
                assert link.connection is not None
                link.connection.fail("closed", "cut")
                await until(lambda: WORDS in link.reason)
            await until(lambda: link.connected)


async def over_tcp(stack: AsyncExitStack) -> tuple[ByteLink, Callable[[], None]]:
    """Return a link to a server here, and what cuts its connection."""
    ends: list[asyncio.StreamWriter] = []

    async def taken(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(writer)

    port = free_port()
    await stack.enter_async_context(await asyncio.start_server(taken, "127.0.0.1", port))

    def hang_up() -> None:  # since Python 3.12 a server's end waits for its connections
        for end in ends:
            end.close()

    stack.callback(hang_up)
    return TcpByteLink("127.0.0.1", port), lambda: ends[-1].transport.abort()


async def over_a_pty(stack: AsyncExitStack) -> tuple[ByteLink, Callable[[], None]]:
    """A link to a port whose adapter can be unplugged: a name that leads to a pty, and then to another one."""
    ports = [os.openpty() for _ in range(2)]
    name = os.path.join(stack.enter_context(TemporaryDirectory()), "port")
    for end in ports[1]:
        stack.callback(os.close, end)
    os.symlink(os.ttyname(ports[0][1]), name)

    def unplug() -> None:
        os.unlink(name)
        os.symlink(os.ttyname(ports[1][1]), name)
        os.close(ports[0][1])
        os.close(ports[0][0])

    return SerialLink(name, baudrate=9600), unplug


@pytest.mark.parametrize("over", [over_tcp, over_a_pty])
async def test_a_wire_recovers_once_descriptors_are_available(
    over: Callable[[AsyncExitStack], Awaitable[tuple[ByteLink, Callable[[], None]]]],
) -> None:
    observer = WireObserver()
    async with AsyncExitStack() as stack:
        link, cut = await over(stack)
        task = asyncio.get_running_loop().create_task(link.run(observer.receive, observer.state_changed))
        stack.callback(task.cancel)
        await until(lambda: observer.states[-1:] == [True])
        with nothing_can_be_opened():
            cut()
            await until(lambda: any(WORDS in reason for reason in observer.reasons))
        await until(lambda: observer.states[-1] is True)
        assert not task.done()
