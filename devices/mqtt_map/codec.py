"""Decodes what a device sends on MQTT, by its description, and encodes lamp levels for it; no I/O.

A payload is a JSON object, in which pointers (RFC 6901) find values, or one word, which the empty pointer finds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta, field

from edged.core.model.events import Key
from edged.descriptions import Description, Pointer, at_pointer, spoken
from edged.driver import Garbled
from edged.links.mqtt.names import filter_fault, topic_fault
from edged.shapes import Rule, Shape
from edged.strict_json import NotStrictJson, parse

SIZE_MAX_BYTES = 16 * 1024  # an uplink of ChirpStack with the names of three gateways takes 2 KiB
WORD_MAX = 64  # characters of a value that is looked up
COUNT_MAX = 2**32 - 1
_WHOLE = re.compile(r"[0-9]{1,10}(\.0{1,9})?")
PLACE = "{topic}"  # in a description's topics: what hall.toml gives as topic

EventKind = Literal["key", "rating", "count", "presence", "gateway", "fault"]
Semantics = Literal["total", "window", "occupancy"]
STANDINGS = ("online", "offline")
STANDING: tuple[EventKind, ...] = ("presence", "gateway")


def _filter(text: str) -> str:
    fault = filter_fault(text.replace(PLACE, "x").replace("{channel}", "1"))
    if fault:
        raise ValueError(f'"{text}" {fault}')
    return text


def _topic(text: str) -> str:
    fault = topic_fault(text.replace(PLACE, "x").replace("{channel}", "1"))
    if fault:
        raise ValueError(f'"{text}" {fault}')
    return text


FilterText = Annotated[str, Meta(min_length=1, max_length=256), Rule(_filter)]
TopicText = Annotated[str, Meta(min_length=1, max_length=256), Rule(_topic)]
Word = Annotated[str, Meta(max_length=WORD_MAX)]
ChannelName = Annotated[str, Meta(min_length=1, max_length=32)]


class MqttInput(Shape, frozen=True):
    """Something that the device reports on ``topic``.

    ``pointer`` finds the word that ``values`` turns into a key, a rating ("1" to "5"), "online" or "offline", or the
    text of a fault ("" ends it); a word that stands for nothing is "" too. ``others``: what becomes of words that are
    not there; on an open radio most of them are somebody else's. ``channels``: which button the word is of.
    A count has pointers of its own, ``scale`` people each; ``line`` tells several of them apart. ``presence`` is of the
    device, ``gateway`` of the program through which it speaks. Either may come as the bare word, as zigbee2mqtt said it
    before it said it as JSON, and in any case.
    """

    event: EventKind
    topic: FilterText = PLACE
    pointer: Pointer = ""
    values: Annotated[dict[Word, Word], Meta(max_length=100)] = field(default_factory=dict)
    channels: Annotated[dict[Word, ChannelName], Meta(max_length=100)] = field(default_factory=dict)
    semantics: Semantics = "total"
    entered: Pointer | None = None
    left: Pointer | None = None
    occupancy: Pointer | None = None
    scale: Annotated[int, Meta(ge=1, le=1000)] = 1
    line: Annotated[str, Meta(max_length=32)] = ""
    others: Literal["refuse", "ignore"] = "refuse"

    def __post_init__(self) -> None:
        Shape.__post_init__(self)
        allowed: tuple[str, ...] = {
            "key": ("", *get_args(Key)),
            "rating": ("", "1", "2", "3", "4", "5"),
            "presence": STANDINGS,
            "gateway": STANDINGS,
        }.get(self.event, ())
        odd = sorted(set(self.values.values()) - set(allowed)) if allowed else []
        if odd:
            raise ValueError(
                f'"{odd[0]}" is no {self.event}; allowed: {", ".join(word for word in allowed if word)}'
            )
        if (self.event == "count") == bool(self.values):
            raise ValueError("a count has entered, left or occupancy; every other event has values")
        counted = self.occupancy if self.semantics == "occupancy" else self.entered or self.left
        if (self.event == "count") != (counted is not None):
            raise ValueError(
                'a count of "occupancy" has occupancy, any other entered or left; nothing else has'
            )


class MqttLamps(Shape, frozen=True):
    """Lamps ``first`` to ``first + count - 1``; ``topic`` may hold ``{channel}``, ``on`` and ``off`` are sent as is.

    ``count`` 0: one lamp without a channel. The driver keeps blinking lamps blinking.
    """

    topic: TopicText
    on: Annotated[str, Meta(min_length=1, max_length=500)]
    off: Annotated[str, Meta(min_length=1, max_length=500)]
    first: Annotated[int, Meta(ge=0, le=1)] = 1
    count: Annotated[int, Meta(ge=0, le=64)] = 0


class MqttExample(Shape, frozen=True):
    """What a captured ``payload`` on ``topic`` means, or what the lamp ``channel`` at ``level`` sends there.

    ``event`` in words: ``key recall``, ``key next 2`` (of button 2), ``rating 5``, ``total 12 7``, ``window 1 0``,
    ``occupancy 7``, ``online``, ``gateway offline``, ``fault low battery``, several joined by "; ", and "" if it says
    nothing.
    """

    topic: TopicText = PLACE
    payload: Annotated[str, Meta(max_length=8000)] = ""
    event: Annotated[str, Meta(max_length=400)] = ""
    channel: Annotated[str, Meta(max_length=32)] = ""
    level: Literal["", "on", "off"] = ""
    sends: Annotated[str, Meta(max_length=500)] = ""


class MqttModel(Description, frozen=True, kw_only=True):
    """A kind of device. ``silent_s``: hall seconds without a word until it counts as lost; 0: it has a presence.

    ``only_keys``: all that hall.toml may make of its words, where anybody could say them; none given: any key, and
    requests for numbers.
    """

    inputs: Annotated[tuple[MqttInput, ...], Meta(max_length=40)] = ()
    lamps: MqttLamps | None = None
    silent_s: Annotated[int, Meta(ge=0, le=7 * 86_400)] = 0
    only_keys: Annotated[tuple[Key, ...], Meta(max_length=10)] = ()
    examples: Annotated[tuple[MqttExample, ...], Meta(min_length=1, max_length=50)]

    def __post_init__(self) -> None:
        Description.__post_init__(self)
        if not self.inputs and self.lamps is None:
            raise ValueError("a description without inputs and lamps describes nothing")

    def wrong_examples(self) -> list[str]:
        """The examples whose payload means, or whose level sends, something else than they say; one line each."""
        wrong = []
        for example in self.examples:
            if example.level:
                found = _sent(self, example)
                wanted = f"{example.topic} {example.sends}"
            else:
                found = "; ".join(
                    one.words for one in findings(self, example.topic, example.payload.encode(), PLACE)
                )
                wanted = example.event
            if found != wanted:
                wrong.append(f"{example.topic} {example.payload or example.level}: {found!r}, not {wanted!r}")
        return wrong


def _sent(model: MqttModel, example: MqttExample) -> str:
    assert model.lamps is not None, "an example with a level is of a lamp"
    topic, payload = lamp_message(model.lamps, PLACE, example.channel, example.level == "on")
    return f"{topic} {payload}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a message reports. ``word``: of key, rating, presence or fault; ``heard``: the device's own
    word.
    """

    event: EventKind
    word: str = ""
    heard: str = ""
    channel: str = ""
    semantics: Semantics = "total"
    entered: int = 0
    left: int = 0
    occupancy: int = 0
    line: str = ""

    @property
    def words(self) -> str:
        """The finding in the form of a description's example."""
        if self.event == "count":
            if self.semantics == "occupancy":
                return f"occupancy {self.occupancy}"
            return f"{self.semantics} {self.entered} {self.left}"
        if self.event == "presence":
            return self.word
        if self.event == "gateway":
            return f"gateway {self.word}"
        return " ".join(part for part in (self.event, self.word, self.channel) if part)


def findings(model: MqttModel, topic: str, payload: bytes, place: str) -> list[Finding]:
    """Everything a message on ``topic`` reports, for a device at ``place``. Raises ``Garbled`` with a short fixed
    word.
    """
    inputs = [one for one in model.inputs if _matches(one.topic.replace(PLACE, place), topic)]
    if not inputs:
        return []
    document = _document(payload)
    found: list[Finding] = []
    unknown = False
    for one in inputs:
        if one.event == "count":
            found += _count(one, document)
            continue
        heard = spoken(at_pointer(document, one.pointer))
        if one.event in STANDING and isinstance(document, str):
            heard = document
        if heard is None or not heard:
            continue
        if one.event in STANDING:
            standing = _standing(one, heard)
            unknown = unknown or standing is None
            found += [] if standing is None else [standing]
            continue
        if heard[:WORD_MAX] not in one.values:
            unknown = unknown or (one.event in ("key", "rating") and one.others == "refuse")
            continue
        word = one.values[heard[:WORD_MAX]]
        if word or one.event == "fault":
            found.append(Finding(one.event, word, heard, one.channels.get(heard, "")))
    if unknown and not found:
        raise Garbled("unknown_value")
    return found


def only_stands(model: MqttModel, topic: str, place: str) -> bool:
    """Whether ``topic`` only tells who is there: whatever it says, it is no sign of life by itself."""
    said = {one.event for one in model.inputs if _matches(one.topic.replace(PLACE, place), topic)}
    return bool(said) and said <= set(STANDING)


def presses(model: MqttModel, topic: str, place: str) -> bool:
    """Whether people press or rate on ``topic``, and nobody else speaks there."""
    return any(
        one.event in ("key", "rating")
        and one.others == "refuse"
        and _matches(one.topic.replace(PLACE, place), topic)
        for one in model.inputs
    )


def _standing(one: MqttInput, heard: str) -> Finding | None:
    """Who is there, in whatever case it is written; None for another word."""
    known = {word.casefold(): meant for word, meant in one.values.items()}
    word = known.get(heard[:WORD_MAX].casefold())
    return None if word is None else Finding(one.event, word, heard)


def lamp_message(lamps: MqttLamps, place: str, channel: str, lit: bool) -> tuple[str, str]:
    """The topic and payload that switch a lamp on or off."""
    topic = lamps.topic.replace(PLACE, place).replace("{channel}", channel)
    return topic, lamps.on if lit else lamps.off


def lamp_channels(lamps: MqttLamps | None) -> frozenset[str]:
    """The channels of these lamps; "" for a single one."""
    if lamps is None:
        return frozenset()
    return (
        frozenset(map(str, range(lamps.first, lamps.first + lamps.count))) if lamps.count else frozenset({""})
    )


def _document(payload: bytes) -> Any:
    """A JSON object, or the payload's one word."""
    if len(payload) > SIZE_MAX_BYTES:
        raise Garbled("too_large")
    if payload.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        try:
            return parse(payload, SIZE_MAX_BYTES, None)
        except NotStrictJson as error:
            raise Garbled(error.reason) from None
    try:
        return payload.decode("utf-8-sig").strip().strip('"')
    except UnicodeDecodeError:
        raise Garbled("not_utf8") from None


def _count(one: MqttInput, document: Any) -> list[Finding]:
    """The count in a document; none where it has not one of the numbers."""
    numbers: dict[str, int] = {}
    for name in ("entered", "left", "occupancy"):
        pointer = getattr(one, name)
        if pointer is not None and (value := at_pointer(document, pointer)) is not None:
            numbers[name] = _people(value) * one.scale
    if not numbers:
        return []
    entered, left = numbers.get("entered", 0), numbers.get("left", 0)
    return [Finding("count", "", "", "", one.semantics, entered, left, numbers.get("occupancy", 0), one.line)]


def _people(value: Any) -> int:
    """A whole number, or a text of one: AXIS writes "7" so, ESPHome "7.0" as its payload."""
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value.partition(".")[0])
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= COUNT_MAX:
        raise Garbled("invalid")
    return value


def _matches(topic_filter: str, topic: str) -> bool:
    """MQTT 5 §4.7, for filters without a leading "$"."""
    wanted, given = topic_filter.split("/"), topic.split("/")
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(given) or level not in ("+", given[position]):
            return False
    return len(wanted) == len(given)
