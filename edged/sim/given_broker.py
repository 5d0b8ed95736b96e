"""A broker given to the demo (``--broker``): its address, the demo's user name there, and a check that it accepts a
connection.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiomqtt

ANSWER_REAL_S = 3.0  # limit for the given broker to accept a connection
REFUSES_LOGIN = (4, 5, 134, 135)  # MQTT 3.1.1 and 5: bad name or password, not authorised
PLAIN, SECURE = ("mqtt", "tcp"), ("mqtts", "ssl", "tls")
PASSWORD_FILE = "broker.password"  # noqa: S105 (a file's name)
FORM = "write mqtt://[user:password@]host[:port], or mqtts:// for TLS"


@dataclass(frozen=True, slots=True)
class BrokerPlace:
    """The address of an MQTT broker, and how to log in. ``username`` None: each client of the demo logs in with its own
    name. ``ca_file``: PEM file of the authority for TLS; None: no TLS.
    """

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The TLS context that verifies the broker's certificate; None for plain TCP."""
        return None if self.ca_file is None else ssl.create_default_context(cafile=self.ca_file)

    def login(self, own: str) -> tuple[str, str]:
        """User name and password of the demo client ``own``: those given with the broker, otherwise its own name for
        both.
        """
        return (own, own) if self.username is None else (self.username, self.password or "")

    def toml(self, directory: Path) -> str:
        """The lines of ``[mqtt]`` that follow host and port in hall.toml. A password is written into a file in
        ``directory``; the lines contain only the name of this file.
        """
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
    """Parse the option ``--broker``. ``ca_file``: the option ``--broker-ca``; None: the system's authorities. Raises
    ``RuntimeError``, whose text says what to do, if the address is malformed or no authority is known.
    """
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
    """Check that the broker accepts a connection within ``ANSWER_REAL_S``. Raises ``RuntimeError``, whose text says
    what to do, if it does not.
    """
    name, password = place.login("edged-demo")
    greeted = False
    try:
        async with asyncio.timeout(ANSWER_REAL_S):
            # first alone: the MQTT library looks up, connects and shakes hands in threads that a silent host holds for
            # longer than this, and the process would end only after those threads
            await _reached(place)
            greeted = True
            async with aiomqtt.Client(
                place.host,
                place.port,
                identifier="edged-demo-look",
                username=name,
                password=password,
                tls_context=place.tls,
                timeout=math.inf,
                logger=_silent_logger(),
            ):
                pass
    except (OSError, TimeoutError, aiomqtt.MqttError) as error:
        where = f"{place.host}:{place.port}"
        raise RuntimeError(f"--broker: {where} {_why(error, greeted, place)}") from None


def _silent_logger() -> logging.Logger:
    """Make a logger that drops the MQTT library's messages, because ``check`` reports a failure itself."""
    logger = logging.Logger("edged-demo-look")
    logger.addHandler(logging.NullHandler())
    return logger


async def _reached(place: BrokerPlace) -> None:
    """Connect by TCP (with TLS for ``mqtts://``) and disconnect. Raises ``OSError`` if that fails. A cancellation takes
    effect immediately.
    """
    address = await _address(place)
    name = None if place.tls is None else place.host
    _, writer = await asyncio.open_connection(address, place.port, ssl=place.tls, server_hostname=name)
    writer.transport.abort()


async def _address(place: BrokerPlace) -> str:
    """Resolve the broker's host; returns its first address. Raises ``OSError`` if there is none. The look-up runs in a
    daemon thread, because without a network it takes long and cannot be cancelled.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[str] = loop.create_future()

    def set_result(address: str | None, error: OSError | None) -> None:
        if found.done():
            return
        if address is not None:
            found.set_result(address)
        else:
            found.set_exception(error or OSError("no address"))

    def resolve() -> None:
        address, failed = None, None
        try:
            address = str(socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)[0][4][0])
        except (OSError, UnicodeError) as error:
            failed = socket.gaierror(socket.EAI_NONAME, str(error))
        with suppress(RuntimeError):  # too late: the loop is closed
            loop.call_soon_threadsafe(set_result, address, failed)

    threading.Thread(target=resolve, daemon=True).start()
    return await found


def _why(error: Exception, greeted: bool, place: BrokerPlace) -> str:
    """Say what went wrong and what to try, as the end of a sentence. ``greeted``: TCP, and TLS if wanted, had
    worked.
    """
    if isinstance(error, aiomqtt.MqttCodeError) and getattr(error.rc, "value", error.rc) in REFUSES_LOGIN:
        return "refuses this user and password; write mqtt://user:password@host, special characters as %xx"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has a certificate that does not hold ({error.verify_message}); right host, and --broker-ca?"
    if isinstance(error, socket.gaierror):
        return "has no address: is the host's name right, and a network there?"
    if isinstance(error, ConnectionRefusedError):
        return "takes no connection: nobody listens there; is it running, and is the port right?"
    if greeted:
        other = "" if place.tls is not None else "; if it wants TLS, write mqtts://"
        why = "no answer to CONNECT" if isinstance(error, TimeoutError) else str(error)
        return f"takes a connection, but does not speak MQTT ({why}){other}"
    if place.tls is not None and isinstance(error, ssl.SSLError | ConnectionError):
        return "does not speak TLS; for a plain port write mqtt://"
    if isinstance(error, TimeoutError):
        return f"gives no answer within {ANSWER_REAL_S:g} s; is the address right, and no firewall between?"
    return f"takes no connection ({error}); are scheme, host and port right?"


def _without_password(text: str) -> str:
    url = urlsplit(text)
    return text if "@" not in text else f"{url.scheme}://…@{text.rpartition('@')[2]}"
