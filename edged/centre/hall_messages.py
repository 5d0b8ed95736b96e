"""Parses the messages of halls: events of ``hall/{hall}/events``, and retained messages.

Rules: a malformed message raises ``UnreadableMessage`` with one fixed word, and nothing else. Identity and mobile
numbers in texts are masked: halls do not send any, and the centre stores none in any case.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from edged import personal, strict_json
from edged.central import topics
from edged.central.audience import epoch_ms
from edged.strict_json import NotStrictJson

EVENT_BYTES_MAX = 16 * 1024
NUMBER_MAX = 2**53
EPOCH_MAX = 2**31 - 1
KIND = re.compile(r"edged\.([a-z][a-z0-9_.-]{0,60})")
HALL_TOPIC = re.compile(r"hall/([a-z0-9][a-z0-9-]{0,31})/(.+)")
ZERO = datetime(1970, 1, 1, tzinfo=UTC)


class HallEvent(NamedTuple):
    """One event. ``previous``: number of the event sent before it. ``data`` is JSON text."""

    hall: str
    epoch: int
    seq: int
    previous: int
    at: datetime
    kind: str
    subject: str
    historical: bool
    data: str


class RetainedMessage(NamedTuple):
    """The newest message retained on ``topic``; ``payload``: JSON text, "null" if it was deleted."""

    topic: str
    hall: str
    payload: str


class UnreadableMessage(ValueError):
    """A message that cannot be read. ``reason``: a fixed word, for a counter."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_event(topic: str, payload: bytes) -> HallEvent:
    """Parse an event from its topic and payload. Raises ``UnreadableMessage``, with the part that is wrong, if it is
    not an event of the topic's hall.
    """
    named = HALL_TOPIC.fullmatch(topic)
    if named is None or topic != topics.events(named[1]):
        raise UnreadableMessage("topic")
    fields = _parsed(payload)
    hall, _, rest = str(fields.get("id")).partition("/")
    epoch, _, number = rest.partition("/")
    if hall != named[1]:
        raise UnreadableMessage("hall")
    seq, previous, kind = (
        fields.get("sequence"),
        fields.get("previous"),
        KIND.fullmatch(str(fields.get("type"))),
    )
    if kind is None:
        raise UnreadableMessage("type")
    if not (type(seq) is type(previous) is int and 0 <= previous < seq <= NUMBER_MAX and number == str(seq)):
        raise UnreadableMessage("sequence")
    if not (epoch.isascii() and epoch.isdigit() and int(epoch) <= EPOCH_MAX):
        raise UnreadableMessage("epoch")
    subject, data = fields.get("subject", ""), fields.get("data", {})
    if not isinstance(subject, str) or not isinstance(data, dict):
        raise UnreadableMessage("data")
    at = _moment(fields.get("time"))
    text = json.dumps(_plain(data), ensure_ascii=False)
    historical = fields.get("historical") is True
    return HallEvent(hall, int(epoch), seq, previous, at, kind[1], _plain(subject), historical, text)


def read_retained(topic: str, payload: bytes) -> RetainedMessage:
    """Parse a retained message of a hall. If ``payload`` is empty, because the message was deleted, the payload of the
    result is the JSON text ``null``. Raises ``UnreadableMessage``, with the part that is wrong, for a foreign topic or
    a payload of another form.
    """
    named = HALL_TOPIC.fullmatch(topic)
    if named is None:
        raise UnreadableMessage("topic")
    if not payload:
        return RetainedMessage(topic, named[1], "null")
    if topic == topics.line(named[1]):
        if payload not in (b"0", b"1"):
            raise UnreadableMessage("line")
        return RetainedMessage(topic, named[1], payload.decode())
    return RetainedMessage(topic, named[1], json.dumps(_plain(_parsed(payload)), ensure_ascii=False))


def _parsed(payload: bytes) -> dict[str, Any]:
    try:
        return strict_json.parse_document(payload, EVENT_BYTES_MAX)
    except NotStrictJson as error:
        raise UnreadableMessage(error.reason) from None


def _moment(text: Any) -> datetime:
    try:
        return ZERO + timedelta(milliseconds=epoch_ms(str(text)))
    except (ValueError, OverflowError):
        raise UnreadableMessage("time") from None


def _plain(value: Any) -> Any:
    """``value`` without NUL characters, which PostgreSQL cannot store, and with personal numbers masked."""
    if isinstance(value, str):
        return personal.masked(value.replace("\x00", ""))
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
