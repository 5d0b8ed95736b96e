"""A Candle bus: keys and buttons in; LEDs, digits and boards out.

Rules:
1. One writer. Frames leave with ``bus_pause_ms`` (hall time) between them; the newest value of each slot wins, and a
   value that changed goes before one that is only sent again. The bus has no acknowledgement, so ``show`` returns
   once its frame is in line; whatever was in line is forgotten with the wire and asserted anew when it is back.
2. What we sent and hear back is nobody's key: with ``echo`` it is swallowed, damaged or whole (``echo.py``).
3. Bytes that are no frame for ``BABBLE_S`` without a known frame between them: the bus is lost ("babble") and nothing
   on it is believed, until it was quiet for ``QUIET_S``.
4. A kiosk's buttons have no printer. With ``kiosk_board`` the number is shown there, which counts as printed;
   without it a print is refused, and the core says that the ticket was not handed out.

Deadlines on the wire are real seconds.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from devices.candle485.codec import ADDRESS_MAX, ADDRESS_MIN, BUTTON_MAX, KEYS, Frame, Reader, Short, Text
from devices.candle485.echo import Echo
from devices.candle485.signs import board, digits, led, printed
from edged.clock import monotonic_s
from edged.core.commands import Action, Display, Lamp, Panel, Print, Value
from edged.core.events import DeviceBack, DeviceLost, KeyPressed, TicketRequested
from edged.driver import Context, Options, Refused, Unreachable
from edged.links import ByteLink
from edged.links.serial import SerialLink

GAP_S = 0.1  # silence that ends half a frame: 64 characters at 19200 baud and a USB adapter's latency are far less
ECHO_S = 0.1  # an echo later than this will not come whole any more
ECHO_MISSES_MAX = 5  # an adapter that used to echo and now does not is frozen
BABBLE_S = 5.0
QUIET_S = 1.0
TELL_S = 1.0  # before telling the core again where its inbox was full
REASSERT_MIN_S = 5.0  # hall seconds
DEVICES_MAX = 64  # panels or boards on one bus: at 200 ms a frame, a round of them already takes 25 s
NAME = r"^[A-Za-z0-9_.-]{1,32}$"

Name = Annotated[str, StringConstraints(pattern=NAME)]
Address = Annotated[int, Field(ge=ADDRESS_MIN, le=ADDRESS_MAX)]
Button = Annotated[int, Field(ge=1, le=BUTTON_MAX)]


class BoardOptions(Options):
    """A board of seven digits."""

    address: Address


class PanelOptions(Options):
    """A call panel. ``digits``: it has a display of three digits."""

    address: Address
    digits: bool = False


class CandleOptions(Options):
    """``panels`` and ``boards`` by channel name; ``buttons`` maps a kiosk's button numbers to service ids."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    baudrate: Literal[57600, 19200] = 57600
    bus_pause_ms: int = Field(200, ge=0, le=2000)
    echo: bool = False
    panels: dict[Name, PanelOptions] = Field(default={}, max_length=DEVICES_MAX)
    boards: dict[Name, BoardOptions] = Field(default={}, max_length=DEVICES_MAX)
    buttons: dict[Button, str] = Field(default={}, max_length=BUTTON_MAX)
    kiosk_board: str | None = None

    @model_validator(mode="after")
    def _bus_is_possible(self) -> CandleOptions:
        owners: dict[int, str] = {}
        for name, unit in (*self.panels.items(), *self.boards.items()):
            other = owners.setdefault(unit.address, name)
            if other != name:
                raise ValueError(f"{name} and {other} have the same address {unit.address:#x}")
        twice = [*(self.panels.keys() & self.boards.keys())]
        if twice:
            raise ValueError(f"{twice[0]} is both a panel and a board")
        if self.kiosk_board is not None and self.kiosk_board not in self.boards:
            raise ValueError(f"kiosk_board {self.kiosk_board!r} is not one of the boards")
        return self


class Candle485:
    """One bus. Points: ``device/panel``, ``device/board`` by their names in the options, ``device/button-N``."""

    OPTIONS: ClassVar[type[Options]] = CandleOptions
    deadline_s = 1.0  # a value is put in line, which takes no time

    def __init__(self, context: Context, options: CandleOptions, link: ByteLink | None = None) -> None:
        """``link``: the wire to use; by default the serial port at ``path``."""
        self._context = context
        self._options = options
        self._link = link if link is not None else SerialLink(options.path, baudrate=options.baudrate)
        self._pause_s = options.bus_pause_ms / 1000
        slots = sum(1 + panel.digits for panel in options.panels.values()) + len(options.boards)
        # A round must leave as much time for news as it takes itself.
        self.reassert_s = max(REASSERT_MIN_S, 2 * slots * self._pause_s)
        self._panels = {panel.address: name for name, panel in options.panels.items()}
        self._boards = {unit.address for unit in options.boards.values()}
        self._reader = Reader()
        self._echo = Echo()
        self._echo_over = asyncio.Event()
        self._turn = asyncio.Lock()
        self._free_s = 0.0
        self._line: dict[tuple[int, type[Frame]], Frame] = {}  # one per slot: bounded by the options
        self._again: dict[tuple[int, type[Frame]], Frame] = {}
        self._last: dict[tuple[int, type[Frame]], Frame] = {}
        self._waiting = asyncio.Event()
        self._open: bool | None = None
        self._reason = "not opened yet"
        self._babbling = False
        self._noise_since_s: float | None = None
        self._told: bool | None = None
        self._gap: asyncio.TimerHandle | None = None
        self._quiet: asyncio.TimerHandle | None = None
        self._retell: asyncio.TimerHandle | None = None
        self.frames_sent = 0
        self.frames_received = 0

    async def run(self) -> None:
        """Keep the bus until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._link.run(self._heard, self._wire_changed))
                group.create_task(self._write_line())
        finally:
            for timer in (self._gap, self._quiet, self._retell):
                if timer is not None:
                    timer.cancel()
            self._told = None  # whoever runs it again hears about the first contact again

    async def show(self, point: str, value: Value) -> None:
        """Put the frames of ``value`` in line. Raises ``Refused`` or ``Unreachable``."""
        frames = self._frames(point.partition("/")[2], value)
        self._check_up()
        for frame in frames:
            slot = (frame.address, type(frame))
            self._again.pop(slot, None)
            if self._line.pop(slot, None) is None and self._last.get(slot) == frame:
                self._again[slot] = frame
            else:
                self._line[slot] = frame
        self._waiting.set()

    async def act(self, action: Action) -> None:
        """Show the number of a ticket at the kiosk. Raises ``Refused`` or ``Unreachable``."""
        if not isinstance(action.body, Print):
            raise Refused(f"a Candle bus cannot {action.body.kind}")
        if self._options.kiosk_board is None:
            raise Refused("no printer")
        await self._send(printed(self._options.boards[self._options.kiosk_board].address, action.body.number))

    def _frames(self, channel: str, value: Value) -> list[Short | Text]:
        panel, unit = self._options.panels.get(channel), self._options.boards.get(channel)
        if panel is not None and isinstance(value, Panel):
            frames: list[Short | Text] = [led(panel.address, value)]
            return [*frames, digits(panel.address, value)] if panel.digits else frames
        if panel is not None and isinstance(value, Lamp):
            return [led(panel.address, value)]
        if unit is not None and isinstance(value, Display):
            return [board(unit.address, value)]
        if panel is None and unit is None:
            raise Refused(f"no panel or board {channel!r} on this bus")
        raise Refused(f"{channel} cannot show a {value.kind}")

    def _check_up(self) -> None:
        if not self._open:
            raise Unreachable(self._reason)
        if self._babbling:
            raise Unreachable("babble")

    async def _write_line(self) -> None:
        while True:
            await self._waiting.wait()
            line = self._line or self._again
            if not line:
                self._waiting.clear()
                continue
            await self._turn_to_send()
            line = self._line or self._again  # the newest, after the pause
            slot = next(iter(line), None)
            if slot is None:
                continue
            try:
                await self._send(line.pop(slot), slot)
            except Unreachable:
                self._forget_line()

    async def _turn_to_send(self) -> None:
        while (wait_s := self._free_s - self._context.now_s()) > 0:
            await self._context.sleep(wait_s)

    async def _send(self, frame: Short | Text | Frame, slot: tuple[int, type[Frame]] | None = None) -> None:
        """Write one frame when the bus is ours. Raises ``Unreachable``."""
        async with self._turn:
            await self._turn_to_send()
            self._check_up()
            data = frame.to_bytes()
            if self._options.echo:
                self._take(self._echo.sent(data))
                self._echo_over.clear()
            try:
                await self._link.write(data)
            finally:
                self._free_s = self._context.now_s() + self._pause_s
            self.frames_sent += 1
            if slot is not None:
                self._last[slot] = frame
            if self._options.echo:
                await self._echo_passes()

    async def _echo_passes(self) -> None:
        try:
            async with asyncio.timeout(ECHO_S):
                await self._echo_over.wait()
        except TimeoutError:
            damaged = self._echo.damaged
            self._take(self._echo.expire())
            self._context.reject("echo_damaged" if self._echo.damaged > damaged else "echo_missing")
        if self._echo.heard and self._echo.missed >= ECHO_MISSES_MAX:
            self._echo.missed = 0
            self._link.reopen("no echo")

    def _heard(self, data: bytes) -> None:
        was_due = self._echo.due
        self._take(self._echo.feed(data))
        if was_due and not self._echo.due:
            self._echo.missed = 0
            self._echo_over.set()

    def _take(self, data: bytes) -> None:
        if not data:
            return
        noise = self._reader.noise
        for frame in self._reader.feed(data):
            self._accept(frame)
        if self._gap is not None:
            self._gap.cancel()
        if self._reader.holding:
            self._gap = asyncio.get_running_loop().call_later(GAP_S, self._fell_silent)
        if self._reader.noise > noise:
            self._noisy(self._reader.noise - noise)

    def _fell_silent(self) -> None:
        noise = self._reader.noise
        self._reader.gap()
        if self._reader.noise > noise:
            self._noisy(self._reader.noise - noise)

    def _accept(self, frame: Frame) -> None:
        if self._babbling:
            return
        if not isinstance(frame, Short):
            self._context.reject("unexpected_frame", type(frame).__name__)
            return
        if frame.code <= BUTTON_MAX:
            self._button(frame)
        else:
            self._key(frame)

    def _button(self, frame: Short) -> None:
        service = self._options.buttons.get(frame.code)
        if service is None or frame.address in self._panels or frame.address in self._boards:
            self._context.reject("unknown_button", f"{frame.code} from {frame.address:#x}")
            return
        self._known()
        self._context.emit(TicketRequested(f"{self._context.device}/button-{frame.code}", service))

    def _key(self, frame: Short) -> None:
        panel, key = self._panels.get(frame.address), KEYS.get(frame.code)
        if panel is None:
            self._context.reject("unknown_address", f"{frame.address:#x}")
        elif key is None:
            self._context.reject("unknown_key", f"{frame.code:#x} of {panel}")
        else:
            self._known()
            self._context.emit(KeyPressed(f"{self._context.device}/{panel}", key))

    def _known(self) -> None:
        self.frames_received += 1
        self._noise_since_s = None

    def _noisy(self, count: int) -> None:
        """Bytes that were no frame: an event's loss, and when they do not end, the bus's."""
        now_s = monotonic_s()
        if not self._babbling:
            self._context.reject("noise", f"{count} bytes")
        if self._noise_since_s is None:
            self._noise_since_s = now_s
        if self._quiet is not None:
            self._quiet.cancel()
        self._quiet = asyncio.get_running_loop().call_later(QUIET_S, self._fell_quiet)
        if not self._babbling and now_s - self._noise_since_s > BABBLE_S:
            self._babbling = True
            self._forget_line()
            self._tell()

    def _fell_quiet(self) -> None:
        self._noise_since_s = None
        if self._babbling:
            self._babbling = False
            self._tell()

    def _wire_changed(self, up: bool, reason: str) -> None:
        self._open, self._reason = up, reason
        self._reader.gap()
        self._echo.forget()
        self._forget_line()
        if not up:
            self._babbling, self._noise_since_s = False, None
        self._tell()

    def _forget_line(self) -> None:
        self._line.clear()
        self._again.clear()
        self._last.clear()

    def _tell(self) -> None:
        """Lost or back, once per change; again where the inbox was full."""
        if self._retell is not None:
            self._retell.cancel()
            self._retell = None
        up = bool(self._open) and not self._babbling
        if self._open is None or up == self._told:
            return
        device = self._context.device
        reason = "babble" if self._babbling else self._reason
        if self._context.emit(DeviceBack(device) if up else DeviceLost(device, reason)):
            self._told = up
        else:
            self._retell = asyncio.get_running_loop().call_later(TELL_S, self._tell)
