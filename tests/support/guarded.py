"""A small hall with the shipped broker configuration: every client has a certificate, and may publish only under its
own name.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiomqtt

from devices.modbus_relay.fake import FakeRelay, FakeTcp
from edged.clock import monotonic_s
from tests.support.authorities import Authority
from tests.support.brokers import Mosquitto, real_mosquitto
from tests.support.daemons import Daemon, Hall

CONFIGS = Path(__file__).parents[2] / "configs" / "mosquitto"


@dataclass
class Guarded:
    """A hall whose broker requires client certificates: its files, daemon, broker, certificate authority and relay
    module.
    """

    files: Hall
    daemon: Daemon
    authority: Authority
    broker: Mosquitto
    relay: FakeRelay

    @asynccontextmanager
    async def speaking_as(
        self, name: str, authority: Authority | None = None
    ) -> AsyncIterator[aiomqtt.Client]:
        """Connect a client with a new certificate for ``name``, signed by ``authority`` (None: the hall's)."""
        context = ssl.create_default_context(cafile=str(self.authority.file))
        context.load_cert_chain(*(authority or self.authority).issue(name))
        async with aiomqtt.Client(
            "127.0.0.1", self.broker.port, identifier=f"{name}-1", tls_context=context, timeout=math.inf
        ) as client:
            yield client


@asynccontextmanager
async def guarded_hall(
    tmp_path: Path, broker_days: int = 60, own_days: int = 60, broker_begins_days: int = -60
) -> AsyncIterator[Guarded]:
    """Set up a guarded hall; its daemon is not started yet. The certificates of the broker and of the daemon are valid
    for ``broker_days`` and ``own_days``, the broker's from ``broker_begins_days`` days from now (negative: since then).
    """
    authority = Authority(tmp_path)
    cert, key = authority.issue("broker", broker_days, broker_begins_days)
    acl = tmp_path / "edged.acl"
    acl.write_text((CONFIGS / "edged.acl").read_text())
    acl.chmod(0o600)
    own = tmp_path / "broker-ca.pem"  # the broker's copy: what becomes of the daemon's is no matter to it
    own.write_bytes(authority.file.read_bytes())
    places = {
        "cafile": own,
        "certfile": cert,
        "keyfile": key,
        "crlfile": authority.revoke(),
        "acl_file": acl,
        "persistence": "false",
    }
    lines = [
        f"{line.split()[0]} {places.get(line.split()[0], line.partition(' ')[2])}"
        for line in (CONFIGS / "edged.conf").read_text().splitlines()
        if line and not line.startswith(("#", "listener"))
    ]
    relay = FakeRelay(monotonic_s)
    module = FakeTcp([relay])
    async with real_mosquitto(*lines) as broker:
        files = Hall(tmp_path, broker.port, "5", await module.start())
        own_cert, own_key = authority.issue("edged", own_days)
        tls = f'ca_file = "{authority.file}", cert_file = "{own_cert}", key_file = "{own_key}"'
        files.edit("keepalive_s = 3", f"keepalive_s = 3\ntls = {{ {tls} }}")
        daemon = Daemon(files)
        try:
            yield Guarded(files, daemon, authority, broker, relay)
        finally:
            await daemon.kill()
            daemon.close()
            await module.stop()
