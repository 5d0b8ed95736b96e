"""Contract between the loop and a device: ``Driver``, what it may emit, and the only errors that leave it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from edged.clock import monotonic_s
from edged.core.model.commands import Action, Value
from edged.core.model.events import DeviceBack, DeviceLost, Event
from edged.core.model.losses import OTHER, OUR_LINK, Loss
from edged.core.model.point import Point, point_of
from edged.descriptions import Description
from edged.shapes import Shape

REASSERT_S = 5.0  # hall seconds between re-assertions of every level, unless the driver knows better


TELL_AGAIN_S = 1.0  # real seconds, where the inbox was full
UNHEARD_S = 30.0  # real seconds in which a device that is there has said so, once the link is up
SETTLE_S = 2.0  # real seconds: a connection that is closed and then refused is refused
WORD_S = 30.0  # real seconds between further reasons of one loss: a line that fails in turns fills no journal


class DeviceError(Exception):
    """Base of everything a driver or link may raise. The text goes to logs: no bytes of personal data in it.

    ``word``: why the device counts as lost, where it does (``edged.core.model.losses``).
    """

    word = OTHER

    def __init__(self, text: str = "", word: str = "") -> None:
        super().__init__(text)
        if word:
            self.word = word

    @property
    def loss(self) -> Loss:
        """The reason under which a device counts as lost because of this error."""
        return Loss(self.word, str(self))


class Unreachable(DeviceError):
    """Nobody answered: retrying may help."""

    word = "no-answer"


class Refused(DeviceError):
    """The device refused: sending the same command again will not help."""


class Garbled(DeviceError):
    """The device answered something that is not its protocol: counted, then retried."""

    word = "bad-answer"


class Emit(Protocol):
    """Hands one event to the inbox. Never blocks.

    ``ack`` is called in the loop thread once the event's step is on disk (MQTT: PUBACK). Returns False where the
    inbox is full: the event was counted as rejected and must not be acknowledged.
    """

    def __call__(self, event: Event, ack: Callable[[], None] | None = None) -> bool: ...


class Reject(Protocol):
    """Counts and logs an input that is not an event: ``reason`` is a short fixed word (a metric label)."""

    def __call__(self, reason: str, detail: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class DisplaySize:
    """Rows of text, and columns of half-width characters in each; ``scrolls``: a longer line runs through.

    ``font``: the character set of its font, by Python's name; "" where it shows what it gets.
    """

    rows: int
    columns: int
    scrolls: bool = False
    font: str = ""


class SharedWire(NamedTuple):
    """A wire that several devices may use: all with the same ``settings``, each as a ``unit`` of its own."""

    address: str
    settings: str
    unit: int


class Options(Shape, frozen=True):
    """Base of every driver's options in hall.toml.

    ``DESCRIBED``: the option that names a description (``edged.descriptions``), "" where there is none, and
    ``DESCRIPTION`` its shape.
    """

    DESCRIBED: ClassVar[str] = ""
    DESCRIPTION: ClassVar[type[Description] | None] = None

    def point_channels(self) -> frozenset[str]:
        """Channels that hall.toml may name on this device; "" stands for the bare device id."""
        return frozenset({""})

    def display_size(self, channel: str) -> DisplaySize | None:
        """How much text this channel has room for; None where that is not known, or lines mean nothing to it."""
        return None

    def topics(self, hall: str, device: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Topics at the hall's broker on which this device speaks, and those on which it listens."""
        return (), ()

    def point_roles(self, channel: str) -> frozenset[str] | None:
        """What hall.toml may name this channel as: lamp, display, voice, panel, pager, evaluator, printer.

        None: anything.
        """
        return None

    def reports(self) -> frozenset[str]:
        """What the device reports by itself, without being named elsewhere in hall.toml: dispenser, counter, queue."""
        return frozenset()

    def unshown(self, text: str) -> str:
        """The characters of ``text`` that the device's font lacks."""
        return ""

    def shared_wire(self) -> SharedWire | None:
        """The Modbus wire that it shares with others; None where it has none."""
        return None

    def service_ids(self) -> frozenset[str]:
        """Services that these options name: each must be one of the hall's."""
        return frozenset()


@dataclass(frozen=True, slots=True)
class DeviceContext:
    """What the application gives to a driver.

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
        """The point of a channel of this device; without a channel, the device itself."""
        return point_of(self.device, channel)


class Presence:
    """Whether a device can be reached, told to the core once per change (and again if its inbox was full).

    For every driver: ``DeviceLost`` that met a full inbox and was never said again would leave a dead lamp lit. Where
    the reason of a loss turns out to be another, that is told as well, after ``SETTLE_S`` and then every ``WORD_S``.
    """

    def __init__(self, context: DeviceContext) -> None:
        self._context = context
        self.there: bool | None = None  # None: nobody knows
        self._loss: Loss | None = None
        self._told: bool | None = None
        self._told_word = ""
        self._word_from_s = 0.0  # when another reason may be told, in ``monotonic_s``
        self._again: asyncio.TimerHandle | None = None

    def back(self) -> None:
        """The device can be reached."""
        self.there = True
        self._tell()

    def lost(self, word: str, detail: str = "") -> None:
        """The device cannot be reached: ``word`` is one of the driver's ``LOSSES``, ``detail`` what was seen."""
        if self.there is not False or self._loss is None or self._loss.word != word:
            self.there, self._loss = False, Loss(word, detail)
        self._tell()

    def unknown(self, word: str = "") -> None:
        """The link is up, and the device has not been heard yet; what was told last stands.

        What the device said since then stands as well: its word may arrive before we learn that the link is up.
        ``word``: for a device that announces itself, the loss that is told where nothing was heard for ``UNHEARD_S``.
        It is tried all the same: one that only listens may well be there.
        """
        if self.there or (self.there is False and self._loss is not None and self._loss.word != OUR_LINK):
            return
        self.there = None
        if word:
            self._later(UNHEARD_S, lambda: self._unheard(word))

    def _unheard(self, word: str) -> None:
        if self.there is not None or (self._told is False and self._told_word == word):
            return
        if self._context.emit(DeviceLost(self._context.point(), word)):
            self._told, self._told_word = False, word
        else:
            self._later(TELL_AGAIN_S, lambda: self._unheard(word))

    def _later(self, after_s: float, then: Callable[[], None]) -> None:
        if self._again is not None:
            self._again.cancel()
        self._again = asyncio.get_running_loop().call_later(after_s, then)

    def forget(self) -> None:
        """The driver ends or starts anew: its next report is told even if it repeats the last one."""
        self.there = self._told = None
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _tell(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
        loss = None if self.there else self._loss
        word = "" if loss is None else loss.word
        if self.there is None or (self.there is self._told and word == self._told_word):
            return
        now_s = monotonic_s()
        if self.there is self._told and now_s < self._word_from_s:
            self._again = asyncio.get_running_loop().call_later(self._word_from_s - now_s, self._tell)
            return
        device = self._context.point()
        if self._context.emit(DeviceBack(device) if loss is None else DeviceLost(device, *loss)):
            self._word_from_s = now_s + (WORD_S if self.there is self._told else SETTLE_S)
            self._told, self._told_word = self.there, word
        else:
            self._again = asyncio.get_running_loop().call_later(TELL_AGAIN_S, self._tell)


class Driver(Protocol):
    """One configured device. Constructed as ``DriverClass(context, options)``.

    It emits ``DeviceBack`` at first contact and ``DeviceLost`` once per loss. ``run`` lives until cancelled and never
    gives up; ``show`` and ``act`` return when the device took the command, or raise a ``DeviceError``, within
    ``deadline_s`` real seconds. Points given to ``show``/``act`` always belong to this device.

    ``reassert_s``: hall seconds between re-assertions of every level. ``pace_s``: the least real seconds between two
    batches of texts, for who needs the newest but not each (lamps do not wait for it); 0: as they come.

    A driver that tells ``Presence`` also declares ``LOSSES``: for which words of ``edged.core.model.losses`` it may.
    """

    OPTIONS: ClassVar[type[Options]]
    deadline_s: float
    reassert_s: float
    pace_s: float

    async def run(self) -> None: ...

    async def show(self, point: Point, value: Value) -> None: ...

    async def act(self, action: Action) -> None: ...


@runtime_checkable
class PromptDriver(Driver, Protocol):
    """A driver whose ``show`` never waits. Levels leave in the turn of the loop that wanted them."""

    def put(self, point: Point, value: Value) -> None:
        """``show`` without the waiting. Raises a ``DeviceError``."""


@runtime_checkable
class BeginningDriver(Driver, Protocol):
    """A driver whose ``show`` only waits for an answer. Lamps leave in the turn of the loop that wanted them."""

    def begin(self, point: Point, value: Value) -> Callable[[], Awaitable[None]]:
        """``show`` up to that wait; what it returns is to be called and awaited for the rest.

        Raises a ``DeviceError`` where nothing has begun.
        """
