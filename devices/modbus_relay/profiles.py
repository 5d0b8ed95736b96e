"""Descriptions of relay modules: each ``*.toml`` beside this file says where one kind of module has its coils, and what
it does by itself.

Addresses are those in the request (Modicon number minus 1).
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
    """An example that proves a profile: to set lamp ``channel`` to ``level`` (blinking at 1 Hz, ``dead_man_s`` 30), the
    driver ``sends`` this request, in hex without unit and checksum.
    """

    channel: Annotated[int, Meta(ge=0, le=255)]
    level: Level
    sends: HexText


class Profile(Description, frozen=True, kw_only=True):
    """The description of one kind of relay module.

    ``write``: lamps are coils (FC05) or registers (FC06); the value ``on`` lights one, ``off`` makes it dark.
    ``pulse_on``: a value written to this address switches coil 0 on for value x 100 ms; then the module switches it off
    by itself, even if the controller is dead. The next address does so for coil 1, and so on. ``pulse_off``: the same
    with on and off exchanged. ``blinks``: the rates at which the module can blink by itself, as (Hz, value to write).
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
        """One line per example that does not fit the profile: what the profile sends, and what the example says."""
        from devices.modbus_relay.codec import Style, write_for  # imports this module

        wrong = []
        for example in self.examples:
            sent = write_for(Style(self), example.channel, example.level).to_bytes()
            if sent != octets(example.sends):
                wrong.append(
                    f"channel {example.channel} {example.level}: sends {sent.hex(' ')}, not {example.sends}"
                )
        return wrong


def profile_of(named: Named) -> Profile:
    """The profile that an option names or contains. Raises ``ValueError`` if there is no such profile or it has
    mistakes.
    """
    return described(FAMILY, named, Profile)
