"""The description of a Modbus module: which bits and registers it has, and what they mean; no I/O.

Addresses are those in the request (Modicon number minus 1). Lamps are not described here: driver ``modbus_relay`` has
those, and may use the same url and unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from edged.core.model.commands import Display
from edged.descriptions import Description, HexText, octets
from edged.driver import DeviceError, Garbled, Refused
from edged.links.modbus import pdus
from edged.shapes import Shape

BITS_AT_ONCE = 8  # a single byte has no order; some boards put the bytes of a longer answer in either
Address = Annotated[int, Meta(ge=0, le=0xFFFF)]
BitKind = Literal["coil", "input"]
RegisterKind = Literal["holding", "input-register"]


class MapContacts(Shape, frozen=True, kw_only=True):
    """Consecutive contacts of a module, numbered from 0 in this order, read by FC02 (``input``) or FC01 (``coil``).
    ``closed``: the value of the bit, 0 or 1, that means a closed contact.
    """

    read: BitKind = "input"
    address: Address = 0
    count: Annotated[int, Meta(ge=1, le=64)]
    closed: Literal[0, 1] = 1


class MapCounter(Shape, frozen=True, kw_only=True):
    """A people counter in one or two registers from ``address``, read by FC03 (``holding``) or FC04
    (``input-register``). ``scale``: people per unit of the register. ``order``: for two registers, whether the high or
    the low word comes first.
    """

    read: RegisterKind = "holding"
    address: Address
    words: Literal[1, 2] = 1
    order: Literal["high-first", "low-first"] = "high-first"
    scale: Annotated[int, Meta(ge=1, le=1000)] = 1


class MapNumber(Shape, frozen=True):
    """A numeric display, which shows the newest call. ``shows``: its ticket number or its window. ``form``: how that is
    written, as one number in a register (FC06) or as ASCII text (FC10).

    ``width``: characters. ``blank``: the register value that shows nothing (a text is cleared with spaces).
    """

    address: Address = 0
    shows: Literal["number", "window"] = "number"
    form: Literal["whole", "ascii"] = "whole"
    width: Annotated[int, Meta(ge=1, le=16)] = 4
    blank: Annotated[int, Meta(ge=0, le=0xFFFF)] = 0


class MapExample(Shape, frozen=True):
    """An example that proves the description. For inputs: a captured ``answer`` (hex, without unit and checksum), with
    the numbers of the contacts that it shows as closed (``inputs_on``) or the people in the first counter
    (``counted``). For a display: a ``call`` (ticket number and window; empty for no call), with the request that it
    ``sends``.
    """

    answer: HexText = "00"
    inputs_on: Annotated[tuple[int, ...], Meta(max_length=64)] | None = None
    counted: Annotated[tuple[int, ...], Meta(min_length=1, max_length=1)] | None = None
    call: Annotated[tuple[str, ...], Meta(max_length=2)] = ()
    sends: Annotated[str, Meta(max_length=120)] = ""


class MapModel(Description, frozen=True, kw_only=True):
    """The description of one kind of module. ``counters``: "in" counts people who enter, "out" people who leave."""

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
        """One line per example that does not fit the description: what the description gives, and what the example
        says.
        """
        wrong = []
        for example in self.examples:
            of = example.answer if not example.sends else example.call
            try:
                found, wanted = self._tried(example)
            except (DeviceError, ValueError) as error:
                wrong.append(f"{of}: refused: {error}")
                continue
            if found != wanted:
                wrong.append(f"{of}: {found}, not {wanted}")
        return wrong

    def _tried(self, example: MapExample) -> tuple[object, object]:
        if example.sends:
            if self.display is None:
                raise Refused("the description has no display")
            call = (example.call[0], example.call[1]) if len(example.call) == 2 else None
            return number_pdu(self.display, Display((), call)).hex(), octets(example.sends).hex()
        answer = octets(example.answer)
        if example.counted is not None:
            if not self.counters:
                raise Refused("the description has no counters")
            counter = next(iter(self.counters.values()))
            return counted(counter, pdus.registers(answer)), example.counted[0]
        if self.contacts is None:
            raise Refused("the description has no contacts")
        levels = pdus.coils(answer, min(self.contacts.count, BITS_AT_ONCE))
        closed = tuple(place for place, bit in enumerate(levels) if bit == bool(self.contacts.closed))
        return closed, example.inputs_on


def counted(counter: MapCounter, registers: Sequence[int]) -> int:
    """Return the number of people that ``registers`` contain. Raises ``Garbled`` if there are more or fewer registers
    than the counter has words.
    """
    if len(registers) != counter.words:
        raise Garbled(f"{len(registers)} registers where {counter.words} were asked for")
    words = registers if counter.order == "high-first" else tuple(reversed(registers))
    value = 0
    for word in words:
        value = value << 16 | word
    return value * counter.scale


def number_pdu(number: MapNumber, value: Display) -> bytes:
    """Return the request that shows the newest call on a display, or blanks it without a call. Only the last ``width``
    characters are shown; a ``whole`` display gets only the digits, as a number of at most 65,535.
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
    """Turns the values of a counter's register into a total that does not fall back when the register overflows (16
    bits start again at 0 after 65,535).
    """

    counter: MapCounter
    base: int = 0
    last: int | None = None

    def total(self, value: int) -> int:
        """Return the people counted so far. ``value``: the counter's present value, in people. If it fell from near the
        register's end to near 0, the register overflowed and the total grows on; any other fall counts as a reset of
        the module, and the total starts again at ``value``.
        """
        most = (1 << 16 * self.counter.words) * self.counter.scale
        if self.last is not None and value < self.last:
            wrapped = self.last > most - most // 4 and value < most // 4
            self.base = self.base + most if wrapped else 0
        self.last = value
        return self.base + value


class Contacts:
    """Finds key presses in the states of contacts that are polled. A contact that is already closed at the first poll
    does not count as pressed.

    A contact that closes again within ``bounce_s`` after it was counted is the same press.
    """

    def __init__(self, bounce_s: float) -> None:
        self._bounce_s = bounce_s
        self._closed: dict[int, bool] = {}
        self._counted_s: dict[int, float] = {}

    def pressed(self, closed: Sequence[bool], first: int, now_s: float) -> list[int]:
        """Return the numbers of the contacts that closed since the poll before. ``closed``: the present states of the
        contacts from number ``first`` on; ``now_s``: hall seconds, to ignore bouncing.
        """
        found = []
        for place, level in enumerate(closed, first):
            before = self._closed.get(place, level)
            self._closed[place] = level
            if level and not before and now_s - self._counted_s.get(place, -self._bounce_s) >= self._bounce_s:
                self._counted_s[place] = now_s
                found.append(place)
        return found

    def forget(self) -> None:
        """Forget all states, because the module could not be reached: contacts that are closed at the next poll do not
        count as pressed.
        """
        self._closed.clear()
