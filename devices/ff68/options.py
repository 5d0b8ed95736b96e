"""The options of an FF 68 bus in hall.toml: each caller by name, with the address that is set on it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from devices.ff68.codec import ADDRESS_MAX, ADDRESS_MIN
from edged.driver import Options
from edged.shapes import form

UNITS_MAX = 64  # a re-assertion of more would take the bus away from the keys
CHANNEL_WORDS = "a channel name: letters, digits, '_', '.' and '-', at most 32 characters"
CallerName = Annotated[str, form(r"^[A-Za-z0-9_.-]{1,32}$", CHANNEL_WORDS)]
CallerAddress = Annotated[int, Meta(ge=ADDRESS_MIN, le=ADDRESS_MAX)]
Button = Annotated[int, Meta(ge=0, le=9)]
Level = Annotated[int, Meta(ge=1, le=5)]


def _levels() -> dict[int, int]:
    """Return the usual rating level (1 to 5) of each of the evaluator's four buttons, by button code; it applies if
    hall.toml gives none. They go from 不满意 (2) to 非常满意 (5); that the second is 基本满意 (3) is concluded from its
    position.
    """
    return {0: 2, 1: 3, 2: 4, 3: 5}


class Ff68Options(Options, frozen=True):
    """Options of one FF 68 bus. ``path``: the serial port, best by a stable path (/dev/serial/by-path/…).
    ``bus_pause_ms``: the pause between two frames. ``echo``: whether the adapter returns what it sends (default:
    detected). ``callers``: name -> address on the bus; an evaluator has the address of its caller. ``ratings``: code of
    an evaluator's button -> level 1 (very bad) to 5 (very good).
    """

    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    callers: Annotated[dict[CallerName, CallerAddress], Meta(min_length=1, max_length=UNITS_MAX)]
    baudrate: Literal[4800, 9600, 19200] = 9600
    bus_pause_ms: Annotated[int, Meta(ge=10, le=1000)] = 50
    echo: bool | None = None
    ratings: dict[Button, Level] = field(default_factory=_levels)

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        owner: dict[int, str] = {}
        for name, address in self.callers.items():
            if address in owner:
                raise ValueError(
                    f"{name} has the address of {owner[address]} ({address}); each caller needs its own"
                )
            owner[address] = name

    def point_channels(self) -> frozenset[str]:
        """The channels: the names of the callers."""
        return frozenset(self.callers)

    def point_roles(self, channel: str) -> frozenset[str]:
        """The roles in which hall.toml may name a caller: panel for the caller itself, evaluator for the rating buttons
        at its address.
        """
        return frozenset({"panel", "evaluator"})
