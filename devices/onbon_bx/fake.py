"""A fake LED card with real frames, which shows rows of text and has seeded faults.

It answers through ``write``; the owner of the connection calls ``feed`` with what arrives.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from devices.onbon_bx import codec, pixels
from edged.driver import Garbled

PIXEL_BODY_MAX = 32 * 1024
SPOKEN_MAX = 100  # announcements kept in ``spoken``


@dataclass(frozen=True, slots=True)
class BarFaults:
    """Probability (0 to 1) of each fault, per frame received. ``mute``: no answer. ``garble``: the answer is damaged.
    ``nack``: the card refuses the frame. ``late``: the answer comes ``late_s`` real seconds late.
    """

    mute: float = 0.0
    garble: float = 0.0
    nack: float = 0.0
    late: float = 0.0
    late_s: float = 0.5  # real seconds


class FakeOnbon:
    """One simulated card. Set ``alive`` to False to cut its power: the screen is dark. With power again it has
    forgotten its texts.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        now_s: Callable[[], float],
        units_of_8: bool = False,
        seed: int = 0,
    ) -> None:
        self._write = write
        self._now_s = now_s
        self._units_of_8 = units_of_8
        self._reader = codec.FrameReader()
        self._dice = random.Random(seed)
        self._rows: dict[int, tuple[codec.ScreenArea, float]] = {}
        self._alive = True
        self.faults = BarFaults()
        self.powered = True
        self.brightness = 15
        self.frames_received = 0
        self.frames_sent = 0
        self.spoken: deque[str] = deque(maxlen=SPOKEN_MAX)

    @property
    def alive(self) -> bool:
        """Whether the card has power."""
        return self._alive

    @alive.setter
    def alive(self, alive: bool) -> None:
        self._alive = alive
        self._rows.clear()

    @property
    def shown(self) -> tuple[str, ...]:
        """The text of each row as a person sees it, top row first; "" for a row whose text expired. () while the screen
        is dark.
        """
        if not self._alive or not self.powered:
            return ()
        return tuple(self._text(area_id) for area_id in sorted(self._rows))

    def feed(self, data: bytes) -> None:
        """Handle bytes that the controller sent."""
        if not self._alive:
            return
        for frame in self._reader.feed(data):
            self.frames_received += 1
            if self._dice.random() < self.faults.mute:
                continue
            refused = self._dice.random() < self.faults.nack
            self._send(not refused and self._carry_out(frame))

    def _send(self, accepted: bool) -> None:
        answer = codec.answer(accepted).to_bytes()
        if self._dice.random() < self.faults.garble:
            at = self._dice.randrange(8, len(answer))
            answer = answer[:at] + bytes((answer[at] ^ 0x10,)) + answer[at + 1 :]
        self.frames_sent += 1
        if self._dice.random() < self.faults.late:
            asyncio.get_running_loop().call_later(self.faults.late_s, self._write, answer)
        else:
            self._write(answer)

    def _carry_out(self, frame: codec.Frame) -> bool:
        match frame.command:
            case codec.PING | codec.SET_CLOCK:
                return True
            case codec.POWER if len(frame.data) == 6:
                self.powered = frame.data[5] == 1
                return True
            case codec.BRIGHTNESS if len(frame.data) == 7:
                self.brightness = frame.data[6]
                return True
            case codec.AREAS:
                try:
                    deleted, areas = codec.decode_areas(frame.data, self._units_of_8)
                except Garbled:
                    return False
                for area_id in deleted:
                    self._rows.pop(area_id, None)
                for area in areas:
                    self._rows[area.id] = (area, self._now_s())
                    if area.speech is not None:
                        self.spoken.append(area.speech.text)
                return True
        return False

    def _text(self, area_id: int) -> str:
        area, since_s = self._rows[area_id]
        expired = area.run_mode == codec.BLANK_ON_TIMEOUT and self._now_s() - since_s > area.timeout_s
        return "" if expired else area.text


class FakePixelCard:
    """One simulated BX-6Q card. ``areas``: the pictures that it shows, by area id. ``refused``: set it to make the card
    refuse the next command.
    """

    def __init__(self, write: Callable[[bytes], None], now_s: Callable[[], float]) -> None:
        self._write = write
        self._now_s = now_s
        self._reader = codec.FrameReader(pixels.opened, PIXEL_BODY_MAX)
        self._areas: dict[int, tuple[pixels.PixelArea, float]] = {}
        self.alive = True
        self.refused = False
        self.frames_received = 0

    @property
    def areas(self) -> dict[int, pixels.PixelArea]:
        """The areas that a person sees, by id; expired ones are gone."""
        return {
            number: area
            for number, (area, since_s) in sorted(self._areas.items())
            if area.run_mode != codec.BLANK_ON_TIMEOUT or self._now_s() - since_s <= area.timeout_s
        }

    def feed(self, data: bytes) -> None:
        """Handle bytes that the controller sent."""
        if not self.alive:
            return
        for frame in self._reader.feed(data):
            self.frames_received += 1
            accepted, self.refused = not self.refused and self._carry_out(frame), False
            self._write(pixels.answer(accepted).to_bytes())

    def _carry_out(self, frame: codec.Frame) -> bool:
        if frame.command == pixels.DELETE_AREAS:
            for number in frame.data[6:]:
                self._areas.pop(number, None)
            return True
        if frame.command != pixels.SHOW_AREA:
            return False
        try:
            area = pixels.decode_area(frame.data)
        except Garbled:
            return False
        self._areas[area.id] = (area, self._now_s())
        return True
