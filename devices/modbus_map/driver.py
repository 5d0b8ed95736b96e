"""One Modbus module, driven by its description: buttons, light beams, counters, a numeric display. Rules:

1. The module is polled every ``poll_ms``; a contact that has closed since the last poll is a press. A contact that is
   closed at first contact, or after a loss, was not pressed.
2. Counts of beams and totals of counters are offered again until the inbox accepts them, so that none is lost.
3. Without an answer the module counts as lost. It is then asked again at most once in ``RETRY_MIN_S``, and not before
   the bus has finished its own pause for a silent unit (``rest_s``). When the module answers, its display is written
   before the module is reported as back.
4. If the module answers with a Modbus exception, that is reported once, as a fault of its contacts or its counters.

Deadlines are real seconds; polling follows hall time.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from devices.modbus_map.codec import BITS_AT_ONCE, Contacts, MapModel, Unwrapped, counted, number_pdu
from edged.core.model.commands import Action, Display, Panel, Value
from edged.core.model.events import CountRead, HealthRead, Key, KeyPressed
from edged.core.model.losses import Loss
from edged.core.model.point import Point, channel_of
from edged.descriptions import Description, Named, described
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
from edged.links.modbus.frames import AGAIN_LATER, UNIT_IS_SILENT
from edged.links.modbus.link import ModbusBus, bus
from edged.links.modbus.wire import parse_url
from edged.shapes import Rule, form

DISPLAY = "display"  # the channel of the numeric display
BOUNCE_S = 0.3  # hall seconds: nobody presses a button three times a second
RETRY_MIN_S = 0.2  # hall seconds: never ask a lost module in a tight loop
QUEUE_S = 1.0  # real seconds that a number may wait behind other requests on the wire
REASSERT_MAP_S = 30.0
UNTOLD = "?"  # an earlier process may have reported a fault that is gone by now: the first result is always reported
PanelName = Annotated[str, form(r"^[A-Za-z0-9_.-]{1,32}$")]
Contact = Annotated[int, Meta(ge=0, le=63)]


def _wire(url: str) -> str:
    parse_url(url)
    return url


class ModbusMapOptions(Options, frozen=True):
    """Options of one module. ``url``: its bus. ``unit``: its number there; by default that in the description.
    ``model``: its description, by name or in full. ``panels``: for each panel, key -> number of the contact that its
    button closes, from 0.

    ``beams``: the contacts of light beams that count people who enter and leave. ``poll_ms``: hall time between polls.
    ``deadline_ms``: how long to wait for the module's answer.
    """

    DESCRIBED: ClassVar[str] = "model"
    DESCRIPTION: ClassVar[type[Description] | None] = MapModel

    url: Annotated[str, Rule(_wire)]
    model: Named
    unit: Annotated[int, Meta(ge=1, le=255)] | None = None
    panels: Annotated[dict[PanelName, dict[Key, Contact]], Meta(max_length=64)] = field(default_factory=dict)
    beams: dict[Literal["entered", "left"], Contact] = field(default_factory=dict)
    poll_ms: Annotated[int, Meta(ge=20, le=60_000)] = 100
    deadline_ms: Annotated[int, Meta(ge=20, le=2000)] = 200

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        model = self.described
        used = [contact for keys in self.panels.values() for contact in keys.values()] + list(
            self.beams.values()
        )
        if used and model.contacts is None:
            raise ValueError(f"{model.title} has no contacts; leave panels and beams out")
        if used and model.contacts is not None and max(used) >= model.contacts.count:
            raise ValueError(f"{model.title} has contacts 0 to {model.contacts.count - 1}, not {max(used)}")
        twice = next((contact for contact in used if used.count(contact) > 1), None)
        if twice is not None:
            raise ValueError(f"contact {twice} is given two meanings; each contact is one key or one beam")

    @property
    def described(self) -> MapModel:
        """The description that ``model`` names or contains. Raises ``ValueError`` if there is no such description or it
        has mistakes.
        """
        return described("modbus_map", self.model, MapModel)

    def shared_wire(self) -> SharedWire:
        """The module's bus, and its unit number there; by default the unit number in the description."""
        wire = parse_url(self.url)
        return SharedWire(wire.address, wire.settings, self.unit or self.described.unit)

    def point_channels(self) -> frozenset[str]:
        """The channels that hall.toml may name: those in ``panels``, and "display" if the module has one."""
        return frozenset(self.panels) | (frozenset({DISPLAY}) if self.described.display else frozenset())

    def point_roles(self, channel: str) -> frozenset[str]:
        """The role of a channel: panel for the names in ``panels``, display for "display"."""
        return frozenset({"panel"} if channel in self.panels else {"display"})

    def reports(self) -> frozenset[str]:
        """The role in which the module sends events by itself: counter, if it has beams or counters."""
        return frozenset({"counter"} if self.beams or self.described.counters else ())


class ModbusMap:
    """Driver of one described module. hall.toml addresses its buttons as ``device/PANEL``, where PANEL is one of the
    names in the device's option ``panels``, and its display as ``device/display``.
    """

    OPTIONS: ClassVar[type[Options]] = ModbusMapOptions
    LOSSES: ClassVar[frozenset[str]] = WIRE_LOSSES | {
        "bad-answer",
        *(f"exception-{code}" for code in (*AGAIN_LATER, *UNIT_IS_SILENT)),
    }
    pace_s = 0.0  # a wire with a queue of its own
    reassert_s = REASSERT_MAP_S

    def __init__(
        self, context: DeviceContext, options: ModbusMapOptions, shared: ModbusBus | None = None
    ) -> None:
        """``shared``: the bus to use; by default the one on ``options.url``, which all drivers of this process
        share.
        """
        self._context = context
        self._model = options.described
        self._options = options
        self._bus = shared if shared is not None else bus(options.url)
        self._unit = options.unit or self._model.unit
        self._answer_s = options.deadline_ms / 1000
        self.deadline_s = 2 * self._answer_s + QUEUE_S
        self._keys = {
            contact: (panel, key) for panel, keys in options.panels.items() for key, contact in keys.items()
        }
        self._beams = {contact: way for way, contact in options.beams.items()}
        self._contacts = Contacts(BOUNCE_S)
        self._people = {"entered": 0, "left": 0}  # people counted at beams, not reported yet
        self._totals = {name: Unwrapped(one) for name, one in (self._model.counters or {}).items()}
        self._reported: tuple[int, int] | None = None
        self._wanted: bytes | None = None  # the request that shows the wanted number on the display
        self._fault: str | None = UNTOLD
        self._presence = Presence(context)

    async def run(self) -> None:
        """Poll the module until cancelled."""
        detach = self._bus.on_state(self._wire_changed)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(lasting("bus", self._bus.run()))
                group.create_task(lasting("poll", self._poll()))
        finally:
            detach()

    async def show(self, point: Point, value: Value) -> None:
        """Show the newest call on the display: its ticket number or its window, as the description says. No-op for a
        panel, which has only keys. Raises ``Refused`` for any other value or channel, another ``DeviceError`` if the
        module did not confirm it within ``deadline_s``.
        """
        channel = channel_of(point)
        if channel in self._options.panels and isinstance(value, Panel):
            return
        if channel != DISPLAY or self._model.display is None or not isinstance(value, Display):
            raise Refused(f"{point} cannot show a {value.kind}")
        self._wanted = number_pdu(self._model.display, value)
        try:
            async with asyncio.timeout(self.deadline_s):
                await self._write(self._wanted)
        except TimeoutError:
            raise Unreachable("the wire is too busy") from None

    async def act(self, action: Action) -> None:
        """Raise ``Refused``, because the module has no one-time actions."""
        raise Refused(f"a Modbus module cannot {action.body.kind}")

    def _wire_changed(self, up: bool, why: Loss) -> None:
        if not up:
            self._lose(Unreachable(why.detail, why.word))

    def _write(self, pdu: bytes) -> asyncio.Future[bytes]:
        return self._bus.write_block(self._unit, pdu, deadline_s=self._answer_s)

    async def _poll(self) -> None:
        while True:
            wait_s = self._options.poll_ms / 1000
            if self._bus.connected:
                try:
                    await self._read_all()
                    await self._answered()
                except DeviceError as error:
                    self._lose(error)
                    wait_s = max(wait_s, RETRY_MIN_S, self._bus.rest_s(self._unit))
            await self._context.sleep(wait_s)

    async def _answered(self) -> None:
        """Record that the module has answered: if it was lost, write its display again and report it as back."""
        if self._presence.there is not True and self._wanted is not None:
            await self._write(self._wanted)
        self._presence.back()

    async def _read_all(self) -> None:
        """Read all contacts and counters once, and report presses and counts. A Modbus exception is reported as a fault
        of the contacts or of the counters. Raises ``Unreachable`` if the module does not answer, ``Garbled`` if its
        answer is no Modbus.
        """
        faults = []
        for name, read in (("contacts", self._read_contacts), ("counters", self._read_counters)):
            try:
                await read()
            except Refused as error:
                faults.append(f"{name} cannot be read: {error}")
        self._report_fault("; ".join(faults) or None)

    async def _read_contacts(self) -> None:
        contacts = self._model.contacts
        if contacts is None:
            if self._model.counters is None:
                await self._bus.read_registers(self._unit, 0, 1, deadline_s=self._answer_s)
            return
        read = self._bus.read_inputs if contacts.read == "input" else self._bus.read_coils
        for first in range(0, contacts.count, BITS_AT_ONCE):
            count = min(BITS_AT_ONCE, contacts.count - first)
            bits = await read(self._unit, contacts.address + first, count, deadline_s=self._answer_s)
            await self._answered()
            closed = [bit == bool(contacts.closed) for bit in bits]
            for place in self._contacts.pressed(closed, first, self._context.now_s()):
                self._pressed(place)
        self._report_people()

    def _pressed(self, place: int) -> None:
        if place in self._beams:
            self._people[self._beams[place]] += 1
        elif place in self._keys:
            panel, key = self._keys[place]
            self._context.emit(KeyPressed(self._context.point(panel), key))
        else:
            self._context.reject("unknown_contact", f"{self._context.device} {place}")

    def _report_people(self) -> None:
        entered, left = self._people["entered"], self._people["left"]
        if (entered or left) and self._context.emit(
            CountRead(self._context.point(), "window", entered, left)
        ):
            self._people = {"entered": 0, "left": 0}

    async def _read_counters(self) -> None:
        if not self._model.counters:
            return
        totals = {"in": 0, "out": 0}
        for name, counter in self._model.counters.items():
            holding = counter.read == "holding"
            read = self._bus.read_registers if holding else self._bus.read_input_registers
            words = await read(self._unit, counter.address, counter.words, deadline_s=self._answer_s)
            await self._answered()
            totals[name] = self._totals[name].total(counted(counter, words))
        now = (totals["in"], totals["out"])
        if now != self._reported and self._context.emit(CountRead(self._context.point(), "total", *now)):
            self._reported = now

    def _report_fault(self, fault: str | None) -> None:
        """Report the module's fault (None: it has none any more) if it is not the one reported last. If the inbox is
        full, the next poll reports it.
        """
        if self._fault != fault and self._context.emit(HealthRead(self._context.point(), fault=fault)):
            self._fault = fault

    def _lose(self, error: DeviceError) -> None:
        if isinstance(error, Garbled):
            self._context.reject("garbled", str(error))
        self._contacts.forget()
        self._presence.lost(*error.loss)
