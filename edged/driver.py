"""The contract between the loop and a device: ``Driver``, the functions it is given, and the only errors it may
raise.

Terms: a *point* is a device, or one channel of it (``relay-1/3``). A *level* is an output value that the device shows
until the next one, such as a lamp's state or a text; an *action* is done once, such as an announcement. The *role* of a
point is what hall.toml uses it for. *Hall time* does not stop or go back, also across restarts of the program; in demos
it runs faster than real time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable
from zlib import crc32

from edged.clock import monotonic_s
from edged.core.model.commands import Action, Value
from edged.core.model.events import DeviceBack, DeviceLost, Event
from edged.core.model.losses import OTHER, OUR_LINK, Loss
from edged.core.model.point import Point, channel_of, device_of, point_of
from edged.descriptions import Description
from edged.shapes import Shape

REASSERT_S = 5.0  # hall seconds between re-assertions of every level, unless the driver sets its own


REPORT_AGAIN_S = 1.0  # real seconds until an event is offered again to a full inbox
ANNOUNCE_S = 30.0  # real seconds after link-up in which a present device announces itself
SETTLE_S = 2.0  # real seconds after a loss in which its reason may change: first "closed", then "refused"
WORD_S = 30.0  # real seconds between further reasons of one loss, so that an unstable line does not fill the journal


class DeviceError(Exception):
    """Base of all errors that drivers and links raise. The text is logged, so it must contain no personal data.

    ``word``: why the device counts as lost if this error makes it so; one of ``edged.core.model.losses``.
    """

    word = OTHER

    def __init__(self, text: str = "", word: str = "") -> None:
        super().__init__(text)
        if word:
            self.word = word

    @property
    def loss(self) -> Loss:
        """The reason to report if the device counts as lost because of this error: ``word``, with the error's text as
        detail.
        """
        return Loss(self.word, str(self))


class Unreachable(DeviceError):
    """The device did not answer: a retry may help."""

    word = "no-answer"


class Refused(DeviceError):
    """The device refused: sending the same command again will not help."""


class Garbled(DeviceError):
    """What the device sent violates its protocol. Such answers are counted, and the request is sent again."""

    word = "bad-answer"


class Emit(Protocol):
    """A function that puts one event from a device into the inbox, from which the core takes it. Never blocks.

    ``ack`` is called, in the loop's thread, once the event is on disk; an MQTT driver sends PUBACK then. Returns False
    if the inbox is full: the event was not taken but counted as rejected, and must not be acknowledged.
    """

    def __call__(self, event: Event, ack: Callable[[], None] | None = None) -> bool: ...


class Reject(Protocol):
    """A function that counts and logs something received that makes no event. ``reason``: a short fixed word (a metric
    label); ``detail``: for the log.
    """

    def __call__(self, reason: str, detail: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class DisplaySize:
    """How much text a display shows: ``rows``, and ``columns`` of half-width characters in each. ``scrolls``: the
    display scrolls longer lines.

    ``font``: the Python codec whose characters the font has; "": it shows every character.
    """

    rows: int
    columns: int
    scrolls: bool = False
    font: str = ""


def row_channels(rows: int) -> frozenset[str]:
    """The channels of a board with ``rows`` text rows: "" for the whole board, "area-0", "area-1" and so on for single
    rows.
    """
    return frozenset({"", *(f"area-{row}" for row in range(rows))})


def row_of(point: Point, rows: int) -> int | None:
    """The row that ``point`` addresses, None for the whole board; see ``row_channels``. Raises ``Refused`` if the board
    has no such row.
    """
    channel = channel_of(point)
    if not channel:
        return None
    if channel not in row_channels(rows):
        raise Refused(f"{device_of(point)} has no {channel!r}: area-0 to area-{rows - 1}")
    return int(channel.removeprefix("area-"))


def line_name(line: str) -> str:
    """Return the hall's name for a counting line that the device calls ``line``: eight hex digits (its CRC-32). The
    device's own name may be any text, so it is not stored.
    """
    return f"{crc32(line.encode(errors='replace')):08x}"


class SharedWire(NamedTuple):
    """A device's place on a Modbus bus that several devices share. ``address`` and ``settings`` (such as the baud rate)
    are those of the bus; ``unit`` is the device's own number there.
    """

    address: str
    settings: str
    unit: int


class Options(Shape, frozen=True):
    """Base class of the options of a device in hall.toml; each driver has a subclass.

    ``DESCRIBED``: the option that names a description file (``edged.descriptions``); "" if the driver reads none.
    ``DESCRIPTION``: the class that the content of that file must fit.
    """

    DESCRIBED: ClassVar[str] = ""
    DESCRIPTION: ClassVar[type[Description] | None] = None

    def point_channels(self) -> frozenset[str]:
        """The channels of this device that hall.toml may name; "" stands for the device id alone."""
        return frozenset({""})

    def display_size(self, channel: str) -> DisplaySize | None:
        """How many rows and columns of text this channel shows; None if that is unknown or it shows no text."""
        return None

    def topics(self, hall: str, device: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Topics at the hall's broker to which this device publishes, and those to which it subscribes."""
        return (), ()

    def speaker(self, device: str) -> str:
        """The client name under which this device's messages reach the hall's broker; by default the device's id."""
        return device

    def point_roles(self, channel: str) -> frozenset[str] | None:
        """The roles in which hall.toml may name this channel: lamp, display, voice, panel, pager, evaluator, printer.

        None: every role.
        """
        return None

    def reports(self) -> frozenset[str]:
        """The roles in which the device sends events by itself, so that hall.toml need not name it elsewhere:
        dispenser, counter, queue.
        """
        return frozenset()

    def unshown(self, text: str) -> str:
        """The characters of ``text`` that the device's font lacks."""
        return ""

    def shared_wire(self) -> SharedWire | None:
        """The Modbus bus that the device shares with others; None if it uses none."""
        return None

    def service_ids(self) -> frozenset[str]:
        """Ids of services that these options name; each must exist in the hall."""
        return frozenset()


@dataclass(frozen=True, slots=True)
class DeviceContext:
    """What the application gives to a driver: the ids of ``device`` and ``hall``, and functions to call.

    ``sleep`` and ``now_s`` run in hall time (they follow ``--speed``): use them for protocol pacing, blinking and
    re-arming. I/O deadlines are real seconds (``asyncio.timeout``). ``mqtt`` is the hall's broker link.
    """

    device: str
    hall: str
    emit: Emit
    reject: Reject
    sleep: Callable[[float], Awaitable[None]]
    now_s: Callable[[], float]
    mqtt: Any  # edged.links.mqtt.MqttLink; Any keeps the contract free of link imports

    def point(self, channel: str = "") -> Point:
        """Return the name of a channel of this device (``relay-1/3``); without ``channel``, that of the device itself
        (``relay-1``).
        """
        return point_of(self.device, channel)


class Presence:
    """Tells the core whether a device can be reached. Each change is reported once; if the inbox was full, the report
    is repeated until it is accepted.

    Without that repetition a ``DeviceLost`` refused by a full inbox would leave a dead lamp shown as lit. If the reason
    of a loss turns out to be another one, that is reported as well, after ``SETTLE_S`` and then at most every
    ``WORD_S``.
    """

    def __init__(self, context: DeviceContext) -> None:
        self._context = context
        self.there: bool | None = None  # None: unknown
        self._loss: Loss | None = None
        self._reported: bool | None = None
        self._reported_word = ""
        self._word_from_s = 0.0  # when another reason may be reported, in ``monotonic_s``
        self._again: asyncio.TimerHandle | None = None
        self._received_s = context.now_s()

    def received(self) -> None:
        """Record that the device has just sent something: ``watch_silence`` measures the silence from now on."""
        self._received_s = self._context.now_s()

    async def watch_silence(self, silent_s: float) -> None:
        """Report the device as lost whenever ``received`` has not been called for ``silent_s`` of hall time. Runs until
        cancelled.
        """
        while True:
            quiet_s = self._context.now_s() - self._received_s
            if quiet_s >= silent_s:
                self.lost("silent")
            await self._context.sleep(max(1.0, silent_s - quiet_s))

    def back(self) -> None:
        """Report that the device can be reached."""
        self.there = True
        self._report()

    def lost(self, word: str, detail: str = "") -> None:
        """Report that the device is lost: ``word`` is one of the driver's ``LOSSES``, ``detail`` what was observed."""
        if self.there is not False or self._loss is None or self._loss.word != word:
            self.there, self._loss = False, Loss(word, detail)
        self._report()

    def unknown(self, word: str = "") -> None:
        """Record that the link is up but the device has not sent anything yet. What was reported last stays valid.

        Does nothing if the device is known to be reachable, or is lost for another reason than the hall's own link: a
        message of the device may arrive just before the link is reported as up. ``word``: the loss to report if nothing
        is received within ``ANNOUNCE_S``, for a device that announces itself; "": none. Commands are sent meanwhile,
        because a device that only receives may be present.
        """
        if self.there or (self.there is False and self._loss is not None and self._loss.word != OUR_LINK):
            return
        self.there = None
        if word:
            self._later(ANNOUNCE_S, lambda: self._report_silence(word))

    def _report_silence(self, word: str) -> None:
        if self.there is not None or (self._reported is False and self._reported_word == word):
            return
        if self._context.emit(DeviceLost(self._context.point(), word)):
            self._reported, self._reported_word = False, word
        else:
            self._later(REPORT_AGAIN_S, lambda: self._report_silence(word))

    def _later(self, after_s: float, then: Callable[[], None]) -> None:
        if self._again is not None:
            self._again.cancel()
        self._again = asyncio.get_running_loop().call_later(after_s, then)

    def forget(self) -> None:
        """Forget what was reported last, because the driver ends or restarts. The next report is then sent even if it
        says the same.
        """
        self.there = self._reported = None
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _report(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
        loss = None if self.there else self._loss
        word = "" if loss is None else loss.word
        if self.there is None or (self.there is self._reported and word == self._reported_word):
            return
        now_s = monotonic_s()
        if self.there is self._reported and now_s < self._word_from_s:
            self._again = asyncio.get_running_loop().call_later(self._word_from_s - now_s, self._report)
            return
        device = self._context.point()
        if self._context.emit(DeviceBack(device) if loss is None else DeviceLost(device, *loss)):
            self._word_from_s = now_s + (WORD_S if self.there is self._reported else SETTLE_S)
            self._reported, self._reported_word = self.there, word
        else:
            self._again = asyncio.get_running_loop().call_later(REPORT_AGAIN_S, self._report)


class Driver(Protocol):
    """The software for one configured device. It is constructed as ``DriverClass(context, options)``.

    It emits ``DeviceBack`` at the first contact and ``DeviceLost`` once for each loss. ``run`` runs until cancelled and
    never gives up. ``show`` and ``act`` return when the device has taken the command, or raise a ``DeviceError``,
    within ``deadline_s`` real seconds. The points passed to them always belong to this device.

    ``reassert_s``: hall seconds after which every level is sent again. ``pace_s``: the least real seconds between two
    batches of texts, for a device that needs the newest text but not each one (lamps never wait); 0: no limit.

    A driver that uses ``Presence`` lists in ``LOSSES`` which words of ``edged.core.model.losses`` it may report.
    """

    OPTIONS: ClassVar[type[Options]]
    deadline_s: float
    reassert_s: float
    pace_s: float

    async def run(self) -> None: ...

    async def show(self, point: Point, value: Value) -> None: ...

    async def act(self, action: Action) -> None: ...


class CounterDriver:
    """Base class of the drivers of people counters: a counter only reports, so every level and action is refused."""

    deadline_s = 1.0  # it takes no commands
    reassert_s = REASSERT_S
    pace_s = 0.0

    async def show(self, point: Point, value: Value) -> None:
        """Raises ``Refused``: a counter shows nothing."""
        raise Refused(f"{point} is a people counter, it shows no {value.kind}")

    async def act(self, action: Action) -> None:
        """Raises ``Refused``: a counter has no one-time actions."""
        raise Refused(f"{action.point} is a people counter, it cannot {action.body.kind}")


@runtime_checkable
class PromptDriver(Driver, Protocol):
    """A driver that can send a level (an output value, such as a lamp's state) without waiting for anything. The
    application then sends it before any other task runs, to save time.
    """

    def put(self, point: Point, value: Value) -> None:
        """Send a level as ``show`` does, but without ``await``. Raises a ``DeviceError`` if the device is known to be
        lost or cannot show such a value.
        """


@runtime_checkable
class BeginningDriver(Driver, Protocol):
    """A driver that sends a level (an output value, such as a lamp's state) at once and then waits for an answer. The
    application then sends lamps before any other task runs, to save time.
    """

    def begin(self, point: Point, value: Value) -> Callable[[], Awaitable[None]]:
        """Send the level. Returns a function: call it and await its result to wait for the device's answer.

        Raises a ``DeviceError`` if nothing was sent.
        """
