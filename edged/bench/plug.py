"""A raw MQTT connection to a broker, as fast as a device's could be: TCP_NODELAY, no delayed ACK, no library."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from edged.bench import packets
from edged.bench.packets import Published
from edged.clock import monotonic_s

READ_BYTES = 65_536
CONNECT_S = 5.0  # a broker on the hall's LAN answers in milliseconds
QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux only


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a broker and how to log in. ``tls_ca`` switches TLS on; the three ``tls_`` fields are paths of PEM
    files. ``protocol``: the MQTT version that the daemon shall use there; the bench itself speaks 3.1.1.
    """

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    protocol: str = "5"
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The address as JSON values, for a child process."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Address:
        """Make an address from what ``to_json`` returned."""
        return cls(**fields)


class BrokerGone(RuntimeError):
    """The broker refused the connection or a subscription, or closed the connection; the text says which."""


def open_socket(address: Address) -> socket.socket:
    """Open a TCP connection with TCP_NODELAY, and TLS if the address has it. Raises ``OSError`` if nobody accepts the
    connection within ``CONNECT_S``, or TLS fails.
    """
    raw = socket.create_connection((address.host, address.port), CONNECT_S)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    context = tls_context(address)
    return raw if context is None else context.wrap_socket(raw, server_hostname=address.host)


def tls_context(address: Address) -> ssl.SSLContext | None:
    """The TLS context for this broker; None without TLS."""
    if address.tls_ca is None:
        return None
    context = ssl.create_default_context(cafile=address.tls_ca)
    if address.tls_cert is not None:
        context.load_cert_chain(address.tls_cert, address.tls_key)
    return context


class Plug:
    """An MQTT client with blocking calls, which is connected from its construction on. Call ``take`` when ``select``
    finds it readable.
    """

    def __init__(self, address: Address, client_id: str) -> None:
        """Connect to the broker. Raises ``BrokerGone`` if it refuses the connection, ``OSError`` if it cannot be
        reached.
        """
        self.acknowledged = 0  # PUBACKs received
        self.sent = 0
        self._reader = packets.Reader()
        self._mid = 0
        self._early: list[Published] = []
        self._socket = open_socket(address)
        self._socket.sendall(packets.connect(client_id, address.username, address.password))
        answer = self._await(packets.CONNACK)
        if answer[1] != 0:
            raise BrokerGone(f"{address.host}:{address.port} refuses with code {answer[1]}")
        self._socket.settimeout(None)

    def fileno(self) -> int:
        """The socket's file descriptor, for ``select``."""
        return self._socket.fileno()

    def subscribe(self, *filters: str) -> None:
        """Subscribe at QoS 1 and wait for each SUBACK. Raises ``BrokerGone`` if the broker refuses."""
        for topic_filter in filters:
            self._socket.sendall(packets.subscribe(self._next_mid(), topic_filter))
            if self._await(packets.SUBACK)[2] >= 0x80:
                raise BrokerGone(f"the broker refuses a subscription to {topic_filter}; allow it in its ACL")

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Send one message at QoS 1 without waiting for its acknowledgement."""
        self._socket.sendall(packets.publish(topic, payload, self._next_mid(), retain))
        self.sent += 1

    def publish_all(self, messages: list[tuple[str, bytes]]) -> None:
        """Send several messages at QoS 1 in one write."""
        data = [packets.publish(topic, payload, self._next_mid()) for topic, payload in messages]
        self._socket.sendall(b"".join(data))
        self.sent += len(messages)

    def receive(self) -> list[Published]:
        """Return received messages, without acknowledging them. Blocks until there is one. Raises ``BrokerGone`` if the
        broker closes the connection.
        """
        early, self._early = self._early, []
        return early or self._sorted(self._read())

    def acknowledge(self, messages: list[Published]) -> None:
        """Send the PUBACKs of these messages, in one write."""
        acks = b"".join(packets.puback(message.mid) for message in messages if message.mid)
        if acks:
            self._socket.sendall(acks)

    def take(self) -> list[Published]:
        """Return received messages, and acknowledge them. Blocks until there is one. Raises ``BrokerGone`` if the
        broker closes the connection.
        """
        messages = self.receive()
        self.acknowledge(messages)
        return messages

    def close(self) -> None:
        """Send DISCONNECT, if that is possible, and close the socket."""
        with suppress(OSError):
            self._socket.sendall(bytes((packets.DISCONNECT << 4, 0)))
        self._socket.close()

    def _read(self) -> list[packets.Packet]:
        data = self._socket.recv(READ_BYTES)
        if QUICKACK is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
        if not data:
            raise BrokerGone("the broker closed the connection")
        if isinstance(self._socket, ssl.SSLSocket):
            while self._socket.pending():
                data += self._socket.recv(READ_BYTES)
        return self._reader.feed(data)

    def _sorted(self, found: list[packets.Packet]) -> list[Published]:
        came = []
        for packet in found:
            if packet.kind == packets.PUBLISH:
                came.append(packets.published(packet))
            elif packet.kind == packets.PUBACK:
                self.acknowledged += 1
        return came

    def _await(self, kind: int) -> bytes:
        until_s = monotonic_s() + CONNECT_S
        while select.select([self._socket], [], [], max(0.0, until_s - monotonic_s()))[0]:
            found = self._read()
            self._early += self._sorted(found)
            for packet in found:
                if packet.kind == kind:
                    return packet.body
        raise BrokerGone("the broker does not answer")

    def _next_mid(self) -> int:
        self._mid = self._mid % packets.MESSAGE_IDS + 1
        return self._mid
