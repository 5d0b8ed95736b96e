"""Modbus messages of relay modules as frozen values, and their bytes; no I/O.

The driver itself encodes with pymodbus (``edged.links.modbus.pdus``). From here it uses ``write_for``, which decides
which write a lamp's state needs on a given module, and ``blink_value``. The messages serve the fake module
(``fake.py``) and the tests: they are independent of pymodbus, so that a mistake in it would be noticed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from devices.modbus_relay.profiles import Profile
from edged.driver import Garbled
from edged.links.modbus.frames import (
    FAILED,
    READ_COILS,
    READ_HOLDING,
    READ_INPUTS,
    WRITE_COIL,
    WRITE_COILS,
    WRITE_REGISTER,
)

TOGGLE = 0x5500  # Waveshare protocol V2
ALL_COILS = 0x00FF  # Waveshare: write here means every coil
PULSE_UNIT_S = 0.1  # Waveshare: pulse lengths are in 100 ms
PULSE_MAX = 0x7FFF

State = Literal["off", "on", "blink"]


@dataclass(frozen=True, slots=True)
class Read:
    """A request that reads ``count`` bits or registers from ``address`` (FC01, FC02 or FC03)."""

    function: int
    address: int
    count: int

    def to_bytes(self) -> bytes:
        return struct.pack(">BHH", self.function, self.address, self.count)


@dataclass(frozen=True, slots=True)
class Bits:
    """An answer to FC01 or FC02. ``packed``: the states of coils or inputs as bits of whole bytes, the first in the
    lowest bit.
    """

    function: int
    packed: bytes

    def to_bytes(self) -> bytes:
        return bytes((self.function, len(self.packed))) + self.packed


@dataclass(frozen=True, slots=True)
class Write:
    """A request that writes one coil or register (FC05 or FC06); its answer has the same bytes."""

    function: int
    address: int
    value: int

    def to_bytes(self) -> bytes:
        return struct.pack(">BHH", self.function, self.address, self.value)


@dataclass(frozen=True, slots=True)
class WriteMany:
    """A request that writes ``count`` coils from ``address`` on (FC0F), or its answer. ``packed``: their values as
    bits; empty in the answer.
    """

    address: int
    count: int
    packed: bytes = b""

    def to_bytes(self) -> bytes:
        head = struct.pack(">BHH", WRITE_COILS, self.address, self.count)
        return head + bytes((len(self.packed),)) + self.packed if self.packed else head


@dataclass(frozen=True, slots=True)
class Refusal:
    """An exception answer, with which a module refuses a request."""

    function: int
    code: int

    def to_bytes(self) -> bytes:
        return bytes((self.function | FAILED, self.code))


Message = Read | Bits | Write | WriteMany | Refusal


def decode_request(pdu: bytes) -> Message:
    """Parse a request PDU. Raises ``Garbled`` for a function or length that no relay module takes."""
    function = pdu[0] if pdu else 0
    if function in (READ_COILS, READ_INPUTS, READ_HOLDING) and len(pdu) == 5:
        return Read(function, *struct.unpack(">HH", pdu[1:]))
    if function in (WRITE_COIL, WRITE_REGISTER) and len(pdu) == 5:
        return Write(function, *struct.unpack(">HH", pdu[1:]))
    if function == WRITE_COILS and len(pdu) > 6 and len(pdu) == 6 + pdu[5]:
        address, count = struct.unpack(">HH", pdu[1:5])
        if pdu[5] == (count + 7) // 8:
            return WriteMany(address, count, pdu[6:])
    raise Garbled(f"not a request: function {function}, {len(pdu)} bytes")


def decode_answer(pdu: bytes) -> Message:
    """Parse an answer PDU. Raises ``Garbled`` for a function or length that no relay module sends, such as an answer
    with registers.
    """
    function = pdu[0] if pdu else 0
    if function & FAILED and len(pdu) == 2:
        return Refusal(function & ~FAILED, pdu[1])
    if function in (READ_COILS, READ_INPUTS) and len(pdu) > 2 and len(pdu) == 2 + pdu[1]:
        return Bits(function, pdu[2:])
    if function in (WRITE_COIL, WRITE_REGISTER) and len(pdu) == 5:
        return Write(function, *struct.unpack(">HH", pdu[1:]))
    if function == WRITE_COILS and len(pdu) == 5:
        return WriteMany(*struct.unpack(">HH", pdu[1:]))
    raise Garbled(f"not an answer: function {function}, {len(pdu)} bytes")


@dataclass(frozen=True, slots=True)
class Style:
    """How lamps are connected to a module, and how they shine. ``inverted``: a lamp is lit while its coil is off (break
    contact). ``dead_man_s``: on a module with one-shot pulses, a lit lamp goes dark by itself after so many seconds
    without a new command. The module times them, so they are real seconds.
    """

    profile: Profile
    inverted: bool = False
    blink_hz: float = 1.0
    dead_man_s: float = 30.0


def write_for(style: Style, channel: int, state: State, lit_phase: bool = True) -> Write:
    """Return the write (FC05 or FC06) that sets lamp ``channel`` to ``state``. ``lit_phase``: if the driver makes the
    lamp blink, whether it is now to be lit.

    If the module has one-shot pulses, a lamp is only lit for ``dead_man_s`` or half a blink, and goes dark by itself.
    """
    profile = style.profile
    function = WRITE_COIL if profile.write == "coil" else WRITE_REGISTER
    built_in = blink_value(style)
    if state == "blink" and built_in is not None:
        return Write(function, profile.base + channel, built_in)
    lit = state == "on" or (state == "blink" and lit_phase)
    pulse = profile.pulse_off if style.inverted else profile.pulse_on
    if lit and pulse is not None:
        seconds = style.dead_man_s if state == "on" else 0.5 / style.blink_hz
        length = min(PULSE_MAX, max(1, round(seconds / PULSE_UNIT_S)))
        return Write(WRITE_COIL, pulse + channel, length)
    return Write(function, profile.base + channel, profile.on if lit != style.inverted else profile.off)


def blink_value(style: Style) -> int | None:
    """Return the register value of that blinking rate of the module that is nearest to ``blink_hz``. None if the module
    cannot blink by itself (or the lamps are ``inverted``), so that the driver makes them blink.
    """
    if not style.profile.blinks or style.inverted:
        return None
    return min(style.profile.blinks, key=lambda blink: abs(blink[0] - style.blink_hz))[1]
