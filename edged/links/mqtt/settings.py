"""The settings of a connection to the hall's MQTT broker, and the paho client that is made from them.

Rules: the session outlives connections (the broker keeps our inputs while we are away). The receive maximum is limited
(the broker keeps what we have not stored yet). Each connection gets a new client: paho's own reconnect publishes twice
(its issue 698) and can stay stuck at its in-flight limit (issue 24).
"""

from __future__ import annotations

import logging
import math
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import aiomqtt
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edged.encoding import text_of

INCOMING_LIMIT_BYTES = 128 * 1024  # a policy (64 KiB, base64 inside JSON) fits; anything larger is not for us
RECEIVE_MAXIMUM = 32  # messages in hand and not yet on disk: the broker holds the rest (back pressure)
SESSION_EXPIRY_S = 7 * 24 * 3600  # a hall closed over a long weekend finds its queued inputs
PASSWORD_BYTES_MAX = 1024  # a password, not a file of them


class Held:
    """The last good content of a link's password and certificate files, used while one of them cannot be read.

    Kept in memory only: a copy of a private key or a password on disk would be one more to steal.
    """

    def __init__(self) -> None:
        self._password: str | None = None
        self._context: ssl.SSLContext | None = None
        self.peer_end_ms: int | None = (
            None  # when the broker's own certificate ends, as its last handshake showed
        )

    def password(self, file: str) -> str:
        """The password in ``file``, or the last one read. Raises ``OSError`` or ``ValueError`` if it could never be
        read.
        """
        try:
            self._password = first_line(file)
        except (OSError, ValueError):
            if self._password is None:
                raise
        return self._password

    def context(self, settings: MqttSettings) -> ssl.SSLContext:
        """The TLS context with the files of ``settings``, or the last good one. Raises ``OSError`` or ``ValueError`` if
        the files could never be used.
        """
        assert settings.tls_ca is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # Debian's Python leaves it to the system's settings
        try:
            context.load_verify_locations(settings.tls_ca)
            if settings.tls_cert is not None:
                # a password, lest OpenSSL ask for one at the terminal
                context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")
        except (OSError, ValueError):
            if self._context is None:
                raise
        else:
            self._context = context
        return self._context


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """How to reach the hall's broker. ``keepalive_s`` also sets how often the link pings itself: a frozen broker is
    noticed within twice that time.

    ``ping_topic``: where the link sends those pings (``hall/{hall}/edged/ping/{client_id}``). ``password_file``: its
    first line is the password, read anew for every connection, so that the file may come later. ``lasting``: the broker
    keeps messages while we are disconnected; the process that serves the web pages sets it to False, because it only
    shows the present. ``tls_ca`` switches TLS on; ``tls_cert`` and ``tls_key`` authenticate this client. All three are
    paths of PEM files. ``down_effect``: what it means for the hall while this connection is down, for the log.
    """

    client_id: str
    host: str = "127.0.0.1"
    port: int = 1883
    protocol: Literal["5", "3.1.1"] = "5"
    ping_topic: str = "edged/ping"
    username: str | None = None
    password: str | None = None
    password_file: str | None = None
    keepalive_s: int = 5
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    will_topic: str | None = None
    will_payload: bytes = b""
    will_retain: bool = True
    lasting: bool = True
    down_effect: str = "nothing is sent or received by MQTT"
    held: Held = field(default_factory=Held, compare=False)


def first_line(file: str) -> str:
    """The first line of ``file``, without the byte order mark that Windows editors write.

    Raises ``OSError`` if it cannot be read and ``ValueError`` if it is not text.
    """
    with Path(file).open("rb") as stream:
        data = stream.read(PASSWORD_BYTES_MAX)
    lines = text_of(data).splitlines()
    return lines[0] if lines else ""


def new_properties(packet_type: int, values: dict[str, Any]) -> Properties:
    """Make MQTT 5 properties for paho, whose class has no type annotations."""
    properties = cast("Any", Properties)(packet_type)
    for name, value in values.items():
        setattr(properties, name, value)
    return cast("Properties", properties)


def new_client(settings: MqttSettings) -> aiomqtt.Client:
    """Make an aiomqtt client for one connection."""
    version5 = settings.protocol == "5"
    properties = None
    if version5:
        properties = new_properties(
            PacketTypes.CONNECT,
            {
                "ReceiveMaximum": RECEIVE_MAXIMUM,
                "SessionExpiryInterval": SESSION_EXPIRY_S if settings.lasting else 0,
                "MaximumPacketSize": INCOMING_LIMIT_BYTES,
            },
        )
    will = None
    if settings.will_topic is not None:
        will = aiomqtt.Will(settings.will_topic, settings.will_payload, 1, settings.will_retain)
    return aiomqtt.Client(
        settings.host,
        settings.port,
        username=settings.username,
        password=settings.password,
        logger=logging.getLogger("edged.links.paho"),
        identifier=settings.client_id,
        protocol=aiomqtt.ProtocolVersion.V5 if version5 else aiomqtt.ProtocolVersion.V311,
        will=will,
        clean_session=None if version5 else not settings.lasting,
        clean_start=not settings.lasting
        if version5
        else MQTT_CLEAN_START_FIRST_ONLY,  # the latter is 3.1.1's only value
        timeout=math.inf,  # its asyncio.wait_for may swallow a cancellation before Python 3.12; ``open`` has the limit
        keepalive=settings.keepalive_s,
        properties=properties,
    )
