"""A USB keypad as call panel or evaluator, or a scanner for check-in. Rules:

1. A key counts when it is pressed; auto-repeat of a held key does not.
2. Digits before a key are its argument (transfer to window 12). They are dropped after ``DIGITS_S`` without a key and
   when events were lost; Backspace deletes one. Digits that the option ``ratings`` lists are ratings instead.
3. A scanned code requests a number: for an appointment, or for a visitor who comes back with a ticket. A code is
   refused, and the visitor told so, if it contains an identity or mobile number, or does not have the form of what the
   option ``codes`` says is scanned.
4. A keypad shows and says nothing: other devices at the window do.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from devices.evdev.codec import DIGITS, KEY_NAMES, NAMES, CodeReader, InputReader, pressed
from edged.clock import monotonic_s
from edged.core.model.commands import Action, Evaluator, Panel, Value
from edged.core.model.events import Event, InputRefused, Key, KeyPressed, RatingGiven, TicketRequested
from edged.core.model.losses import Loss
from edged.core.model.point import Point
from edged.driver import DeviceContext, Options, Presence, Refused
from edged.heartbeat import lasting
from edged.links import ByteLink
from edged.links.evdev import EvdevLink
from edged.links.losses import WIRE_LOSSES
from edged.personal import names_a_person
from edged.shapes import ID, form

DIGITS_S = 5.0  # real seconds between two digits of one argument
DIGITS_MAX = 12
SCAN_S = 1.0  # real seconds between two signs of one code: a scanner types a hundred a second
PLACES = "a path under /dev/input/by-id/ or /dev/input/by-path/; `edged devices detect input` lists them"
NAMED = r"/dev/input/by-(id|path)/[^/\x00]{1,200}"
ELSEWHERE = r"(?!/dev/)(/[^/.\x00][^/\x00]{0,100}){1,20}"  # a named pipe: the keypads of the demo are such
InputPath = Annotated[str, form(rf"^({NAMED}|{ELSEWHERE})$", PLACES)]
KeyName = Annotated[
    str, form(rf"^({'|'.join(KEY_NAMES)})$", "a name of linux/input-event-codes.h without KEY_")
]
NUMBER = re.compile(r"[0-9A-Za-z-]{1,12}")  # what numbers of tickets are made of,
BOOKING = re.compile(r"[0-9A-Za-z_.-]{1,64}")  # and what the city's ids of appointments are
WITH_ARGUMENT: frozenset[Key] = frozenset(
    {"transfer", "park", "login", "announce", "pause", "force-open", "force-close", "go-on"}
)


def _usual() -> dict[str, Key]:
    """Return the meanings of a numeric keypad's keys that apply if hall.toml gives none: Enter calls the next
    visitor.
    """
    return {
        "KPENTER": "next-or-recall",
        "ENTER": "next-or-recall",
        "KPPLUS": "arrive",
        "KPMINUS": "no-show-or-finish",
        "KPASTERISK": "pause",
        "KPDOT": "unpause",
        "KPSLASH": "transfer",
    }


class EvdevOptions(Options, frozen=True):
    """Options of one keypad or scanner. ``path``: the device, under its stable name (/dev/input/by-id/… or by-path/…).
    ``reads``: "keys" that a clerk presses, or "codes" that a scanner types.

    ``keys``: name of a key -> its meaning. ``ratings``: name of a key -> level 1 (very bad) to 5 (very good). For
    scanners, ``service``: the service for which a scanned code requests a number; ``codes``: what is scanned, the code
    of an appointment or the number of a ticket.
    """

    path: InputPath
    reads: Literal["keys", "codes"] = "keys"
    keys: Annotated[dict[KeyName, Key], Meta(max_length=60)] = field(default_factory=_usual)
    ratings: Annotated[dict[KeyName, Annotated[int, Meta(ge=1, le=5)]], Meta(max_length=20)] = field(
        default_factory=dict
    )
    service: Annotated[str, ID] | None = None
    codes: Literal["appointment", "number"] = "appointment"

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        if (self.reads == "codes") != (self.service is not None):
            raise ValueError('service is of a scanner: reads = "codes" and service come together')
        twice = sorted(self.keys.keys() & self.ratings.keys())
        if twice:
            raise ValueError(f"{twice[0]} is a key and a rating; give it one meaning")

    def point_roles(self, channel: str) -> frozenset[str]:
        """The roles in which hall.toml may name the device: panel, and evaluator if keys are ratings; none for a
        scanner.
        """
        if self.reads == "codes":
            return frozenset()
        return frozenset({"panel"} | ({"evaluator"} if self.ratings else set()))

    def reports(self) -> frozenset[str]:
        """The role in which the device sends events without being named elsewhere in hall.toml: a scanner is a
        dispenser, because it requests numbers; a keypad has none.
        """
        return frozenset({"dispenser"}) if self.reads == "codes" else frozenset()

    def service_ids(self) -> frozenset[str]:
        """The service for which a scanned code requests a number; none for a keypad."""
        return frozenset() if self.service is None else frozenset({self.service})


class Evdev:
    """Driver of one keypad or scanner. hall.toml addresses it by its device id alone; it has no channels."""

    OPTIONS: ClassVar[type[Options]] = EvdevOptions
    LOSSES: ClassVar[frozenset[str]] = WIRE_LOSSES
    deadline_s = 1.0  # it shows nothing
    reassert_s = 3600.0
    pace_s = 0.0

    def __init__(self, context: DeviceContext, options: EvdevOptions, link: ByteLink | None = None) -> None:
        """``link``: the connection to use; by default the device at ``path``."""
        self._context = context
        self._options = options
        self._link = link if link is not None else EvdevLink(options.path)
        self._keys: dict[int, Key] = {KEY_NAMES[name]: key for name, key in options.keys.items()}
        self._ratings = {KEY_NAMES[name]: level for name, level in options.ratings.items()}
        self._presence = Presence(context)
        self._records = InputReader()
        self._codes = CodeReader()
        self._digits = ""
        self._typed_s = 0.0

    async def run(self) -> None:
        """Read the keys of the device, and open it again whenever it is plugged in, until cancelled."""
        self._presence.forget()
        await lasting("link", self._link.run(self._received, self._wire_changed))

    async def show(self, point: Point, value: Value) -> None:
        """No-op for values of a panel or an evaluator, because a keypad shows nothing. Raises ``Refused`` for any other
        value.
        """
        if not isinstance(value, Panel | Evaluator):
            raise Refused(f"{point} is a keypad, it shows no {value.kind}")

    async def act(self, action: Action) -> None:
        """Raise ``Refused``, because a keypad has no one-time actions."""
        raise Refused(f"a keypad cannot {action.body.kind}")

    def _received(self, data: bytes) -> None:
        records = self._records.feed(data)
        if self._options.reads == "codes":
            if self._pause_s() > SCAN_S:
                self._codes.forget()
            for record in records:
                self._scanned(self._codes.take(record))
            return
        for code in pressed(records):
            if self._pause_s() > DIGITS_S:
                self._digits = ""
            self._typed(code)

    def _pause_s(self) -> float:
        """Return the real seconds since this method was last called, that is, since the input before."""
        now_s = monotonic_s()
        pause_s, self._typed_s = now_s - self._typed_s, now_s
        return pause_s

    def _typed(self, code: int | None) -> None:
        if code in self._ratings:
            self._emit(RatingGiven(self._context.point(), self._ratings[code]))
        elif code in self._keys:
            key, digits, self._digits = self._keys[code], self._digits, ""
            argument = digits if digits and key in WITH_ARGUMENT else None
            self._emit(KeyPressed(self._context.point(), key, argument))
        elif code is None:
            self._digits = ""
            self._context.reject("events_lost", self._context.device)
        elif code in DIGITS:
            self._digits = (self._digits + DIGITS[code])[-DIGITS_MAX:]
        elif code == KEY_NAMES["BACKSPACE"]:
            self._digits = self._digits[:-1]
        elif code != KEY_NAMES["NUMLOCK"]:  # keypads press it by themselves
            self._context.reject("unknown_key", NAMES.get(code, f"key {code}"))

    def _scanned(self, text: str | None) -> None:
        if text is None:
            return
        service = self._options.service
        assert service is not None, "the options say so"
        number = self._options.codes == "number"
        if names_a_person(text):
            self._refuse("personal_data", "")
        elif not (NUMBER if number else BOOKING).fullmatch(text):
            self._refuse("unreadable_code", f": {len(text)} signs")
        elif number:
            self._emit(TicketRequested(self._context.point(), service, returning=text))
        else:
            self._emit(TicketRequested(self._context.point(), service, appointment=text))

    def _refuse(self, reason: str, detail: str) -> None:
        """Count a code that was refused, and tell the core, which informs visitor and staff. ``reason``: a short fixed
        word; ``detail``: for the log.
        """
        self._context.reject(reason, f"{self._context.device}{detail}")
        self._emit(InputRefused(self._context.point(), "request", reason))

    def _emit(self, event: Event) -> None:
        self._context.emit(event)

    def _wire_changed(self, up: bool, why: Loss) -> None:
        self._records, self._codes, self._digits = InputReader(), CodeReader(), ""
        if up:
            self._presence.back()
        else:
            self._presence.lost(*why)
