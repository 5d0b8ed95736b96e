"""Relay modules as data: where their coils are and what each can do by itself. To support a module, add a line here.

Addresses are those on the wire (Modicon number minus 1). Sources stand beside each entry; what no document says is
marked "not confirmed".
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of module.

    ``pulse_on``/``pulse_off``: address of coil 0's one-shot pulse (on, then off by itself after value x 100 ms; or
    the reverse): the module's own dead-man. ``blinks``: (Hz, FC05 value) pairs that it blinks by itself.
    ``reads``: coils can be read back.
    """

    channels: int
    base: int = 0
    unit: int = 1
    pulse_on: int | None = None
    pulse_off: int | None = None
    blinks: tuple[tuple[float, int], ...] = ()
    reads: bool = True


PROFILES: dict[str, Profile] = {
    # Any module with standard coils from 0.
    "plain": Profile(channels=32),
    # Modbus RTU Relay 8/32CH, protocol V2 and later (waveshare.com/wiki/Modbus_RTU_Relay). That a pulse sent again
    # starts anew, and that an off ends it, is not confirmed by the page.
    "waveshare": Profile(channels=32, pulse_on=0x0200, pulse_off=0x0400),
    # ADAM-4068: Modicon coils 00017-00024 (ADAM-4000 manual 10.7, appendix G). Ships in ADAM-ASCII mode.
    "adam4068": Profile(channels=8, base=0x10),
    # ADAM-6060: relays from Modicon 00017, inputs before them (ADAM-6000 manual).
    "adam6060": Profile(channels=6, base=0x10),
    # ioLogik E1211: DO 0-15 are coils 0-15, unless user-defined addressing moved them.
    "moxa-e1211": Profile(channels=16),
    # LC-tech 8-channel board: answers to 0xFF from the factory.
    "lc-tech": Profile(channels=8, unit=0xFF),
    # RS-485 signal tower, vendor unnamed: red, yellow, green, buzzer; blinks by itself. Reading back: not confirmed.
    "tower": Profile(
        channels=4, blinks=((2.0, 0xF000), (1.0, 0xF100), (0.5, 0xF200), (0.25, 0xF300)), reads=False
    ),
}
