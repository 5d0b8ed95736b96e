"""A simulated keypad or scanner: held keys, split reads and lost events, as from the real kernel."""

from __future__ import annotations

import os
import random
from pathlib import Path

from devices.evdev.codec import EV_KEY, EV_SYN, KEY_NAMES, NAMES, PLAIN, SHIFTED, SYN_DROPPED, InputRecord

MSC_SCAN = InputRecord(4, 4, 458756)  # the scan code that stands before each key
REPORT = InputRecord(EV_SYN, 0, 0)  # ends what happened at once


class FakeInput:
    """A simulated device: writes its records into a named pipe at ``place``. ``seed`` determines which keys are held
    and where records are split into two writes.
    """

    def __init__(self, place: Path, seed: int = 0) -> None:
        self.place = place
        self._chance = random.Random(seed)
        self._file = -1

    def plug(self) -> None:
        """Plug the device in: the pipe appears at ``place``."""
        os.mkfifo(self.place)
        self._file = os.open(self.place, os.O_RDWR | os.O_NONBLOCK)

    def unplug(self) -> None:
        """Unplug the device: the pipe disappears."""
        if self._file >= 0:
            os.close(self._file)
            self.place.unlink()
            self._file = -1

    def press(self, *names: str) -> None:
        """Press these keys one after the other; some are held long enough to repeat."""
        for name in names:
            code = KEY_NAMES[name]
            held = [InputRecord(EV_KEY, code, 2), REPORT] * self._chance.choice((0, 0, 3))
            self._write(
                [MSC_SCAN, InputRecord(EV_KEY, code, 1), REPORT, *held, InputRecord(EV_KEY, code, 0), REPORT]
            )

    def scan(self, text: str) -> None:
        """Type a code as a scanner does: with Shift where the character needs it, and Enter at the end."""
        plain, shifted = (
            {sign: code for code, sign in reversed(signs.items())} for signs in (PLAIN, SHIFTED)
        )
        for sign in text:
            shift = InputRecord(EV_KEY, KEY_NAMES["LEFTSHIFT"], 1)
            self._write([] if sign in plain else [shift, REPORT])
            self.press(NAMES[plain[sign] if sign in plain else shifted[sign]])
            self._write([] if sign in plain else [shift._replace(value=0), REPORT])
        self.press("ENTER")

    def read(self) -> bytes:
        """Read the bytes that are still in the pipe, because the driver has not read them."""
        return os.read(self._file, 65_536)

    def lose(self) -> None:
        """Write the record with which the kernel reports lost events (SYN_DROPPED)."""
        self._write([InputRecord(EV_SYN, SYN_DROPPED, 0), REPORT])

    def _write(self, records: list[InputRecord]) -> None:
        data = b"".join(one.to_bytes() for one in records)
        cut = self._chance.randrange(len(data) + 1)
        for piece in (data[:cut], data[cut:]):
            if piece:
                os.write(self._file, piece)
