"""Makes and parses the packets of MQTT 3.1.1 that a device needs: bytes only, no I/O, no library. Source: OASIS MQTT
3.1.1; comments name the sections.
"""

from __future__ import annotations

from typing import NamedTuple

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, DISCONNECT = 1, 2, 3, 4, 8, 9, 14
RETAIN, QOS1 = 0x01, 0x02
CLEAN_SESSION, HAS_PASSWORD, HAS_USERNAME = 0x02, 0x40, 0x80  # section 3.1.2.3
MESSAGE_IDS = 0xFFFF
REMAINING_MAX_BYTES = 4  # section 2.2.3


class Packet(NamedTuple):
    """One MQTT control packet: its kind, the low four bits of its first byte, and its body."""

    kind: int
    flags: int
    body: bytes


class Published(NamedTuple):
    """The content of a PUBLISH packet. ``mid``: its packet identifier, 0 for QoS 0."""

    topic: str
    payload: bytes
    retain: bool
    mid: int


def connect(client_id: str, username: str | None, password: str | None) -> bytes:
    """Make a CONNECT packet with clean session and without keepalive. ``username`` None: send neither user name nor
    password; ``password`` None: send no password.
    """
    flags, tail = CLEAN_SESSION, _text(client_id)
    if username is not None:
        flags |= HAS_USERNAME
        tail += _text(username)
        if password is not None:
            flags |= HAS_PASSWORD
            tail += _text(password)
    return _packet(CONNECT << 4, _text("MQTT") + bytes((4, flags, 0, 0)) + tail)


def subscribe(mid: int, topic_filter: str) -> bytes:
    """Make a SUBSCRIBE packet for one filter at QoS 1. ``mid``: its packet identifier."""
    return _packet(SUBSCRIBE << 4 | 2, mid.to_bytes(2, "big") + _text(topic_filter) + b"\x01")


def publish(topic: str, payload: bytes, mid: int, retain: bool = False) -> bytes:
    """Make a PUBLISH packet at QoS 1. ``mid``: its packet identifier."""
    return _packet(PUBLISH << 4 | QOS1 | retain, _text(topic) + mid.to_bytes(2, "big") + payload)


def puback(mid: int) -> bytes:
    """Make a PUBACK packet for the message with packet identifier ``mid``."""
    return _packet(PUBACK << 4, mid.to_bytes(2, "big"))


def published(packet: Packet) -> Published:
    """Parse the body and flags of a PUBLISH packet."""
    body = packet.body
    end = 2 + int.from_bytes(body[:2], "big")
    topic, mid = body[2:end].decode(), 0
    if packet.flags & 0x06:
        mid, end = int.from_bytes(body[end : end + 2], "big"), end + 2
    return Published(topic, body[end:], bool(packet.flags & RETAIN), mid)


class Reader:
    """A buffer for the bytes received on a connection; ``feed`` splits them into MQTT packets."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[Packet]:
        """Add received bytes; returns the packets that are complete now. An incomplete one waits for the next call.
        Raises ``ValueError`` if the bytes are not MQTT.
        """
        held, at, found = self._held + data, 0, []
        while True:
            head = _length(held, at + 1)
            if head is None or len(held) < head[1] + head[0]:
                break
            size, start = head
            found.append(Packet(held[at] >> 4, held[at] & 0x0F, held[start : start + size]))
            at = start + size
        self._held = held[at:]
        return found


def _length(data: bytes, at: int) -> tuple[int, int] | None:
    """Read a packet's length field at ``at``; returns (length of the body, where the body begins), None if more bytes
    are needed. Raises ``ValueError`` if it is no MQTT length.
    """
    size = 0
    for place in range(REMAINING_MAX_BYTES):
        if at + place >= len(data):
            return None
        size |= (data[at + place] & 0x7F) << 7 * place
        if data[at + place] < 0x80:
            return size, at + place + 1
    raise ValueError("not MQTT: a length of more than four bytes")


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def _packet(first: int, body: bytes) -> bytes:
    length, size = bytearray(), len(body)
    while True:
        size, low = size >> 7, size & 0x7F
        length.append(low | 0x80 if size else low)
        if not size:
            return bytes((first,)) + length + body
