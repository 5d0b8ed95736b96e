"""Lamps on a Modbus relay module: writes their states to coils (or registers), and reads them back if the module can.

Rules:
1. The driver remembers the state of every lamp, and writes it again after each loss before it reports "back".
2. If the module has one-shot pulses (``pulse_on``), a lamp is lit by a pulse of ``dead_man_s``, which is repeated
   ``REARMS`` times within that time; so it goes dark by itself once the controller is dead. For other modules the
   technician sets the module's own watchdog.
3. The answer to a write proves nothing (an RS-485 adapter may echo our own bytes): after every write the coils are
   read back.
4. A coil that has the wrong state is written again; after ``MISMATCH_MAX`` times a fault of that lamp is reported, not
   of the module.
5. If a module answers with a Modbus exception it is not lost, because it understands us. A refused write is reported as
   a fault of that lamp, a refused read as one of the module (its lamps cannot be verified), with the meaning of the
   exception. Both are tried again at the next poll. After a start of the program the first result for a lamp is
   reported even if it is good, because the hall may still show a fault from before the restart.
6. Coils are read eight at a time: in longer answers some boards reverse the bytes.

Blinking, repeated pulses and polling follow hall time; deadlines are real seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, ClassVar

from msgspec import Meta

from devices.modbus_relay.codec import State, Style, blink_value, write_for
from devices.modbus_relay.profiles import Profile, profile_of
from edged.core.model.commands import Action, Lamp, Value
from edged.core.model.events import HealthRead
from edged.core.model.losses import Loss
from edged.core.model.point import Point, channel_of
from edged.descriptions import Description, Named
from edged.driver import (
    DeviceContext,
    DeviceError,
    Garbled,
    Options,
    Presence,
    Refused,
    SharedWire,
    Unreachable,
)
from edged.heartbeat import lasting
from edged.links.losses import WIRE_LOSSES
from edged.links.modbus.frames import AGAIN_LATER, UNIT_IS_SILENT, WRITE_COIL
from edged.links.modbus.link import ModbusBus, bus
from edged.links.modbus.wire import parse_url
from edged.shapes import Rule

POLL_S = (
    5.0  # hall seconds between read-backs: a relay that was power-cycled shines wrongly no longer than this
)
REARMS = 3  # within a lamp's loan: two may be lost before the light goes out
MISMATCH_MAX = 3  # read-backs in a row that contradict a lamp before it is reported
RETRY_MIN_S = 0.1  # real seconds: never ask a lost module in a tight loop
QUEUE_S = 1.0  # real seconds that a lamp may wait behind other modules of the same wire
DEFAULT_CHANNELS = 8
READ_COILS = 8  # in one answer: a single byte has no order


def _wire(url: str) -> str:
    parse_url(url)
    return url


class RelayOptions(Options, frozen=True):
    """Options of one module. ``unit`` and ``channels`` (number of lamps) default to those of the profile.
    ``deadline_ms``: how long to wait for the module's answer. ``invert``: lamps are lit while their coil is off.

    ``dead_man_s``: on a module with one-shot pulses, lamps go dark by themselves after so many real seconds without the
    controller. This must be longer than a restart by the watchdog takes. Other modules ignore it; set their own
    watchdog.
    """

    DESCRIBED: ClassVar[str] = "profile"
    DESCRIPTION: ClassVar[type[Description] | None] = Profile

    url: Annotated[str, Rule(_wire)]
    profile: Named = "plain"
    unit: Annotated[int, Meta(ge=0, le=255)] | None = None
    channels: Annotated[int, Meta(ge=1)] | None = None
    deadline_ms: Annotated[int, Meta(ge=20, le=2000)] = 200
    blink_hz: Annotated[float, Meta(ge=0.1, le=5.0)] = 1.0
    dead_man_s: Annotated[int, Meta(ge=15, le=600)] = 15
    invert: bool = False

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        profile = profile_of(self.profile)
        if self.channels is not None and self.channels > profile.channels:
            raise ValueError(f"{profile.title} has {profile.channels} channels, not {self.channels}")
        if self.unit == 0 and parse_url(self.url).rtu:
            raise ValueError(
                "unit 0 is the broadcast address, to which no module answers; give the number set on the module"
            )

    def point_channels(self) -> frozenset[str]:
        """The channels that hall.toml may name: the numbers of the lamps, from 0, as text."""
        count = self.channels or min(DEFAULT_CHANNELS, profile_of(self.profile).channels)
        return frozenset(map(str, range(count)))

    def shared_wire(self) -> SharedWire:
        """The module's bus, and its unit number there; by default the unit number in the profile."""
        wire = parse_url(self.url)
        unit = profile_of(self.profile).unit if self.unit is None else self.unit
        return SharedWire(wire.address, wire.settings, unit)

    def point_roles(self, channel: str) -> frozenset[str]:
        """The role of a channel: lamp."""
        return frozenset({"lamp"})


class ModbusRelay:
    """Driver of a relay module or signal tower. hall.toml addresses its lamps as ``device/0``, ``device/1`` and so
    on.
    """

    OPTIONS: ClassVar[type[Options]] = RelayOptions
    LOSSES: ClassVar[frozenset[str]] = WIRE_LOSSES | {
        "bad-answer",
        *(f"exception-{code}" for code in (*AGAIN_LATER, *UNIT_IS_SILENT)),
    }
    pace_s = 0.0  # a wire with a queue of its own
    reassert_s = 30.0  # the read-back finds a wrong coil sooner than a re-assertion would

    def __init__(
        self, context: DeviceContext, options: RelayOptions, shared: ModbusBus | None = None
    ) -> None:
        """``shared``: the bus to use; by default the one on ``options.url``, which all drivers of this process
        share.
        """
        profile = profile_of(options.profile)
        self._context = context
        self._bus = shared if shared is not None else bus(options.url)
        self._unit = profile.unit if options.unit is None else options.unit
        self._channels = options.channels or min(DEFAULT_CHANNELS, profile.channels)
        self._style = Style(profile, options.invert, options.blink_hz, options.dead_man_s)
        self._blinks_itself = blink_value(self._style) is not None
        self._lends = (profile.pulse_off if options.invert else profile.pulse_on) is not None
        self._rearm_s = options.dead_man_s / REARMS
        self._answer_s = options.deadline_ms / 1000
        self.deadline_s = 2 * self._answer_s + QUEUE_S
        self._wanted: dict[int, State] = {}
        self._contradicted: dict[int, int] = {}
        self._faults: dict[
            int | None, str
        ] = {}  # reported faults of lamps by channel; None: of the module itself
        self._judged: set[int | None] = (
            set()
        )  # reported since the start; for others a fault from before may still be standing
        self._up: bool | None = None
        self._presence = Presence(context)
        self._due = asyncio.Event()
        self._retry: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Poll the module and keep its lamps in the wanted states, until cancelled."""
        detach = self._bus.on_state(self._wire_changed)
        self._due.set()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(lasting("bus", self._bus.run()))
                group.create_task(lasting("watch", self._watch()))
                group.create_task(lasting("time", self._keep_time()))
        finally:
            detach()
            if self._retry is not None:
                self._retry.cancel()

    async def show(self, point: Point, value: Value) -> None:
        """Set a lamp's state, and return when the module has answered; the coil is read back soon after. Raises
        ``Refused`` for a value that is no lamp's or a lamp that the module does not have, ``Unreachable`` if the module
        does not answer, ``Garbled`` if its answer is no Modbus.
        """
        try:
            outcome = self.begin(point, value)
        except Unreachable as error:
            self._not_written(error)
            raise
        await outcome()

    def begin(self, point: Point, value: Value) -> Callable[[], Awaitable[None]]:
        """Do the part of ``show`` that does not wait: send the write if the bus is idle, otherwise queue it. Call the
        result and await it to wait for the module's answer; that raises as ``show`` does.
        """
        channel = self._channel(point, value)
        assert isinstance(value, Lamp)
        if value.state == "blink" == self._wanted.get(channel) and self._up:
            return _nothing  # it blinks already; a new start would only break its rhythm
        self._wanted[channel] = value.state
        self._contradicted.pop(channel, None)
        return partial(self._outcome, channel, self._write(channel))

    async def _outcome(self, channel: int, written: asyncio.Future[bytes]) -> None:
        try:
            async with asyncio.timeout(self.deadline_s):
                await written
        except TimeoutError:
            raise Unreachable("the wire is too busy") from None
        except (Unreachable, Garbled) as error:
            self._not_written(error)
            raise
        except Refused as error:
            self._report_fault(channel, str(error))
            raise
        self._due.set()

    def _not_written(self, error: DeviceError) -> None:
        if self._bus.connected:  # a connection that is down reports that itself
            self._lose(error)

    async def act(self, action: Action) -> None:
        """Raise ``Refused``, because a relay module has no one-time actions."""
        raise Refused(f"a relay module cannot {action.body.kind}")

    def _channel(self, point: Point, value: Value) -> int:
        channel = channel_of(point)
        if not isinstance(value, Lamp):
            raise Refused(f"a relay module shows lamps, not a {value.kind}")
        if not (channel.isascii() and channel.isdecimal() and int(channel) < self._channels):
            raise Refused(f"{point}: channels are 0 to {self._channels - 1}")
        return int(channel)

    def _wire_changed(self, up: bool, why: Loss) -> None:
        if up:
            self._due.set()
        else:
            self._lose(Unreachable(why.detail, why.word))

    async def _watch(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            if self._bus.connected:
                try:
                    await self._check()
                except DeviceError as error:
                    self._lose(error)
            if self._up:
                self._presence.back()

    async def _check(self) -> None:
        """Read the coils and compare them with the wanted states; write those that differ. After a loss, or if the
        coils cannot be read, write all. Raises ``Unreachable`` if the module does not answer, ``Garbled`` if its answer
        is no Modbus.
        """
        before = dict(self._wanted)
        if not self._style.profile.reads:
            for channel in before:
                await self._rewrite(channel)
            if before:  # without a level to write there is no harmless question
                self._up = True
            return
        try:
            levels = await self._levels()
        except Refused as error:
            levels = None
            self._report_fault(None, f"its lamps cannot be read back: {error}")
        else:
            self._report_fault(None, None)
        if not self._up or levels is None:
            for channel in list(self._wanted):
                await self._rewrite(channel)
            self._up = True
            return
        for channel, state in before.items():
            if state != "blink" and self._wanted[channel] == state:
                await self._compare(channel, levels[channel], lit=state == "on")

    async def _levels(self) -> dict[int, bool]:
        """Read the coils of the lamps in use, and return lamp number -> whether the coil is on. They are read in groups
        of ``READ_COILS``. Raises ``Refused`` if the module answers with a Modbus exception, ``Unreachable`` if it does
        not answer, ``Garbled`` if its answer is no Modbus.
        """
        found: dict[int, bool] = {}
        for group in sorted({channel // READ_COILS for channel in self._wanted} or {0}):
            first = group * READ_COILS
            count = min(READ_COILS, self._channels - first)
            base = self._style.profile.base
            levels = await self._bus.read_coils(self._unit, base + first, count, deadline_s=self._answer_s)
            found |= dict(enumerate(levels, first))
        return found

    async def _rewrite(self, channel: int, lit_phase: bool = True) -> None:
        """Write a lamp's wanted state; ``lit_phase`` as in ``write_for``. A Modbus exception is reported as a fault of
        that lamp. Raises ``Unreachable`` if the module does not answer, ``Garbled`` if its answer is no Modbus.
        """
        try:
            await self._write(channel, lit_phase)
        except Refused as error:
            self._report_fault(channel, str(error))

    def _report_fault(self, channel: int | None, fault: str | None) -> None:
        """Report the fault of lamp ``channel`` (None: of the whole module) if it is not the one reported last;
        ``fault`` None: the fault is gone. If the inbox is full, the next poll reports it.
        """
        if self._faults.get(channel) == fault and channel in self._judged:
            return
        point = self._context.point("" if channel is None else str(channel))
        if not self._context.emit(HealthRead(point, fault=fault)):
            return
        self._judged.add(channel)
        if fault is None:
            self._faults.pop(channel, None)
        else:
            self._faults[channel] = fault

    async def _compare(self, channel: int, level: bool, *, lit: bool) -> None:
        times = self._contradicted.pop(channel, 0)
        if level == (lit != self._style.inverted):
            self._report_fault(channel, None)
            return
        self._contradicted[channel] = times + 1
        if times + 1 >= MISMATCH_MAX and channel not in self._faults:
            self._report_fault(channel, f"lamp does not follow: wanted {'on' if lit else 'off'}")
        await self._rewrite(channel)
        if times + 1 < MISMATCH_MAX:
            self._due.set()

    async def _keep_time(self) -> None:
        """Do what is due in hall time: both halves of a blink and the repeated pulses, unless the module does them by
        itself, and every ``POLL_S`` the poll.
        """
        half_s = 0.5 / self._style.blink_hz
        next_s = self._context.now_s()
        poll_s, rearm_s, lit = next_s + POLL_S, next_s + self._rearm_s, False
        while True:
            next_s = max(next_s + half_s, self._context.now_s())  # no catching up after a stall
            await self._context.sleep(max(0.0, next_s - self._context.now_s()))
            lit = not lit
            now_s = self._context.now_s()
            if now_s >= poll_s:
                poll_s = now_s + POLL_S
                self._due.set()
            rearm = now_s >= rearm_s
            if rearm:
                rearm_s = now_s + self._rearm_s
            if self._up:
                await self._beat(lit, rearm)

    async def _beat(self, lit: bool, rearm: bool) -> None:
        try:
            for channel in list(self._wanted):
                state = self._wanted[channel]
                if state == "blink" and not self._blinks_itself and (lit or not self._lends):
                    await self._rewrite(channel, lit)
                elif state == "on" and self._lends and rearm:
                    await self._rewrite(channel)
        except DeviceError as error:
            self._lose(error)

    def _write(self, channel: int, lit_phase: bool = True) -> asyncio.Future[bytes]:
        write = write_for(self._style, channel, self._wanted[channel], lit_phase)
        send = self._bus.write_coil if write.function == WRITE_COIL else self._bus.write_register
        return send(self._unit, write.address, write.value, slot=channel, deadline_s=self._answer_s)

    def _lose(self, error: DeviceError) -> None:
        """Report the module as lost, because it does not answer or its answers are wrong. Schedules the next try, which
        is soon, but not before the bus asks a silent unit again.
        """
        if isinstance(error, Garbled):
            self._context.reject("garbled", str(error))
        self._up = False
        self._presence.lost(*error.loss)
        if self._retry is not None:
            self._retry.cancel()
        wait_s = max(RETRY_MIN_S, self._bus.rest_s(self._unit))
        self._retry = asyncio.get_running_loop().call_later(wait_s, self._due.set)


async def _nothing() -> None:
    """Do nothing: what ``begin`` returns if nothing has to be sent."""
