"""Runs real mosquittos with the shipped files of hall broker, bridge and city broker; only paths and ports are
replaced.
"""

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
    """Two brokers and the line between them: ``hall`` is the hall's broker, whose bridge connects by ``line`` to
    ``city``, the city's broker.

    ``hall.port`` needs no login. ``city.port`` accepts the users ``operator`` and ``centre`` with ``PASSWORD``. The
    listener of the shipped file, which asks for certificates (they are in ``directory``), is on ``halls_port``.
    """

    hall: Mosquitto
    city: Mosquitto
    line: CityLine
    halls_port: int
    directory: Path


@asynccontextmanager
async def bridged(directory: Path, *hall_lines: str) -> AsyncIterator[City]:
    """Run the broker of hall "east" with its bridge, and the city's broker. The bridge knows two addresses of the city,
    and nothing listens on the first.
    """
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
    """The lines of the shipped bridge file, for a bridge over ``line`` with the certificates in ``directory``. Nothing
    listens on the first of its two addresses.
    """
    bridge = "\n".join(_lines("bridge.conf", directory))
    bridge = re.sub(r"addresses .*", f"addresses 127.0.0.1:{free_port()} 127.0.0.1:{line.port}", bridge)
    bridge = bridge.replace("east-bridge", "east").replace("restart_timeout 2 30", "restart_timeout 1 2")
    return bridge.splitlines()


def at_city(city: City, name: str) -> aiomqtt.Client:
    """A client of the city's broker for a program of the centre, logged in as ``name``."""
    port = city.city.port
    return aiomqtt.Client("127.0.0.1", port, username=name, password=PASSWORD, timeout=math.inf)


def _hashed(password: str) -> str:
    """The hash of a password in the form that mosquitto_passwd writes."""
    salt = b"0123456789ab"
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return "$7$101${}${}".format(*(base64.b64encode(part).decode() for part in (salt, made)))


def _lines(name: str, directory: Path) -> list[str]:
    """The settings in the shipped file ``name``, with paths of certificates changed to ``directory``; comments are left
    out.
    """
    text = (SHIPPED / name).read_text().replace("/etc/mosquitto/certs", str(directory))
    text = text.replace("/etc/mosquitto", str(SHIPPED))
    return [line for line in text.splitlines() if line and not line.startswith("#")]
