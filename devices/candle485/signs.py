"""Encodes output values for panels and boards: states of windows as LED codes, tickets as digits. Constant tables, no
I/O.
"""

from __future__ import annotations

from devices.candle485.codec import (
    BEEP,
    BLINK,
    BLINK_NONE,
    CHARACTERS,
    LED_GREEN,
    LED_GREEN_FAST,
    LED_GREEN_SLOW,
    LED_OFF,
    LED_RED,
    LED_RED_SLOW,
    Frame,
    Signal,
    Text,
)
from devices.candle485.options import BoardOptions
from edged.core.model.commands import Display, Lamp, Pager, Panel, Value

# No beep among them: levels are sent again every few seconds.
LED_OF_STATE: dict[str, int] = {
    "CLOSED": LED_OFF,
    "OPEN": LED_GREEN,
    "CALLING": LED_GREEN_SLOW,
    "SERVING": LED_RED,
    "PAUSED": LED_RED_SLOW,
    "STANDBY": LED_OFF,
    "ACTIVATING": LED_GREEN_FAST,  # a member of staff is asked to take this window
    "DRAINING": LED_RED_SLOW,
    "COOLDOWN": LED_OFF,
    "CONSULTING": LED_OFF,
    "INVITED": LED_GREEN_FAST,  # without a beep, because a conversation is going on there
}
LOUD_STATES = frozenset({"ACTIVATING"})  # a clerk at another desk is called
LED_OF_LAMP: dict[str, int] = {"off": LED_OFF, "on": LED_GREEN, "blink": LED_GREEN_SLOW}
PANEL_DIGITS = 3
# Three digits where a window serves nobody: dark, idle, or called to duty.
PANEL_TEXT: dict[str, tuple[int, str]] = {
    "CLOSED": (BLINK_NONE, "   "),
    "STANDBY": (BLINK_NONE, "   "),
    "COOLDOWN": (BLINK_NONE, "   "),
    "ACTIVATING": (BLINK, "CAL"),
    "CONSULTING": (BLINK_NONE, "   "),
    "INVITED": (BLINK, "CAL"),
}
PANEL_IDLE = (BLINK_NONE, "---")
PRINTED_BLINK = 0x24  # three times, then steady: a visitor looks up from the button


def led(address: int, value: Panel | Pager | Lamp) -> Signal:
    """Return the frame that sets a panel's LED. For a ``Panel`` value the LED shows the state of the panel's window
    (off for an unknown state), for a ``Lamp`` the state of the lamp. For a ``Pager`` it blinks while pages (messages to
    the pager's owner) are unanswered.
    """
    if isinstance(value, Lamp):
        return Signal(address, LED_OF_LAMP[value.state])
    if isinstance(value, Pager):
        return Signal(address, LED_OF_LAMP["blink" if value.waiting else "off"])
    return Signal(address, LED_OF_STATE.get(value.state, LED_OFF))


def digits(address: int, value: Panel) -> Text:
    """Return the frame for a panel's three digits: the last three of its ticket's number, blinking while the ticket is
    called. Without a ticket: what ``PANEL_TEXT`` has for the window's state, or dashes.
    """
    if value.number is None:
        blink, text = PANEL_TEXT.get(value.state, PANEL_IDLE)
    else:
        blink = BLINK if value.state == "CALLING" else BLINK_NONE
        text = legible(value.number)[-PANEL_DIGITS:].rjust(PANEL_DIGITS)
    return Text(address, blink, text)


def loud(frame: Frame, value: Value) -> Frame:
    """Return ``frame`` as it is sent when the value changes: with a beep if the window now waits for a clerk.
    Repetitions of an unchanged value do not beep.
    """
    if isinstance(frame, Signal) and isinstance(value, Panel) and value.state in LOUD_STATES:
        return Signal(frame.address, frame.code + BEEP)
    return frame


def board(unit: BoardOptions, value: Display) -> Text:
    """Return the frame for a board: the number of the newest call, blinking until that visitor has arrived, and the
    window on the right ("A012- 3"). Without any call the board shows dashes.
    """
    if value.call is None:
        return Text(unit.address, BLINK_NONE, "-" * unit.digits)
    number, window = value.call
    return Text(
        unit.address, BLINK if value.calling else BLINK_NONE, _with_window(unit, legible(number), window)
    )


def printed(unit: BoardOptions, number: str) -> Text:
    """The frame that shows a new ticket's number on the kiosk's board."""
    return Text(unit.address, PRINTED_BLINK, legible(number)[: unit.digits].ljust(unit.digits))


def legible(number: str) -> str:
    """``number`` in characters that a seven-segment display can show; others become dashes."""
    return "".join(c if c.isascii() and ord(c) in CHARACTERS else "-" for c in number.upper())


def _with_window(unit: BoardOptions, number: str, window: str) -> str:
    """Return the text for a board: ticket number and window, or only the number if both do not fit. It has exactly as
    many characters as the board, because those that are not sent would keep their old value.
    """
    room = unit.digits - len(number) - 1
    if not window or len(window) > room:
        return number[-unit.digits :].ljust(unit.digits)
    return f"{number}{unit.separator}{window.rjust(room)}"
