"""A Modbus module according to its description: which bits and registers it has, and what they mean; no I/O.

Addresses are those on the wire (Modicon number minus 1). Lamps are not here: they are of driver ``modbus_relay``, which
may share url and unit with this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from edged.core.model.commands import Display
from edged.descriptions import Description, HexText, octets
from edged.driver import Garbled
from edged.links.modbus import pdus
from edged.shapes import Shape

BITS_AT_ONCE = 8  # a single byte has no order; some boards put the bytes of a longer answer in either
Address = Annotated[int, Meta(ge=0, le=0xFFFF)]
BitKind = Literal["coil", "input"]
RegisterKind = Literal["holding", "input-register"]


class MapContacts(Shape, frozen=True, kw_only=True):
    """Contacts in a row, numbered from 0, read by FC02 (``input``) or FC01. ``closed``: the bit of a closed one."""

    read: BitKind = "input"
    address: Address = 0
    count: Annotated[int, Meta(ge=1, le=64)]
    closed: Literal[0, 1] = 1


class MapCounter(Shape, frozen=True, kw_only=True):
    """A counter in one or two registers, FC03 or FC04. ``scale``: people each; ``order``: which word comes first."""

    read: RegisterKind = "holding"
    address: Address
    words: Literal[1, 2] = 1
    order: Literal["high-first", "low-first"] = "high-first"
    scale: Annotated[int, Meta(ge=1, le=1000)] = 1


class MapNumber(Shape, frozen=True):
    """A numeric display: what it ``shows`` of the newest call, as a ``whole`` number (FC06) or in ``ascii`` (FC10).

    ``width``: characters; ``blank``: the register value that shows nothing (a text is blanked with spaces).
    """

    address: Address = 0
    shows: Literal["number", "window"] = "number"
    form: Literal["whole", "ascii"] = "whole"
    width: Annotated[int, Meta(ge=1, le=16)] = 4
    blank: Annotated[int, Meta(ge=0, le=0xFFFF)] = 0


class MapExample(Shape, frozen=True):
    """The captured ``answer`` (hex, without unit and checksum) to a read of contacts and which are closed; or to a read
    of the first counter and what it ``counted``; or a ``call`` (number, window; empty: none) and what it ``sends``.
    """

    answer: HexText = "00"
    inputs_on: Annotated[tuple[int, ...], Meta(max_length=64)] | None = None
    counted: Annotated[tuple[int, ...], Meta(max_length=1)] | None = None
    call: Annotated[tuple[str, ...], Meta(max_length=2)] = ()
    sends: Annotated[str, Meta(max_length=120)] = ""


class MapModel(Description, frozen=True, kw_only=True):
    """One kind of module. ``counters`` by name: ``in`` counts who enters, ``out`` who leaves."""

    unit: Annotated[int, Meta(ge=1, le=255)] = 1
    contacts: MapContacts | None = None
    counters: Annotated[dict[Literal["in", "out"], MapCounter], Meta(max_length=2)] | None = None
    display: MapNumber | None = None
    examples: Annotated[tuple[MapExample, ...], Meta(min_length=1, max_length=50)]

    def __post_init__(self) -> None:
        Description.__post_init__(self)
        if self.contacts is None and not self.counters and self.display is None:
            raise ValueError("a description without contacts, counters and display describes nothing")

    def wrong_examples(self) -> list[str]:
        """The examples whose answer means, or whose call sends, something else than they say; one line each."""
        wrong = []
        for example in self.examples:
            found, wanted = self._tried(example)
            if found != wanted:
                wrong.append(
                    f"{example.answer if not example.sends else example.call}: {found}, not {wanted}"
                )
        return wrong

    def _tried(self, example: MapExample) -> tuple[object, object]:
        if example.sends:
            assert self.display is not None, "an example that sends is of a display"
            call = (example.call[0], example.call[1]) if len(example.call) == 2 else None
            return number_pdu(self.display, Display((), call)).hex(), octets(example.sends).hex()
        answer = octets(example.answer)
        if example.counted is not None:
            assert self.counters, "an example that counts is of a counter"
            counter = next(iter(self.counters.values()))
            return counted(counter, pdus.registers(answer)), example.counted[0]
        assert self.contacts is not None, "an example with contacts is of a module that has some"
        levels = pdus.coils(answer, min(self.contacts.count, BITS_AT_ONCE))
        closed = tuple(place for place, bit in enumerate(levels) if bit == bool(self.contacts.closed))
        return closed, example.inputs_on


def counted(counter: MapCounter, registers: Sequence[int]) -> int:
    """The number of people in the registers of a counter. Raises ``Garbled``."""
    if len(registers) != counter.words:
        raise Garbled(f"{len(registers)} registers where {counter.words} were asked for")
    words = registers if counter.order == "high-first" else tuple(reversed(registers))
    value = 0
    for word in words:
        value = value << 16 | word
    return value * counter.scale


def number_pdu(number: MapNumber, value: Display) -> bytes:
    """The request that shows the newest call on a display; a ticket's letter is left out if the display has only
    digits.
    """
    call = "" if value.call is None else value.call[0 if number.shows == "number" else 1]
    if number.form == "ascii":
        text = "".join(char if 0x20 <= ord(char) < 0x7F else " " for char in call)[-number.width :]
        data = text.ljust(number.width + number.width % 2).encode()
        words = [int.from_bytes(data[place : place + 2], "big") for place in range(0, len(data), 2)]
        return pdus.set_registers(number.address, words)
    digits = "".join(char for char in call if char.isascii() and char.isdecimal())[-number.width :]
    return pdus.set_register(number.address, min(0xFFFF, int(digits)) if digits else number.blank)


@dataclass(slots=True)
class Unwrapped:
    """Continues a counter beyond its register's end: one of 16 bits begins anew after 65,535 people."""

    counter: MapCounter
    base: int = 0
    last: int | None = None

    def total(self, value: int) -> int:
        """How many people since the first reading, as a number that only grows; a module that was reset begins a new
        one.
        """
        most = (1 << 16 * self.counter.words) * self.counter.scale
        if self.last is not None and value < self.last:
            wrapped = self.last > most - most // 4 and value < most // 4
            self.base = self.base + most if wrapped else 0
        self.last = value
        return self.base + value


class Contacts:
    """Finds presses among contacts that are read again and again. A contact closed at the first reading was not
    pressed.

    A contact that closes again within ``bounce_s`` of having been counted is the same press.
    """

    def __init__(self, bounce_s: float) -> None:
        self._bounce_s = bounce_s
        self._closed: dict[int, bool] = {}
        self._counted_s: dict[int, float] = {}

    def pressed(self, closed: Sequence[bool], first: int, now_s: float) -> list[int]:
        """The contacts, numbered from ``first``, that closed since they were last read."""
        found = []
        for place, level in enumerate(closed, first):
            before = self._closed.get(place, level)
            self._closed[place] = level
            if level and not before and now_s - self._counted_s.get(place, -self._bounce_s) >= self._bounce_s:
                self._counted_s[place] = now_s
                found.append(place)
        return found

    def forget(self) -> None:
        """Call when the module was away: what is closed when it is back was not pressed."""
        self._closed.clear()
