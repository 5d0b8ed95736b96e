"""A broker that the demo was told to use (``--broker``): where it is, who we are there, and whether it takes us."""

from __future__ import annotations

import asyncio
import json
import math
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiomqtt

ANSWER_REAL_S = 3.0  # for a broker that was named to take us
PLAIN, SECURE = ("mqtt", "tcp"), ("mqtts", "ssl", "tls")
PASSWORD_FILE = "broker.password"  # noqa: S105 (a file's name)
FORM = "write mqtt://[user:password@]host[:port], or mqtts:// for TLS"


@dataclass(frozen=True, slots=True)
class BrokerPlace:
    """An MQTT broker. ``username`` None: whatever name each client of the demo has; ``ca_file``: it speaks TLS."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What judges its certificate; None for plain TCP."""
        return None if self.ca_file is None else ssl.create_default_context(cafile=self.ca_file)

    def login(self, own: str) -> tuple[str, str]:
        """Name and password of a client that would call itself ``own``."""
        return (own, own) if self.username is None else (self.username, self.password or "")

    def toml(self, directory: Path) -> str:
        """Its lines of ``[mqtt]`` after host and port; the password goes into a file of ``directory``."""
        lines = [] if self.username is None else [f"username = {json.dumps(self.username)}"]
        if self.password is not None:
            file = directory / PASSWORD_FILE
            with open(
                os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
            ) as out:
                out.write(self.password)
            lines.append(f'password_file = "{PASSWORD_FILE}"')
        if self.ca_file is not None:
            lines += ["", "[mqtt.tls]", f"ca_file = {json.dumps(self.ca_file)}"]
        return "\n".join(lines) + "\n"


def read(text: str, ca_file: Path | None) -> BrokerPlace:
    """From what was typed. Raises ``RuntimeError`` with a remedy."""
    url = urlsplit(text if "://" in text else f"mqtt://{text}")
    try:
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    if url.scheme not in PLAIN + SECURE or not host or url.path.strip("/") or url.query:
        raise RuntimeError(f"--broker {_without_password(text)}: not an address of a broker; {FORM}")
    username = None if url.username is None else unquote(url.username)
    password = None if url.password is None else unquote(url.password)
    if url.scheme in PLAIN:
        return BrokerPlace(host, port or 1883, username, password)
    found = str(ca_file.absolute()) if ca_file is not None else ssl.get_default_verify_paths().cafile
    if found is None or not Path(found).is_file():
        raise RuntimeError("--broker: which authority signed its certificate? Give --broker-ca FILE (PEM)")
    return BrokerPlace(host, port or 8883, username, password, found)


async def check(place: BrokerPlace) -> None:
    """Whether it takes us, within ``ANSWER_REAL_S``. Raises ``RuntimeError`` with a remedy."""
    name, password = place.login("edged-demo")
    where = f"{place.host}:{place.port}"
    try:
        async with asyncio.timeout(ANSWER_REAL_S):
            # first alone: the MQTT library connects in a thread, which a host that is silent holds for longer than this
            _, writer = await asyncio.open_connection(place.host, place.port)
            writer.close()
            client = aiomqtt.Client(
                place.host,
                place.port,
                identifier="edged-demo-look",
                username=name,
                password=password,
                tls_context=place.tls,
                timeout=math.inf,
            )
            async with client:
                pass
    except (OSError, TimeoutError, aiomqtt.MqttError) as error:
        why = str(error) or "no answer"
        raise RuntimeError(
            f"--broker: {where} takes no connection ({why}); is it running, and are scheme, user and password right?"
        ) from None


def _without_password(text: str) -> str:
    url = urlsplit(text)
    return text if "@" not in text else f"{url.scheme}://…@{text.rpartition('@')[2]}"
