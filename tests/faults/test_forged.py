"""The shipped broker configuration with certificates: who may say what, and what happens without a good one."""

from __future__ import annotations

import asyncio
import json
import math
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest

from tests.support.authorities import Authority
from tests.support.brokers import until
from tests.support.daemon_checks import TIDE, identical
from tests.support.guarded import Guarded, guarded_hall


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    async with guarded_hall(tmp_path) as one:
        yield one


async def ticket(client: aiomqtt.Client, seq: int, device: str = "dispenser") -> None:
    body = {"seq": seq, "number": f"A{seq:03d}", "service": "tax-general"}
    await client.publish(f"hall/east/dev/{device}/up/ticket", json.dumps(body), qos=1)


async def press(client: aiomqtt.Client, panel: str, seq: int, key: str, arg: str | None = None) -> None:
    body = {"seq": seq, "key": key} | ({} if arg is None else {"arg": arg})
    await client.publish(f"hall/east/dev/{panel}/up/key", json.dumps(body), qos=1)


async def test_a_device_speaks_for_itself_alone_and_a_stranger_not_at_all(
    guarded: Guarded, tmp_path: Path
) -> None:
    files, daemon = guarded.files, guarded.daemon
    await daemon.start()
    async with guarded.speaking_as("dispenser") as dispenser:
        await ticket(dispenser, 1)
        await press(dispenser, "panel-w1", 1, "next")
        await dispenser.publish("hall/east/policy/push", b"{}", qos=1)
        await dispenser.publish("hall/east/ops/open", b"{}", qos=1)
        await ticket(dispenser, 2)
        await until(lambda: len(files.tickets()) == 2)
    assert files.notes()["ticket.called"] == files.notes()["ignored"] == 0, "nobody pressed a key"
    (tmp_path / "foreign").mkdir()
    for stranger in (Authority(tmp_path / "foreign"), None):
        context = ssl.create_default_context(cafile=str(guarded.authority.file))
        if stranger is not None:
            context.load_cert_chain(*stranger.issue("panel-w1"))
        with pytest.raises((aiomqtt.MqttError, TimeoutError)):  # TLS 1.3 says no after the handshake
            async with (
                asyncio.timeout(2),
                aiomqtt.Client(
                    "127.0.0.1", guarded.broker.port, tls_context=context, timeout=math.inf
                ) as client,
            ):
                await client.subscribe("hall/#")
    async with guarded.speaking_as("panel-w1") as panel:
        await press(panel, "panel-w1", 1, "next")
        await until(lambda: files.notes()["ticket.called"] == 1)
        await press(panel, "panel-w1", 1, "next")  # its own, recorded and sent again
        await press(panel, "panel-w1", 2, "recall")
        await until(lambda: files.notes()["ticket.recalled"] == 1)
    assert await daemon.stop() == 0
    assert files.notes()["policy.refused"] == files.notes()["document.rejected"] == 0
    assert files.notes()["ticket.called"] == 1
    assert files.numbers() == ["A001", "A002"]
    identical(files)


async def test_without_a_good_certificate_the_wires_are_served(guarded: Guarded) -> None:
    """The lamp of an open "+1" window is right again after a restart with an ended certificate, with none, without key
    and without authority; each may come late."""
    files, daemon = guarded.files, guarded.daemon
    await daemon.start()
    async with guarded.speaking_as("dispenser") as dispenser, guarded.speaking_as("panel-w2") as panel:
        for number in range(1, TIDE + 1):
            await ticket(dispenser, number)
        await until(lambda: files.notes()["tidal.requested"] == 1)
        await press(panel, "panel-w2", 1, "login", "chen")
        await until(lambda: guarded.relay.seen(1) == "on")
    assert await daemon.stop() == 0
    cert, _ = guarded.authority.issue("edged", days=-1)
    for missing in (False, True):
        if missing:
            cert.unlink()
        guarded.relay.power_cycle()
        down = len(daemon.logged("link-down"))
        await daemon.restart()
        await until(lambda: guarded.relay.seen(1) == "on")
        await until(lambda: len(daemon.logged("link-down")) == down + 1)
        assert json.loads((await asyncio.to_thread(files.get, "/healthz"))[1])["mqtt_connected"] is False
        assert "no CONNACK" not in daemon.logged("link-down")[-1]["reason"], "it was waited for"
        alarm = "certificate-unreadable" if missing else "certificate-ends"
        await until(lambda: daemon.logged(alarm) != [])
        if not missing:
            assert await daemon.stop() == 0
    (ended,) = daemon.logged("certificate-ends")
    assert ended["file"] == str(cert)
    assert ended["days"] < 0
    up = len(daemon.logged("link-up"))
    _, key = guarded.authority.issue("edged")
    await until(lambda: len(daemon.logged("link-up")) == up + 1, 40.0)
    for file in (key, guarded.authority.file):
        assert await daemon.stop() == 0
        content = file.read_bytes()
        file.unlink()
        guarded.relay.power_cycle()
        await daemon.restart()
        await until(lambda: guarded.relay.seen(1) == "on")
        await until(lambda: daemon.logged("file-unusable")[-1:] != [])
        assert daemon.logged("file-unusable")[-1]["file"] == str(file)
        up = len(daemon.logged("link-up"))
        file.write_bytes(content)
        await until(lambda: len(daemon.logged("link-up")) == up + 1)
    assert await daemon.stop() == 0
    identical(files)
