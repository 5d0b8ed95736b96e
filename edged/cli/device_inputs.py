"""Lists keypads and scanners of this machine for ``edged devices detect input``; their input is not read.

Source: /dev/input/by-id (udev), and the kernel's /sys/class/input/eventN/device: ``name`` and ``capabilities/key``, the
keys it has as words of 64 bits in hex, the highest first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from devices.evdev.codec import KEY_NAMES

WORD_BITS = 8 * struct.calcsize("l")
FOLDERS = ("by-id", "by-path")


class InputFound(NamedTuple):
    """An input device. ``letters``: it reports the letter keys of a keyboard; many scanners and some keypads do, too.
    ``readable``: this user may open it.
    """

    path: str
    name: str
    letters: bool
    readable: bool


def inputs(
    devices: Path = Path("/dev/input"), kernel: Path = Path("/sys/class/input")
) -> Iterator[InputFound]:
    """Yield the devices that have an Enter key or a volume key, each once, under its most stable path."""
    seen = set()
    for folder in FOLDERS:
        for link in sorted((devices / folder).glob("*-event-*")):
            event = link.resolve()
            about = kernel / event.name / "device"
            keys = _keys(about / "capabilities" / "key")
            if event in seen or not {KEY_NAMES["KPENTER"], KEY_NAMES["ENTER"], KEY_NAMES["VOLUMEUP"]} & keys:
                continue
            seen.add(event)
            letters = {KEY_NAMES[letter] for letter in "QWERTY"} <= keys
            yield InputFound(str(link), _text(about / "name"), letters, _readable(event))


def _keys(file: Path) -> frozenset[int]:
    words = _text(file).split()
    bits = sum(int(word, 16) << WORD_BITS * place for place, word in enumerate(reversed(words)))
    return frozenset(code for code in KEY_NAMES.values() if bits >> code & 1)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _readable(event: Path) -> bool:
    try:
        with event.open("rb"):
            return True
    except OSError:
        return False
