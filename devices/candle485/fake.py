"""A simulated Candle bus: panels, boards and a kiosk, which show what they receive and have seeded faults.

The wire is a ``ByteLink``: the device's end of ``edged.sim.pty.Pty`` or one end of a ``MemoryLink`` pair. It may lose,
flip or delay bytes by itself; the faults in this module are those of panels and boards.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from devices.candle485.codec import (
    BEEP,
    BLINK_NONE,
    DIGITS_MAX,
    KEYS,
    LED_GREEN_SLOW,
    LED_OFF,
    LEVEL_MIN,
    Brightness,
    Frame,
    Parser,
    Readdress,
    Signal,
    Text,
)
from edged.core.model.events import Key
from edged.driver import Unreachable
from edged.links import ByteLink

OUTBOX_MAX = 256  # frames waiting while the connection is down; further ones are lost
BABBLE_BYTES = 32  # per piece
BABBLE_PAUSE_S = 0.01  # real seconds between pieces
KIOSK_ADDRESS = 0x7E  # arbitrary: not documented
CODES = {key: code for code, key in KEYS.items()}


@dataclass(frozen=True, slots=True)
class CandleFaults:
    """Faults of the simulated bus. For each frame that a unit sends, ``drop`` is the probability that it is lost,
    ``garble`` that it arrives damaged. ``echo``: the host gets its own bytes back. ``dead``: no unit has power.
    """

    drop: float = 0.0
    garble: float = 0.0
    echo: bool = False
    dead: bool = False


@dataclass(slots=True)
class FakeUnit:
    """State of one simulated panel or board. ``led``: the code of the LED's colour and blinking; ``beeps``: how often
    it has beeped.
    """

    led: int = LED_OFF
    beeps: int = 0
    text: str = ""
    blink: int = BLINK_NONE
    brightness: int = LEVEL_MIN


class FakeCandleBus:
    """Panels, boards and one kiosk. ``panels`` and ``boards``: name to address, as in the driver's options.

    ``faults`` may be replaced at any time. ``frames_sent`` and ``frames_received`` count frames by unit name;
    "button-3" is a button of the kiosk.
    """

    def __init__(
        self,
        wire: ByteLink,
        panels: Mapping[str, int] | None = None,
        boards: Mapping[str, int] | None = None,
        seed: int = 0,
    ) -> None:
        self.addresses = {**(panels or {}), **(boards or {})}
        self.units = {name: FakeUnit() for name in self.addresses}
        self.faults = CandleFaults()
        self.frames_sent: Counter[str] = Counter()
        self.frames_received: Counter[str] = Counter()
        self._wire = wire
        self._dice = random.Random(seed)
        self._parser = Parser()
        self._outbox: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(OUTBOX_MAX)
        self._babbling = asyncio.Event()

    @property
    def noise(self) -> int:
        """Number of bytes from the host that belonged to no frame."""
        return self._parser.noise

    async def run(self) -> None:
        """Receive what the host sends, and answer it, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._wire.run(self.feed, lambda _up, _reason: None))
            group.create_task(self._speak())
            group.create_task(self._babble())

    def press(self, panel: str, key: Key) -> None:
        """Press a key of a panel: puts the key's frame into the queue that ``run`` sends."""
        self._send(panel, Signal(self.addresses[panel], CODES[key]))

    def press_button(self, number: int) -> None:
        """Press button ``number`` of the kiosk: puts the button's frame into the queue that ``run`` sends."""
        self._send(f"button-{number}", Signal(KIOSK_ADDRESS, number))

    def led(self, panel: str) -> int:
        """The LED code that a panel shows (``LED_OFF`` and higher)."""
        return self.units[panel].led

    def text(self, name: str) -> str:
        """The text that a panel or board shows."""
        return self.units[name].text

    def blink(self, name: str) -> int:
        """The blink code of a panel's or board's text. 0x20: steady; 0x21: blinks for ever; a higher ``code``, up to
        0x7F: blinks ``code - 0x21`` times.
        """
        return self.units[name].blink

    def babble(self, on: bool) -> None:
        """Start or stop the noise of a broken transmitter."""
        if on:
            self._babbling.set()
        else:
            self._babbling.clear()

    def power_cycle(self) -> None:
        """Switch all units off and on: everything is dark; boards keep their brightness."""
        for name, unit in self.units.items():
            self.units[name] = FakeUnit(brightness=unit.brightness)

    def feed(self, data: bytes) -> None:
        """Handle bytes that the host sent."""
        if self.faults.echo:
            self._put("", data)  # the host's adapter echoes, even without any unit on the bus
        if not self.faults.dead:
            for frame in self._parser.feed(data):
                self._obey(frame)

    def _obey(self, frame: Frame) -> None:
        for name, address in self.addresses.items():
            if address == frame.address:
                self.frames_received[name] += 1
                self._show(name, frame)
                return

    def _show(self, name: str, frame: Frame) -> None:
        unit = self.units[name]
        match frame:
            case Signal(_, code):
                unit.beeps += code > LED_GREEN_SLOW
                unit.led = code - BEEP if code > LED_GREEN_SLOW else code
            case Text(_, blink, text):  # only as many digits as were sent change
                unit.text = (text + unit.text[len(text) :])[:DIGITS_MAX]
                unit.blink = blink
            case Brightness(_, level):
                unit.brightness = level
            case Readdress(_, new):
                self.addresses[name] = new

    def _send(self, name: str, frame: Frame) -> None:
        if self.faults.dead or self._dice.random() < self.faults.drop:
            return
        data = bytearray(frame.to_bytes())
        if self._dice.random() < self.faults.garble:
            data[self._dice.randrange(len(data))] ^= 1 << self._dice.randrange(8)
        self._put(name, bytes(data))

    def _put(self, name: str, data: bytes) -> None:
        if not self._outbox.full():
            self._outbox.put_nowait((name, data))

    async def _speak(self) -> None:
        while True:
            name, data = await self._outbox.get()
            try:
                await self._wire.write(data)
            except Unreachable:
                continue  # lost, as a press while the connection is down is in the field
            if name:
                self.frames_sent[name] += 1

    async def _babble(self) -> None:
        while True:
            await self._babbling.wait()
            self._put("", self._dice.randbytes(BABBLE_BYTES))
            await asyncio.sleep(BABBLE_PAUSE_S)
