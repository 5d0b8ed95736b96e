"""Encodes and decodes the three most frequent MQTT packets: PUBLISH at QoS 0 and 1, and PUBACK. No I/O.

Rules: a malformed packet raises ``ValueError``, which costs the connection; nothing else is raised. All other packets
(CONNECT, SUBSCRIBE, PINGREQ, DISCONNECT …) are left to paho. Section numbers are those of MQTT 5; version 3.1.1 differs
here only in having no properties.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

PUBLISH = 0x30  # §3.3.1: with DUP 0x08, QoS 0x06 and RETAIN 0x01
PUBACK = 0x40

# §2.2.2.2: identifiers that a PUBLISH may carry, and how many bytes their value has (-1: a length-prefixed one).
_SIZES = {0x01: 1, 0x02: 4, 0x03: -1, 0x08: -1, 0x09: -1, 0x23: 2}
_RESPONSE_TOPIC, _CORRELATION, _SUBSCRIPTION, _USER = 0x08, 0x09, 0x0B, 0x26
_U16 = struct.Struct(">H")
_ACK = struct.Struct(">BBH")


class Publish(NamedTuple):
    """A received PUBLISH. ``topic`` is not decoded; ``mid`` is 0 at QoS 0; ``again``: the DUP flag (§3.3.1.1)."""

    topic: bytes
    payload: bytes
    qos: int
    retain: bool
    mid: int
    response_topic: str | None = None
    correlation: bytes | None = None
    again: bool = False


def packet_end(data: bytes, start: int, limit_bytes: int) -> tuple[int, int] | None:
    """Offsets at which the body of the packet at ``start`` begins and ends; None while its header is incomplete.

    Raises ``ValueError`` for an invalid header, or a body longer than ``limit_bytes``.
    """
    length, shift = 0, 0
    for at in range(start + 1, min(len(data), start + 5)):
        digit = data[at]
        length |= (digit & 0x7F) << shift
        if digit < 0x80:
            if length > limit_bytes:
                raise ValueError("packet too large")
            return at + 1, at + 1 + length
        shift += 7
    if len(data) >= start + 5:
        raise ValueError("packet length of more than four bytes")
    return None


def read_publish(head: int, body: bytes, properties: bool) -> Publish:
    """Parse a PUBLISH from its first byte (``head``) and its body. ``properties``: it contains MQTT 5 properties.
    Raises ``ValueError`` if it is malformed or of QoS 2.
    """
    qos = head >> 1 & 3
    if qos > 1 or len(body) < 2:
        raise ValueError("not a PUBLISH that was subscribed to")
    at = 2 + (body[0] << 8 | body[1])
    topic, mid = body[2:at], 0
    if qos:
        mid = _number(body, at)
        at += 2
    response_topic = correlation = None
    if properties:
        if at < len(body) and body[at] == 0:
            at += 1  # the usual case: none
        else:
            length, start = _varint(body, at)
            at = start + length
            response_topic, correlation = _properties(body[start:at], length)
    if at > len(body):
        raise ValueError("PUBLISH shorter than it says")
    return Publish(topic, body[at:], qos, bool(head & 1), mid, response_topic, correlation, bool(head & 8))


def publish_packet(topic: bytes, payload: bytes, head: int, mid: int, properties: bytes | None) -> bytes:
    """Encode a PUBLISH. ``head``: QoS and RETAIN bits; ``mid``: 0 at QoS 0; ``properties``: encoded, None for 3.1.1."""
    parts = [_U16.pack(len(topic)), topic]
    if mid:
        parts.append(_U16.pack(mid))
    if properties is not None:
        parts += (varint(len(properties)), properties)
    parts.append(payload)
    body = b"".join(parts)
    return b"%c%b%b" % (PUBLISH | head, varint(len(body)), body)


def puback_packet(mid: int) -> bytes:
    """Encode a PUBACK with success, whose reason code may be left out (§3.4.2.1)."""
    return _ACK.pack(PUBACK, 2, mid)


def read_puback(body: bytes) -> tuple[int, int]:
    """Packet identifier and reason code (0 if left out, §3.4.2.1) from the body of a PUBACK. Raises ``ValueError`` if
    the body is too short.
    """
    return _number(body, 0), body[2] if len(body) > 2 else 0


def expiry_property(expiry_s: int) -> bytes:
    """Encode the property "message expiry interval" (§3.3.2.3.3): the message expires after ``expiry_s`` seconds."""
    return struct.pack(">BI", 0x02, expiry_s)


def correlation_property(correlation: bytes) -> bytes:
    """Encode the property "correlation data" (§3.3.2.3.6), which says to which request this is the response."""
    return struct.pack(">BH", _CORRELATION, len(correlation)) + correlation


def varint(value: int) -> bytes:
    """Encode a variable byte integer (§1.5.5), one to four bytes."""
    if value < 0x80:
        return b"%c" % value
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def _number(body: bytes, at: int) -> int:
    if len(body) < at + 2:
        raise ValueError("packet shorter than it says")
    return body[at] << 8 | body[at + 1]


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(4):
        if at + index >= len(body):
            break
        value |= (body[at + index] & 0x7F) << 7 * index
        if body[at + index] < 0x80:
            return value, at + index + 1
    raise ValueError("not a number")


def _properties(data: bytes, length: int) -> tuple[str | None, bytes | None]:
    """Response topic and correlation data, None if missing; all other properties are skipped."""
    if len(data) != length:
        raise ValueError("properties longer than their packet")
    response_topic: str | None = None
    correlation: bytes | None = None
    at = 0
    while at < length:
        kind = data[at]
        if kind == _SUBSCRIPTION:
            _, at = _varint(data, at + 1)
            continue
        size = _SIZES.get(kind)
        if kind == _USER:
            at += 3 + _number(data, at + 1)  # its name; its value has the shape of any other text
            start = at
        elif size is None:
            raise ValueError(f"property {kind:#x} in a PUBLISH")
        else:
            start = at + 1
        if size is None or size < 0:
            size = _number(data, start)
            start += 2
        at = start + size
        if at > length:
            raise ValueError("property longer than the properties")
        if kind == _RESPONSE_TOPIC:
            response_topic = data[start:at].decode()
        elif kind == _CORRELATION:
            correlation = data[start:at]
    return response_topic, correlation
