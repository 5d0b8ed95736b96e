"""The other end: a Candle bus with panels, boards and a kiosk that hears real frames, shows them and can be pressed.

Rules: it keeps what each unit shows (``lamps``, ``texts``), counts every frame both ways, and misbehaves by seed. A
unit shows what the wire brought, never what somebody meant. ``write`` sends bytes to the controller; whoever owns the
wire calls ``feed`` with what arrives.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from devices.candle485.codec import (
    BEEP,
    BLINK_NONE,
    LED_GREEN_SLOW,
    LED_OFF,
    Brightness,
    Frame,
    Parser,
    Readdress,
    Signal,
    Text,
)

KIOSK_ADDRESS = 0x20  # any: no host looks at it
FRAMES_MAX = 1000  # kept for a test to look at
BABBLE_BYTES = 48  # per burst of noise


@dataclass(frozen=True, slots=True)
class Faults:
    """Chances per frame: ``deaf`` for one that a unit misses, the others for one that a key press sends."""

    deaf: float = 0.0
    drop: float = 0.0
    garble: float = 0.0
    late: float = 0.0
    late_s: float = 0.3


class FakeCandle:
    """One bus. ``echo``: the controller's adapter hears itself. ``alive`` False: nothing on the bus has power."""

    def __init__(self, write: Callable[[bytes], None], *, echo: bool = False, seed: int = 0) -> None:
        self._write = write
        self._parser = Parser()
        self._dice = random.Random(seed)
        self.echo = echo
        self.alive = True
        self.faults = Faults()
        self.frames: list[Frame] = []  # the newest FRAMES_MAX
        self.frames_received = 0
        self.frames_sent = 0
        self.beeps = 0
        self.lamps: dict[int, int] = {}  # address -> code, without the beep
        self.texts: dict[int, str] = {}  # address -> digits
        self.blinks: dict[int, int] = {}  # address -> blink byte
        self.levels: dict[int, int] = {}  # address -> brightness

    @property
    def shown(self) -> dict[int, str]:
        """What a person reads on each unit with digits; nothing without power."""
        return {address: text.rstrip() for address, text in self.texts.items()} if self.alive else {}

    def lamp(self, address: int) -> int:
        """A panel's lamp as a code without beep."""
        return self.lamps.get(address, LED_OFF) if self.alive else LED_OFF

    @property
    def noise(self) -> int:
        """Bytes heard that were no frame."""
        return self._parser.noise

    def feed(self, data: bytes) -> None:
        """Bytes from the controller."""
        if self.echo:
            self._write(data)
        if self.alive:
            for frame in self._parser.feed(data):
                self._hear(frame)

    def press_key(self, address: int, code: int) -> None:
        """A clerk presses a key (``KEY_NEXT`` …) of the panel at ``address``."""
        self._say(Signal(address, code))

    def press_button(self, number: int, address: int = KIOSK_ADDRESS) -> None:
        """A visitor presses a kiosk's button."""
        self._say(Signal(address, number))

    def babble(self, size: int = BABBLE_BYTES) -> None:
        """A broken unit sends one burst of noise."""
        self._write(self._dice.randbytes(size))

    def power_cycle(self) -> None:
        """Every unit forgets what it showed; the brightness stays (NVRAM)."""
        self.lamps.clear()
        self.texts.clear()
        self.blinks.clear()
        self.alive = True

    def _hear(self, frame: Frame) -> None:
        self.frames_received += 1
        self.frames = [*self.frames[1 - FRAMES_MAX :], frame]
        if self._dice.random() < self.faults.deaf:
            return
        match frame:
            case Signal(address, code):
                beeps = code > LED_GREEN_SLOW
                self.beeps += beeps
                self.lamps[address] = code - BEEP if beeps else code
            case Text(address, blink, digits):
                self.texts[address] = digits + self.texts.get(address, "")[len(digits) :]
                self.blinks[address] = blink
            case Brightness(address, level):
                self.levels[address] = level
            case Readdress(address, new):
                if address in self.texts:
                    self.texts[new] = self.texts.pop(address)
                    self.blinks[new] = self.blinks.pop(address, BLINK_NONE)

    def _say(self, frame: Frame) -> None:
        if not self.alive or self._dice.random() < self.faults.drop:
            return
        self.frames_sent += 1
        raw = frame.to_bytes()
        if self._dice.random() < self.faults.garble:
            at = self._dice.randrange(len(raw))
            raw = raw[:at] + bytes((raw[at] ^ 0x80,)) + raw[at + 1 :]
        if self._dice.random() < self.faults.late:
            asyncio.get_running_loop().call_later(self.faults.late_s, self._write, raw)
        else:
            self._write(raw)
