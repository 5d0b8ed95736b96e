"""The connection of the city's programs to the city's broker, over MQTT 5 or 3.1.1; the caller decides when a message
is acknowledged.

Rules: the session outlives connections; a message is acknowledged only on the connection that delivered it. paho runs
in a thread of its own and reconnects for ever; messages wait in a bounded queue, and the receive window keeps them
below its bound. aiomqtt does not fit: it acknowledges messages before they are stored (decision 0014).
"""

from __future__ import annotations

import queue
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

WINDOW_MAX = (
    500  # messages in hand and not acknowledged (MQTT 5 §3.1.2.11.3); a broker of 3.1.1 has its own limit
)
QUEUE_MAX = 20_000
OUT_MAX = 10_000  # acknowledgements for halls, while the broker is away
KEEPALIVE_S = 20
NODES_MAX = 16
UNREACHED = "no connection could be made"
SESSION_S = 300  # MQTT 5 session expiry: then the messages of a process that never returns go to the others
# First and longest delay between connection attempts. Short, because a cluster without a leader refuses every client,
# and after a leader is elected nothing is received until the next attempt (decision 0129).
RETRY_S = (1, 3)


class CityAddress(NamedTuple):
    """The address of the city's broker. ``others``: host and port of its further nodes, tried in turn."""

    host: str
    port: int
    protocol: str = "5"
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    others: tuple[tuple[str, int], ...] = ()


class CityDelivery(NamedTuple):
    """A received message; ``connection``: number of the connection that delivered it; ``mid``: its MQTT packet id."""

    topic: str
    payload: bytes
    mid: int
    qos: int
    connection: int


class CityLink:
    """An MQTT client: ``start`` it, ``take`` and ``acknowledge`` messages, ``say`` (publish) others, ``stop`` it."""

    def __init__(self, address: CityAddress, name: str) -> None:
        self._address = address
        self._deliveries: queue.Queue[CityDelivery] = queue.Queue(QUEUE_MAX)
        self._filters: list[str] = []
        self._connection_number = 0
        self._leaving = False
        self._how: dict[str, Any] = {}  # how to connect
        self._nodes = deque([(address.host, address.port), *address.others], maxlen=NODES_MAX)
        five = address.protocol == "5"
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=name,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            clean_session=None if five else False,
            manual_ack=True,
        )
        self._client.max_queued_messages_set(OUT_MAX)
        self._client.reconnect_delay_set(*RETRY_S)
        self._client.on_message = self._received
        if address.username is not None:
            self._client.username_pw_set(address.username, address.password)
        if address.tls:
            self._client.tls_set_context(_context(address))

    @property
    def broker(self) -> str:
        """Host and port of the node to which the connection goes; of several nodes the one that is tried now."""
        host, port = self._nodes[0]
        return f"{host}:{port}"

    def start(self, filters: Sequence[str], on_change: Callable[[bool, str], None]) -> None:
        """Connect (now, or as soon as the broker can be reached) and subscribe.

        ``on_change(up, why)`` is called in paho's thread whenever the connection is made or lost, and after each
        attempt that failed.
        """
        self._filters = list(filters)
        self._client.on_connect = lambda _c, _u, _f, code, _p: self._connected(code, on_change)
        self._client.on_disconnect = lambda _c, _u, _f, code, _p: self._lost(on_change, str(code))
        self._client.on_subscribe = lambda _c, _u, _mid, codes, _p: self._subscribed(codes)
        self._client.on_connect_fail = lambda _c, _u: self._lost(on_change, UNREACHED)
        properties: Any = None
        if self._address.protocol == "5":
            properties = cast(Any, Properties)(PacketTypes.CONNECT)
            properties.ReceiveMaximum = WINDOW_MAX
            properties.SessionExpiryInterval = SESSION_S
        self._how = {"keepalive": KEEPALIVE_S}
        if properties is not None:
            self._how |= {"clean_start": False, "properties": properties}
        self._client.connect_async(self._address.host, self._address.port, **self._how)
        self._client.loop_start()

    def listen(self, filters: Sequence[str]) -> None:
        """Subscribe to further filters; the broker then sends their retained messages."""
        self._filters += [one for one in filters if one not in self._filters]
        if self._client.is_connected():
            self._client.subscribe([(one, 1) for one in filters])

    def take(self, most: int, wait_s: float) -> list[CityDelivery]:
        """Up to ``most`` received messages; waits up to ``wait_s`` seconds for the first. [] if none arrives."""
        taken: list[CityDelivery] = []
        try:
            taken.append(self._deliveries.get(timeout=wait_s))
            while len(taken) < most:
                taken.append(self._deliveries.get_nowait())
        except queue.Empty:
            pass
        return taken

    def acknowledge(self, deliveries: Sequence[CityDelivery]) -> None:
        """Acknowledge messages to the broker, once they are stored."""
        for delivery in deliveries:
            if delivery.connection == self._connection_number and delivery.qos:
                self._client.ack(delivery.mid, delivery.qos)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> paho.MQTTMessageInfo:
        """Publish a message, now or when the connection is back; wait on the returned object for the
        acknowledgement.
        """
        return self._client.publish(topic, payload, qos=1, retain=retain)

    def stop(self) -> None:
        """Disconnect; the session stays at the broker."""
        self._leaving = True
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, code: Any, on_change: Callable[[bool, str], None]) -> None:
        self._connection_number += 1
        if code.is_failure:
            on_change(False, str(code))
            return
        if self._filters:
            self._client.subscribe([(one, 1) for one in self._filters])
        on_change(True, "")

    def _lost(self, on_change: Callable[[bool, str], None], why: str) -> None:
        on_change(False, why)
        self._turn()

    def _subscribed(self, codes: Sequence[Any]) -> None:
        """Break the connection if a subscription was refused, so that paho tries again: a cluster does this while it
        changes its leader.
        """
        wire = self._client.socket()
        if any(code.is_failure for code in codes) and wire is not None:
            with suppress(OSError):
                cast(socket.socket, wire).shutdown(socket.SHUT_RDWR)  # paho connects and subscribes again

    def _turn(self) -> None:
        """Make paho's next connection attempt, which it starts by itself, go to the next node of the broker."""
        if len(self._nodes) > 1 and not self._leaving:
            self._nodes.rotate(-1)
            self._client.connect_async(*self._nodes[0], **self._how)

    def _received(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        delivery = CityDelivery(
            message.topic, bytes(message.payload), message.mid, message.qos, self._connection_number
        )
        try:
            self._deliveries.put_nowait(delivery)
        except queue.Full:  # more than any receive window: not acknowledged, so the broker sends it again
            return


def _context(address: CityAddress) -> ssl.SSLContext:
    """The TLS context of ``address``. Raises ``OSError`` if a file cannot be used."""
    context = ssl.create_default_context(cafile=address.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # as the daemon's link: an authority without key identifiers stays good on Python 3.13
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if address.cert is not None:
        context.load_cert_chain(address.cert, address.key)
    return context
