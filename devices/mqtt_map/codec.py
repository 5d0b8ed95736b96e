"""Decodes what a device publishes on MQTT, according to its description, and encodes lamp commands for it; no I/O.

A payload is either a JSON object, in which JSON pointers (RFC 6901) find values, or a single word, which the empty
pointer finds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta, field

from edged.core.model.events import Key
from edged.descriptions import Description, Pointer, as_text, at_pointer
from edged.driver import DeviceError, Garbled, Refused
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
    """One kind of message that the device publishes on ``topic``, and what it means (``event``).

    For the events ``key``, ``rating`` and ``fault``, ``pointer`` finds a word in the payload. ``values`` maps it to the
    key, the rating ("1" to "5") or the text of the fault ("" ends the fault). A key or rating mapped to "" is ignored.
    ``others``, only for a key or rating, says what to do with a word that ``values`` lacks; on an open radio network
    most of those come from other people's devices. ``channels`` maps the word to the name of the button that sends it.

    For ``presence`` (of the device itself) and ``gateway`` (of the program that publishes for it), ``values`` maps the
    word, in upper or lower case, to "online" or "offline". The word may also be the whole payload, as from older
    zigbee2mqtt.

    For ``count``, the pointers ``entered``, ``left`` and ``occupancy`` find the numbers, in units of ``scale`` people.
    ``semantics``: whether these are totals, counts of a window of time, or the people inside now. ``line``: the name of
    the counting line that was crossed.
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
    """The lamps of a device, numbered from ``first`` to ``first + count - 1``. ``topic``: on which they are switched;
    ``{channel}`` in it stands for the lamp's number. ``on`` and ``off``: the payloads.

    ``count`` 0: a single lamp without a channel. Blinking is done by the driver.
    """

    topic: TopicText
    on: Annotated[str, Meta(min_length=1, max_length=500)]
    off: Annotated[str, Meta(min_length=1, max_length=500)]
    first: Annotated[int, Meta(ge=0, le=1)] = 1
    count: Annotated[int, Meta(ge=0, le=64)] = 0


class MqttExample(Shape, frozen=True):
    """An example that proves the description. For inputs: a captured ``payload`` on ``topic``, and the ``event`` that
    it means. For lamps: the payload that the driver ``sends`` to ``topic`` to switch lamp ``channel`` to ``level``.

    ``event`` in words: ``key recall``, ``key next 2`` (button 2), ``rating 5``, ``total 12 7``, ``window 1 0``,
    ``occupancy 7``, ``online``, ``gateway offline``, ``fault low battery``; several are joined by "; "; "" if it means
    nothing.
    """

    topic: TopicText = PLACE
    payload: Annotated[str, Meta(max_length=8000)] = ""
    event: Annotated[str, Meta(max_length=400)] = ""
    channel: Annotated[str, Meta(max_length=32)] = ""
    level: Literal["", "on", "off"] = ""
    sends: Annotated[str, Meta(max_length=500)] = ""


class MqttModel(Description, frozen=True, kw_only=True):
    """The description of one kind of device. ``silent_s``: after so many hall seconds of silence the device counts as
    lost; 0: silence does not matter, because the device publishes its presence.

    ``only_keys``: the keys that hall.toml may give to the device's buttons, for a device whose messages anybody could
    send. Empty: any key, and requests for numbers.
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
        """One line per example that does not fit the description: what the description gives, and what the example
        says.
        """
        wrong = []
        for example in self.examples:
            wanted = f"{example.topic} {example.sends}" if example.level else example.event
            try:
                found = _sent(self, example) if example.level else _reported(self, example)
            except (DeviceError, ValueError) as error:
                found = f"refused: {error}"
            if found != wanted:
                wrong.append(f"{example.topic} {example.payload or example.level}: {found!r}, not {wanted!r}")
        return wrong


def _sent(model: MqttModel, example: MqttExample) -> str:
    if model.lamps is None:
        raise Refused("the description has no lamps")
    topic, payload = lamp_message(model.lamps, PLACE, example.channel, example.level == "on")
    return f"{topic} {payload}"


def _reported(model: MqttModel, example: MqttExample) -> str:
    found = findings(model, example.topic, example.payload.encode(), PLACE)
    return "; ".join(one.words for one in found)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a message reports: a key, rating, presence, fault or count. ``word``: its meaning according to the
    description; ``text``: the device's own word for it in the payload.
    """

    event: EventKind
    word: str = ""
    text: str = ""
    channel: str = ""
    semantics: Semantics = "total"
    entered: int = 0
    left: int = 0
    occupancy: int = 0
    line: str = ""

    @property
    def words(self) -> str:
        """The finding in the notation of ``MqttExample.event``."""
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
    """Return everything that a message on ``topic`` reports. ``place``: the device's own part of its topics, from
    hall.toml. Raises ``Garbled`` if the payload cannot be read, a count in it is invalid, or it has an unknown word and
    reports nothing else; the error's text is a single fixed word for the log ("unknown_value"). Unknown faults, and
    words that ``others`` says to ignore, are skipped.
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
        text = as_text(at_pointer(document, one.pointer))
        if one.event in STANDING and isinstance(document, str):
            text = document
        if text is None or not text:
            continue
        if one.event in STANDING:
            presence = _presence(one, text)
            unknown = unknown or presence is None
            found += [] if presence is None else [presence]
            continue
        if text[:WORD_MAX] not in one.values:
            unknown = unknown or (one.event in ("key", "rating") and one.others == "refuse")
            continue
        word = one.values[text[:WORD_MAX]]
        if word or one.event == "fault":
            found.append(Finding(one.event, word, text, one.channels.get(text, "")))
    if unknown and not found:
        raise Garbled("unknown_value")
    return found


def carries_only_presence(model: MqttModel, topic: str, place: str) -> bool:
    """Does ``topic`` only carry the presence of the device or its gateway? Such a message may come from the broker, so
    it does not prove that the device is alive. ``place``: as in ``findings``.
    """
    events = {one.event for one in model.inputs if _matches(one.topic.replace(PLACE, place), topic)}
    return bool(events) and events <= set(STANDING)


def presses(model: MqttModel, topic: str, place: str) -> bool:
    """Does ``topic`` carry key presses or ratings of which an unknown word is an error (``others`` is "refuse"),
    because only this device sends there? ``place``: as in ``findings``.
    """
    return any(
        one.event in ("key", "rating")
        and one.others == "refuse"
        and _matches(one.topic.replace(PLACE, place), topic)
        for one in model.inputs
    )


def _presence(one: MqttInput, text: str) -> Finding | None:
    """Return the presence that a word of the device means, whatever its upper and lower case; None for an unknown
    word.
    """
    known = {word.casefold(): meant for word, meant in one.values.items()}
    word = known.get(text[:WORD_MAX].casefold())
    return None if word is None else Finding(one.event, word, text)


def lamp_message(lamps: MqttLamps, place: str, channel: str, lit: bool) -> tuple[str, str]:
    """Return the topic and payload that switch a lamp on (``lit``) or off. ``place``: as in ``findings``; ``channel``:
    the lamp's number.
    """
    topic = lamps.topic.replace(PLACE, place).replace("{channel}", channel)
    return topic, lamps.on if lit else lamps.off


def lamp_channels(lamps: MqttLamps | None) -> frozenset[str]:
    """The channels of these lamps, as numbers in text ("1", "2"); {""} for a single lamp, which has no channel; none
    without lamps.
    """
    if lamps is None:
        return frozenset()
    return (
        frozenset(map(str, range(lamps.first, lamps.first + lamps.count))) if lamps.count else frozenset({""})
    )


def _document(payload: bytes) -> Any:
    """Return the payload as a JSON object or, if it does not begin with "{", as one word. Raises ``Garbled`` if it is
    too large, invalid JSON or not UTF-8.
    """
    if len(payload) > SIZE_MAX_BYTES:
        raise Garbled("too_large")
    payload = payload.rstrip(b"\0")  # programs in C send the end of their text, too
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
    """Return the count that a payload contains, as the only finding; empty if it has none of the description's
    numbers.
    """
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
    """A whole number, also as text ("7" from AXIS, "7.0" from ESPHome). Raises ``Garbled`` for anything else."""
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value.partition(".")[0])
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= COUNT_MAX:
        raise Garbled("invalid")
    return value


def _matches(topic_filter: str, topic: str) -> bool:
    """Whether ``topic`` matches the filter (MQTT 5 §4.7; filters here do not begin with "$")."""
    wanted, given = topic_filter.split("/"), topic.split("/")
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(given) or level not in ("+", given[position]):
            return False
    return len(wanted) == len(given)
