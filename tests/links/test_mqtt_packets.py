"""PUBLISH and PUBACK against paho's own coder: the same bytes both ways, and no byte string does any harm."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import _packet
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edged.links.mqtt.names import filter_fault
from edged.links.mqtt.outgoing import QUEUE_MAX, Outgoing
from edged.links.mqtt.packets import (
    Publish,
    correlation_property,
    expiry_property,
    packet_end,
    puback_packet,
    publish_packet,
    read_puback,
    read_publish,
)

LIMIT = 128 * 1024
TOPICS = st.text(st.characters(codec="utf-8", exclude_characters="+#\0"), min_size=1, max_size=40)


@given(
    TOPICS,
    st.binary(max_size=300),
    st.sampled_from((0, 1, 2, 3, 10, 11)),
    st.integers(1, 65_535),
    st.booleans(),
)
def test_paho_and_our_reader_understand_the_packets_we_write(
    topic: str, payload: bytes, head: int, mid: int, five: bool
) -> None:
    mid = mid if head & 2 else 0
    packet = publish_packet(topic.encode(), payload, head, mid, expiry_property(15) if five else None)
    bounds = packet_end(packet, 0, LIMIT)
    assert bounds is not None
    start, end = bounds
    assert end == len(packet)
    version = MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311
    read_by_paho = _packet.decode_publish(packet[0], packet[start:], version)
    assert (read_by_paho.topic, read_by_paho.payload, read_by_paho.mid) == (topic.encode(), payload, mid)
    assert (read_by_paho.qos, read_by_paho.retain) == (head >> 1 & 3, bool(head & 1))
    if five:
        assert cast(Any, read_by_paho.properties).MessageExpiryInterval == 15
    ours = read_publish(packet[0], packet[start:], five)
    again = bool(head & 8)
    assert ours == Publish(topic.encode(), payload, head >> 1 & 3, bool(head & 1), mid, None, None, again)


@given(TOPICS, st.binary(max_size=40), st.lists(st.tuples(TOPICS, TOPICS), max_size=3), st.booleans())
def test_publish_properties_we_do_not_use_are_skipped(
    response: str, correlation: bytes, pairs: list[tuple[str, str]], more: bool
) -> None:
    properties = cast(Any, Properties)(PacketTypes.PUBLISH)
    properties.ResponseTopic = response
    properties.UserProperty = pairs
    if more:
        properties.PayloadFormatIndicator = 1
        properties.ContentType = "application/json"
        properties.SubscriptionIdentifier = 300
        properties.MessageExpiryInterval = 7
    properties.CorrelationData = correlation
    body = b"\x00\x03a/b\x01\x02" + properties.pack() + b"{}"
    found = read_publish(0x32, body, properties=True)
    assert found == Publish(b"a/b", b"{}", 1, False, 0x0102, response, correlation)


@given(st.integers(0, 255), st.binary(max_size=60), st.booleans())
def test_reading_a_garbage_packet_raises_value_error_only(head: int, body: bytes, five: bool) -> None:
    try:
        found = read_publish(head, body, five)
    except ValueError:
        return
    assert len(found.topic) + len(found.payload) < len(body)


@pytest.mark.parametrize(
    "properties",
    [
        None,
        b"",
        expiry_property(15),
        b"\x08\x00\x03r/s" + correlation_property(b"id"),
        b"\x26\x00\x01k\x00\x01v",
    ],
)
def test_a_packet_cut_off_at_any_byte_is_refused(properties: bytes | None) -> None:
    packet = publish_packet(b"a/b", b"", 0x32, 7, properties)
    start, end = packet_end(packet, 0, LIMIT) or (0, 0)
    five = properties is not None
    assert read_publish(packet[0], packet[start:end], five).topic == b"a/b"
    for cut in range(start, end):
        with pytest.raises(ValueError):  # noqa: PT011 - the kind is what its reader waits for
            read_publish(packet[0], packet[start:cut], five)
    for cut in range(2):
        with pytest.raises(ValueError, match="shorter"):
            read_puback(bytes(cut))


@given(st.binary(max_size=8))
def test_a_packet_head_is_incomplete_complete_or_refused(data: bytes) -> None:
    try:
        bounds = packet_end(data, 0, LIMIT)
    except ValueError:
        assert len(data) > 1
        return
    assert bounds is None or 2 <= bounds[0] <= bounds[1] <= LIMIT + 5


def test_a_packet_above_the_size_limit_is_refused_when_its_head_is_read() -> None:
    packet = publish_packet(b"a", bytes(LIMIT), 0, 0, b"")
    with pytest.raises(ValueError, match="too large"):
        packet_end(packet[:5], 0, LIMIT)


def test_puback_packets_and_the_correlation_property_have_the_standard_bytes() -> None:
    assert puback_packet(0x1234) == b"\x40\x02\x12\x34"
    assert read_puback(b"\x12\x34\x10") == (0x1234, 0x10)  # MQTT 5: nobody subscribed, which is fine
    assert read_puback(b"\x12\x34") == (0x1234, 0)
    assert correlation_property(b"id") == b"\x09\x00\x02id"


class Sent(list[bytes]):
    """Collects packets; ``mids`` reads their identifiers."""

    def mids(self) -> list[int]:
        return [read_publish(one[0], one[2:], properties=False).mid for one in self]

    def payloads(self) -> list[bytes]:
        return [read_publish(one[0], one[2:], properties=False).payload for one in self]


def outgoing(window: int) -> tuple[Outgoing, Sent]:
    sent = Sent()
    mids = iter(range(1, 100_000))
    made = Outgoing(sent.append, lambda: next(mids))
    made.window = window
    return made, sent


def test_the_send_window_is_respected_and_a_newer_level_replaces_older_waiting_ones() -> None:
    queue, sent = outgoing(2)
    for number in range(5):
        assert queue.put(b"lamp", b"%d" % number, True, None)
    assert queue.put(b"say", b"a", False, None)
    assert queue.put(b"say", b"b", False, None)
    assert sent.payloads() == [b"0", b"1"]
    queue.acknowledged(99)  # never sent: changes nothing
    queue.acknowledged(sent.mids()[0])
    assert sent.payloads() == [b"0", b"1", b"4"]
    for mid in (2, 3, 4, 5):
        queue.acknowledged(mid)
    assert sent.payloads() == [b"0", b"1", b"4", b"a", b"b"]
    assert len(queue) == 0


def test_a_broker_that_never_acknowledges_fills_the_queue_and_no_more() -> None:
    queue, _ = outgoing(1)
    taken = [queue.put(b"say", b"x", False, None) for _ in range(QUEUE_MAX + 5)]
    assert taken.count(True) == QUEUE_MAX + 1
    assert queue.put(b"lamp", b"on", True, None) is False


def test_a_packet_length_of_more_than_four_bytes_is_refused_at_once() -> None:
    head = b"\x30\xff\xff\xff"
    assert packet_end(head, 0, LIMIT) is None
    with pytest.raises(ValueError, match="four bytes"):
        packet_end(head + b"\xff", 0, LIMIT)


@pytest.mark.parametrize(
    ("char", "odd"), [("\x1f", True), (" ", False), ("~", False), ("\x7f", True), ("\x9f", True)]
)
def test_a_topic_with_control_characters_is_refused(char: str, odd: bool) -> None:
    """MQTT 5 §1.5.4; the first that may stand after them is U+00A0."""
    assert bool(filter_fault(f"a{char}b")) is odd
    assert filter_fault("a\xa0b") == ""
