"""A Candle bus: receives keys and buttons; sends LEDs, digits and texts of boards.

Rules:
1. Frames are sent one at a time (``edged/links/slots.py``), ``bus_pause_ms`` apart. Of each output (a panel's LED, a
   board's text) only the newest value is sent; changed values come before unchanged ones. Units do not acknowledge: a
   frame that was sent counts as shown, and is repeated from time to time and whenever the bus comes back.
2. Some adapters echo our own frames, which must not be taken for key presses: the echo is dropped, intact or damaged
   (``echo.py``). Whether the adapter echoes is detected, unless the option ``echo`` says so.
3. A bus full of noise (``edged/links/noise.py``) counts as lost, and frames on it are ignored, until it has been quiet
   for a while.
4. A kiosk's buttons have no printer. With ``kiosk_board`` the ticket's number is shown on that board, which counts as
   printed; without it a print is refused, and the core reports that the ticket was not handed out.

Deadlines are real seconds. Pauses between frames and the limit on key presses follow hall time, the daemon's clock,
which a demo runs faster.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from devices.candle485.codec import BUTTON_MAX, KEYS, Frame, Parser, Signal
from devices.candle485.echo import Echo
from devices.candle485.options import CandleOptions
from devices.candle485.signs import board, digits, led, loud, printed
from edged.core.model.commands import Action, Display, Lamp, Pager, Panel, Print, Value
from edged.core.model.events import Event, InputRefused, KeyPressed, TicketRequested
from edged.core.model.losses import Loss
from edged.core.model.point import Point, channel_of
from edged.driver import DeviceContext, Options, Refused
from edged.heartbeat import lasting
from edged.links import ByteLink
from edged.links.listening import BusListener
from edged.links.losses import WIRE_LOSSES
from edged.links.noise import Presses
from edged.links.serial import SerialLink
from edged.links.slots import SlotBus

ECHO_S = 0.1  # an echo later than this is incomplete
ECHO_MISSES_MAX = 5  # missing echoes in a row: the adapter does not echo, or, if it used to, it is frozen
BITS_OF_A_BYTE = 10  # with start and stop bit
FRAME_BYTES_MAX = 32  # a board's whole line
REASSERT_MIN_S = 5.0  # hall seconds
PAUSES_MAX = 6  # longest wait of a changed value: its own two frames, one being sent, and as much again
SPARE_S = 1.0  # real seconds added for a slow adapter


class Candle485:
    """Driver of one bus. hall.toml addresses a panel or board as ``device/NAME``, with its name in the options. A
    kiosk's button is named ``device/button-N`` in the events that it causes.
    """

    OPTIONS: ClassVar[type[Options]] = CandleOptions
    LOSSES: ClassVar[frozenset[str]] = WIRE_LOSSES | {"babble", "no-echo"}
    pace_s = 0.0  # a wire with a queue of its own

    def __init__(self, context: DeviceContext, options: CandleOptions, link: ByteLink | None = None) -> None:
        """``link``: the connection to use; by default the serial port at ``path``."""
        self._context = context
        self._options = options
        self._link = link if link is not None else SerialLink(options.path, baudrate=options.baudrate)
        self._pause_s = options.bus_pause_ms / 1000
        slots = sum(1 + panel.digits for panel in options.panels.values()) + len(options.boards)
        # A round of re-assertions uses at most half of the bus; the rest is left to panels.
        self.reassert_s = max(REASSERT_MIN_S, 2 * slots * self._pause_s)
        self._byte_s = BITS_OF_A_BYTE / options.baudrate
        frame_s = FRAME_BYTES_MAX * self._byte_s
        self.deadline_s = PAUSES_MAX * (self._pause_s + ECHO_S + frame_s) + SPARE_S
        self._names = {unit.address: name for name, unit in options.panels.items()}
        self._boards = {unit.address for unit in options.boards.values()}
        self._bus = SlotBus[Frame](self._write, lambda: context.sleep(self._pause_s))
        self._ear = BusListener[Frame](context, Parser, self._accept, self._bus.fail)
        self._echo = Echo(sure=options.echo is True)
        self._echoes = options.echo  # None: not known yet
        self._echo_over = asyncio.Event()
        self._presses = Presses()

    async def run(self) -> None:
        """Receive and send frames until cancelled."""
        self._ear.begin()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(lasting("link", self._link.run(self._received, self._wire_changed)))
                group.create_task(lasting("bus", self._bus.run()))
        finally:
            self._ear.end()

    async def show(self, point: Point, value: Value) -> None:
        """Send ``value`` to its panel or board. Raises ``Refused`` if the point cannot show such a value or is not on
        this bus, ``Unreachable`` while the bus is lost.
        """
        channel = channel_of(point)
        frames = self._frames(channel, value)
        self._ear.check_up()
        leaving = []
        for frame in frames:
            slot = f"{channel}/{type(frame).__name__}"
            once = loud(frame, value) if self._bus.is_new(slot, frame) else None
            future = self._bus.put(slot, frame, once)
            if future is not None:
                leaving.append(future)
        for future in leaving:
            await future

    async def act(self, action: Action) -> None:
        """Show the number of a new ticket on the kiosk's board. Raises ``Refused`` for any other action, or if there is
        no such board, and ``Unreachable`` while the bus is lost.
        """
        if not isinstance(action.body, Print):
            raise Refused(f"a Candle bus cannot {action.body.kind}")
        if action.body.about != "ticket":
            raise Refused("a Candle bus shows numbers, no slips")
        name = self._options.kiosk_board
        if name is None:
            raise Refused("no printer")
        self._ear.check_up()
        frame = printed(self._options.boards[name], action.body.number)
        future = self._bus.put(f"{name}/{type(frame).__name__}", frame, once=frame)
        assert future is not None  # it leaves even where the board shows the same number
        await future

    def _frames(self, channel: str, value: Value) -> list[Frame]:
        panel, unit = self._options.panels.get(channel), self._options.boards.get(channel)
        if panel is not None and isinstance(value, Panel):
            frames: list[Frame] = [led(panel.address, value)]
            return [*frames, digits(panel.address, value)] if panel.digits else frames
        if panel is not None and isinstance(value, Lamp | Pager):
            return [led(panel.address, value)]
        if unit is not None and isinstance(value, Display):
            return [board(unit, value)]
        if panel is None and unit is None:
            raise Refused(f"no panel or board {channel!r} on this bus")
        raise Refused(f"{channel} cannot show a {value.kind}")

    async def _write(self, frame: Frame) -> None:
        """Send one frame, and wait for its echo if one is expected. Raises ``Unreachable`` while the bus is lost."""
        self._ear.check_up()
        data = frame.to_bytes()
        if self._echoes is not False:
            self._echo_over.clear()
            self._ear.take(self._echo.sent(data))
        await self._link.write(data)
        if self._echo.due:
            await self._echo_passes(len(data))

    async def _echo_passes(self, length: int) -> None:
        """Wait for the echo of ``length`` bytes, at most ``ECHO_S`` after they have left the line. After
        ``ECHO_MISSES_MAX`` missing echoes in a row an adapter that has echoed before counts as frozen, and the port is
        opened again. Any other counts as one that does not echo, unless the option ``echo`` says that it does.
        """
        damaged = self._echo.damaged
        try:
            async with asyncio.timeout(ECHO_S + length * self._byte_s):
                await self._echo_over.wait()
        except TimeoutError:
            self._ear.take(self._echo.expire())
        if self._echo.damaged > damaged:
            self._context.reject("echo_damaged")
        if self._echo.missed < ECHO_MISSES_MAX:
            return
        self._echo.missed = 0
        if self._echo.echoes:
            self._echo.echoes = 0
            self._link.reopen(Loss("no-echo", "no echo any more"))
        elif self._echoes is None:
            self._echoes = False
        else:
            self._context.reject("echo_missing", "option echo is true, but the adapter returns nothing")

    def _received(self, data: bytes) -> None:
        was_due = self._echo.due
        self._ear.take(self._echo.feed(data))
        if was_due and not self._echo.due:
            self._echo_over.set()

    def _accept(self, frame: Frame) -> None:
        if not isinstance(frame, Signal):
            self._context.reject("unexpected_frame", type(frame).__name__)
        elif frame.code <= BUTTON_MAX:
            self._button(frame)
        else:
            self._key(frame)

    def _button(self, frame: Signal) -> None:
        service = self._options.buttons.get(frame.code)
        kiosk = self._options.kiosk_address
        wrong = frame.address != kiosk if kiosk is not None else frame.address in self._names
        mine = frame.address == kiosk  # so that no noise calls for staff
        if service is None or wrong or frame.address in self._boards:
            self._context.reject("unknown_button", f"{frame.code} from {frame.address:#x}")
            if mine:
                self._press(frame.address, InputRefused(self._context.point(), "request", "unknown_button"))
        else:
            self._press(frame.address, TicketRequested(self._context.point(f"button-{frame.code}"), service))

    def _key(self, frame: Signal) -> None:
        panel, key = self._names.get(frame.address), KEYS.get(frame.code)
        if panel is None:
            self._context.reject("unknown_address", f"{frame.address:#x}")
        elif key is None:
            self._context.reject("unknown_key", f"{frame.code:#x} of {panel}")
        else:
            self._press(frame.address, KeyPressed(self._context.point(panel), key))

    def _press(self, address: int, event: Event) -> None:
        self._ear.understood()
        if self._presses.allows(address, self._context.now_s()):
            self._context.emit(event)
        else:
            self._context.reject("stuck_key", f"{address:#x}")

    def _wire_changed(self, up: bool, why: Loss) -> None:
        self._echo = Echo(sure=self._options.echo is True)
        self._echo_over.set()
        self._echoes = self._options.echo  # another adapter may be there now
        self._ear.wire_changed(up, why)
