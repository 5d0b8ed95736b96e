"""The shipped files of hall broker, bridge and city broker, as they are but for paths and ports, on real mosquittos."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiomqtt

from edged.sim.broker import free_port
from edged.sim.city.line import CityLine
from tests.support.authorities import Authority
from tests.support.brokers import Mosquitto, real_mosquitto

SHIPPED = Path(__file__).parents[2] / "configs" / "mosquitto"


PASSWORD = "city"


class City(NamedTuple):
    """``hall`` is the hall's broker with the bridge in it; ``line`` lies between it and ``city``.

    ``hall.port`` is open; ``city.port`` takes the names ``operator`` and ``centre`` with ``PASSWORD``, beside the
    shipped listeners with their certificates (``halls_port``, of ``directory``).
    """

    hall: Mosquitto
    city: Mosquitto
    line: CityLine
    halls_port: int
    directory: Path


@asynccontextmanager
async def bridged(directory: Path, *hall_lines: str) -> AsyncIterator[City]:
    """Hall "east" behind its bridge. The first of the city's addresses is one where nobody is."""
    authority = Authority(directory, "city-ca")
    authority.revoke().rename(directory / "city-crl.pem")
    for name in ("city-broker", "east", "west"):
        authority.issue(name)
    passwords = directory / "passwords"
    passwords.write_text("".join(f"{name}:{_hashed(PASSWORD)}\n" for name in ("operator", "centre")))
    async with AsyncExitStack() as stack:
        halls, own = free_port(), free_port()
        lines = [
            line.replace("listener 8883", f"listener {halls} 127.0.0.1").replace(
                "listener 8884", f"listener {own} 127.0.0.1"
            )
            for line in _lines("city.conf", directory)
        ]
        own_files = [f"password_file {passwords}", f"persistence_location {directory}/"]
        city = await stack.enter_async_context(real_mosquitto(*lines, *own_files))
        line = await stack.enter_async_context(CityLine(halls))
        bridge = bridge_lines(directory, line)
        hall = await stack.enter_async_context(real_mosquitto(*hall_lines, *bridge))
        yield City(hall, city, line, halls, directory)


def bridge_lines(directory: Path, line: CityLine) -> list[str]:
    """The shipped bridge over ``line``, with certificates of ``directory``; nobody is at the first of its addresses."""
    bridge = "\n".join(_lines("bridge.conf", directory))
    bridge = re.sub(r"addresses .*", f"addresses 127.0.0.1:{free_port()} 127.0.0.1:{line.port}", bridge)
    bridge = bridge.replace("east-bridge", "east").replace("restart_timeout 2 30", "restart_timeout 1 2")
    return bridge.splitlines()


def at_city(city: City, name: str) -> aiomqtt.Client:
    """A program of the centre."""
    port = city.city.port
    return aiomqtt.Client("127.0.0.1", port, username=name, password=PASSWORD, timeout=math.inf)


def _hashed(password: str) -> str:
    """As mosquitto_passwd writes it."""
    salt = b"0123456789ab"
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return "$7$101${}${}".format(*(base64.b64encode(part).decode() for part in (salt, made)))


def _lines(name: str, directory: Path) -> list[str]:
    """The settings of a shipped file, with their files in ``directory``."""
    text = (SHIPPED / name).read_text().replace("/etc/mosquitto/certs", str(directory))
    text = text.replace("/etc/mosquitto", str(SHIPPED))
    return [line for line in text.splitlines() if line and not line.startswith("#")]
