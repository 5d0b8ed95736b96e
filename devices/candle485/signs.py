"""What levels look like on panels and boards: window states as LED codes, tickets as digits. Literal tables, no I/O."""

from __future__ import annotations

import re

from devices.candle485.codec import (
    BLINK,
    CHARACTERS,
    LED_GREEN,
    LED_GREEN_FAST,
    LED_GREEN_SLOW,
    LED_OFF,
    LED_RED,
    LED_RED_SLOW,
    STEADY,
    TEXT_MAX,
    Short,
    Text,
)
from edged.core.commands import Display, Lamp, Panel

# No code with a beep: levels are sent again every few seconds.
LED_OF_STATE: dict[str, int] = {
    "CLOSED": LED_OFF,
    "OPEN": LED_GREEN,
    "CALLING": LED_GREEN_SLOW,
    "SERVING": LED_RED,
    "PAUSED": LED_RED_SLOW,
    "STANDBY": LED_OFF,
    "ACTIVATING": LED_GREEN_FAST,  # somebody is asked to take this window
    "DRAINING": LED_RED_SLOW,
    "COOLDOWN": LED_OFF,
}
LED_OF_LAMP: dict[str, int] = {"off": LED_OFF, "on": LED_GREEN, "blink": LED_GREEN_SLOW}
PANEL_DIGITS = 3
# Three digits where a window serves nobody: dark, idle, or called to duty.
PANEL_TEXT: dict[str, tuple[int, str]] = {
    "CLOSED": (STEADY, "   "),
    "STANDBY": (STEADY, "   "),
    "COOLDOWN": (STEADY, "   "),
    "ACTIVATING": (BLINK, "CAL"),
}
PANEL_IDLE = (STEADY, "---")
BOARD_IDLE = "-" * TEXT_MAX
PRINTED_BLINK = 0x24  # three times, then steady: a visitor looks up from the button

# The core's signs read "请A012号 Please come" and "3号窗口 Window 3"; an area's list of calls "A012→3号窗口".
TICKET = re.compile(r"(?<![A-Z0-9])([A-Z]{1,2}[0-9]{3,5})(?![A-Z0-9])")
WINDOW = re.compile(r"(?<![A-Z0-9])([A-Z0-9]{1,4})号窗口")
CALLED = "请"


def led(address: int, value: Panel | Lamp) -> Short:
    """The LED of a panel. A state nobody knows is dark."""
    if isinstance(value, Lamp):
        return Short(address, LED_OF_LAMP[value.state])
    return Short(address, LED_OF_STATE.get(value.state, LED_OFF))


def digits(address: int, value: Panel) -> Text:
    """The three digits of a panel: the end of the ticket number, which blinks while it is called."""
    if value.number is None:
        blink, text = PANEL_TEXT.get(value.state, PANEL_IDLE)
    else:
        blink = BLINK if value.state == "CALLING" else STEADY
        text = legible(value.number)[-PANEL_DIGITS:].rjust(PANEL_DIGITS)
    return Text(address, blink, text)


def board(address: int, value: Display) -> Text:
    """A board: the newest ticket left, its window right ("A012- 3"); dashes where there is no ticket."""
    for line in value.lines:
        ticket = TICKET.search(line)
        if ticket:
            window = WINDOW.search(line) or WINDOW.search(value.lines[0])
            text = _with_window(ticket[1], window[1] if window else "")
            return Text(address, BLINK if line.startswith(CALLED) else STEADY, text)
    return Text(address, STEADY, BOARD_IDLE)


def printed(address: int, number: str) -> Text:
    """A ticket number on a kiosk's board."""
    return Text(address, PRINTED_BLINK, legible(number)[:TEXT_MAX].ljust(TEXT_MAX))


def legible(number: str) -> str:
    """``number`` in the characters that segments can form; a dash for any other."""
    return "".join(c if c.isascii() and ord(c) in CHARACTERS else "-" for c in number.upper())


def _with_window(number: str, window: str) -> str:
    """All seven digits, always: fewer would leave old ones standing. Where both do not fit, the ticket matters."""
    room = TEXT_MAX - len(number) - 1
    if not window or len(window) > room:
        return number.ljust(TEXT_MAX)
    return f"{number}-{window.rjust(room)}"
