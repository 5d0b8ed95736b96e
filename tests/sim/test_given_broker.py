"""``edged demo --broker``: what is wrong with the broker that was named is told in words, and holds nobody up."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from edged.sim import given_broker
from edged.sim.broker import free_port
from tests.support.authorities import Authority
from tests.support.brokers import real_mosquitto


async def said_of(place: str, authority: Path | None = None) -> str:
    with pytest.raises(RuntimeError) as failed:
        await given_broker.check(given_broker.read(place, authority))
    return str(failed.value)


@contextmanager
def silent_port(full: bool = False) -> Iterator[int]:
    """A port that takes connections and says nothing; ``full``: its backlog is, so that it does not even take them."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0 if full else 5)
        for _ in range(3 if full else 0):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given_broker, "ANSWER_REAL_S", 1.0)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("scheme", "full", "words"),
    [
        ("mqtt", True, "no answer within"),
        ("mqtt", False, "does not speak MQTT"),
        ("mqtts", False, "no answer within"),
    ],
)
async def test_a_host_that_is_silent_holds_no_thread(
    tmp_path: Path, scheme: str, full: bool, words: str
) -> None:
    with silent_port(full) as port:
        assert words in await said_of(f"{scheme}://127.0.0.1:{port}", Authority(tmp_path).file)
    # the library connects in a thread of the event loop, which the end of a process waits for
    if scheme == "mqtts" or full:
        assert not [one for one in threading.enumerate() if one.name.startswith("asyncio")]


@pytest.mark.usefixtures("hasty")
async def test_a_resolver_that_hangs_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        release.wait()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        assert "no answer within" in await said_of("mqtt://broker.example")
        assert not [one for one in threading.enumerate() if one.name.startswith("asyncio")]
    finally:
        release.set()


async def test_each_fault_has_its_words(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    cert, key = authority.issue("broker")
    people = tmp_path / "passwords"
    words = ("mosquitto_passwd", "-b", "-c", str(people), "hall", "right")
    assert await (await asyncio.create_subprocess_exec(*words)).wait() == 0
    guarded = ("allow_anonymous false", f"password_file {people}")
    async with (
        real_mosquitto(f"certfile {cert}", f"keyfile {key}") as secure,
        real_mosquitto(*guarded) as plain,
    ):
        assert "write mqtt://" in await said_of(f"mqtts://127.0.0.1:{plain.port}", authority.file)
        assert "--broker-ca" in await said_of(f"mqtts://127.0.0.1:{secure.port}", Authority(stranger).file)
        wrong = await said_of(f"mqtt://hall:s3cret@127.0.0.1:{plain.port}")
        assert "refuses this user and password" in wrong
        assert "s3cret" not in wrong
        await given_broker.check(given_broker.read(f"mqtt://hall:right@127.0.0.1:{plain.port}", None))
        await given_broker.check(given_broker.read(f"mqtts://127.0.0.1:{secure.port}", authority.file))
    assert "nobody listens" in await said_of(f"mqtt://127.0.0.1:{free_port()}")
    assert "has no address" in await said_of(f"mqtt://{'a' * 70}.example")


@pytest.mark.usefixtures("hasty")
async def test_a_plain_address_of_a_port_with_tls_is_told_to_say_mqtts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = Authority(tmp_path).issue("broker")
    async with real_mosquitto(f"certfile {cert}", f"keyfile {key}") as secure:
        assert "mqtts://" in await said_of(f"mqtt://127.0.0.1:{secure.port}")
    assert not caplog.records
