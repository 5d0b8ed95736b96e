"""The options of a Candle bus in hall.toml: each unit by name, with the address that is set on it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from devices.candle485.codec import ADDRESS_MAX, ADDRESS_MIN, BUTTON_MAX, BUTTON_MIN, DIGITS_MAX
from edged.driver import Options
from edged.shapes import ID, form

BOARD_ADDRESS_MAX = 0x7F  # protokol.pdf, section 2
UNITS_MAX = 64  # a re-assertion of more would take a minute of the bus

CHANNEL_WORDS = "a channel name: letters, digits, '_', '.' and '-', at most 32 characters"
Channel = Annotated[str, form(r"^[A-Za-z0-9_.-]{1,32}$", CHANNEL_WORDS)]
Address = Annotated[int, Meta(ge=ADDRESS_MIN, lt=ADDRESS_MAX)]  # FF is everybody
Button = Annotated[int, Meta(ge=BUTTON_MIN, le=BUTTON_MAX)]
ServiceId = Annotated[str, ID]


class PanelOptions(Options, frozen=True):
    """Options of one call panel. ``address``: the bus address that is set on it. ``digits``: it has a three-digit
    display.
    """

    address: Address
    digits: bool = False


class BoardOptions(Options, frozen=True):
    """Options of one board. ``address``: the bus address that is set on it. ``digits``: number of its characters.
    ``separator``: is shown between ticket number and window ("<" and ">" are arrows).
    """

    address: Annotated[int, Meta(ge=ADDRESS_MIN, le=BOARD_ADDRESS_MAX)]
    digits: Annotated[int, Meta(ge=3, le=DIGITS_MAX)] = 7
    separator: Literal["-", "<", ">", " "] = "-"


class CandleOptions(Options, frozen=True):
    """Options of one Candle bus. ``path``: the serial port, best by a stable path (/dev/serial/by-path/…).
    ``bus_pause_ms``: the pause between two frames. ``echo``: whether the adapter returns what it sends (default:
    detected). ``buttons``: kiosk button number -> service id. ``kiosk_address``: the kiosk's address on the bus, if
    known. ``kiosk_board``: the board that shows a new ticket's number.
    """

    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    baudrate: Literal[57600, 19200] = 57600
    bus_pause_ms: Annotated[int, Meta(ge=20, le=1000)] = 200
    echo: bool | None = None
    panels: Annotated[dict[Channel, PanelOptions], Meta(max_length=UNITS_MAX)] = field(default_factory=dict)
    boards: Annotated[dict[Channel, BoardOptions], Meta(max_length=UNITS_MAX)] = field(default_factory=dict)
    buttons: dict[Button, ServiceId] = field(default_factory=dict)
    kiosk_address: Address | None = None
    kiosk_board: Channel | None = None

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        owner: dict[int, str] = {}
        addresses = [(name, panel.address) for name, panel in self.panels.items()]
        addresses += [(name, board.address) for name, board in self.boards.items()]
        for name, address in addresses:
            if address in owner:
                raise ValueError(
                    f"{name} has the address of {owner[address]} ({address:#x}); each unit needs its own"
                )
            owner[address] = name
        both = self.panels.keys() & self.boards.keys()
        if both:
            raise ValueError(f'"{min(both)}" names a panel and a board; rename one of them')
        if self.kiosk_board is not None and self.kiosk_board not in self.boards:
            raise ValueError(f'kiosk_board "{self.kiosk_board}" is not one of boards')

    def point_channels(self) -> frozenset[str]:
        """The channels that hall.toml may name: the names of panels and boards."""
        return frozenset(self.panels) | frozenset(self.boards)

    def point_roles(self, channel: str) -> frozenset[str]:
        """The role of a channel: panel for a call panel, display for a board."""
        return frozenset({"panel"} if channel in self.panels else {"display"})

    def reports(self) -> frozenset[str]:
        """The role in which the bus sends events by itself: dispenser, because the kiosk's buttons request tickets;
        none without buttons.
        """
        return frozenset({"dispenser"} if self.buttons else ())

    def service_ids(self) -> frozenset[str]:
        """The services for which the kiosk's buttons request tickets."""
        return frozenset(self.buttons.values())
