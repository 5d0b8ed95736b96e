"""Relay modules as data: ``*.toml`` beside this file say where the coils are and what each module does by itself.

Addresses are those on the wire (Modicon number minus 1).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from edged.descriptions import Description, HexText, Named, described, octets
from edged.shapes import Shape

FAMILY = "modbus_relay"
Word = Annotated[int, Meta(ge=0, le=0xFFFF)]
Level = Literal["off", "on", "blink"]


class LampExample(Shape, frozen=True):
    """Lamp ``channel`` at ``level`` (1 Hz, a loan of 30 s) ``sends`` this request, in hex without unit and checksum."""

    channel: Annotated[int, Meta(ge=0, le=255)]
    level: Level
    sends: HexText


class Profile(Description, frozen=True, kw_only=True):
    """One kind of relay module.

    ``write``: lamps are coils (FC05) or registers (FC06), lit by ``on`` and dark by ``off``.
    ``pulse_on``/``pulse_off``: address of coil 0's one-shot pulse (on, then off by itself after value x 100 ms; or the
    reverse): the module's own dead-man. ``blinks``: (Hz, value) pairs that it blinks by itself.
    ``reads``: coils can be read back by FC01.
    """

    channels: Annotated[int, Meta(ge=1, le=256)]
    base: Word = 0
    unit: Annotated[int, Meta(ge=1, le=255)] = 1
    write: Literal["coil", "register"] = "coil"
    on: Word = 0xFF00
    off: Word = 0x0000
    pulse_on: Word | None = None
    pulse_off: Word | None = None
    blinks: Annotated[tuple[tuple[float, int], ...], Meta(max_length=16)] = ()
    reads: bool = True
    examples: Annotated[tuple[LampExample, ...], Meta(min_length=1, max_length=50)]

    def __post_init__(self) -> None:
        Description.__post_init__(self)
        if self.write == "register" and (
            self.reads or self.pulse_on is not None or self.pulse_off is not None
        ):
            raise ValueError('write = "register" needs reads = false and has no pulses: those are of coils')
        if any(not 0.05 <= rate <= 20 or not 0 <= value <= 0xFFFF for rate, value in self.blinks):
            raise ValueError("blinks are pairs of a rate of 0.05 to 20 Hz and a value of 0 to 0xFFFF")

    def wrong_examples(self) -> list[str]:
        """The examples whose level does not become the bytes they say; one line each."""
        from devices.modbus_relay.codec import Style, write_for  # which itself speaks of profiles

        wrong = []
        for example in self.examples:
            sent = write_for(Style(self), example.channel, example.level).to_bytes()
            if sent != octets(example.sends):
                wrong.append(
                    f"channel {example.channel} {example.level}: sends {sent.hex(' ')}, not {example.sends}"
                )
        return wrong


def profile_of(named: Named) -> Profile:
    """The profile that an option names or contains. Raises ``ValueError``."""
    return described(FAMILY, named, Profile)
