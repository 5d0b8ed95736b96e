"""One Onbon BX LED bar: rows of text in dynamic areas, acknowledged by the card, blank by itself if we die.

One request at a time. Silence is ``Unreachable``, a NACK ``Refused``; an answer that came too late belongs to nobody
and
is thrown away before the next request. A ping while idle tells whether the card lives.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from devices.onbon_bx import codec
from edged.core.commands import Action, Display, Value
from edged.core.events import DeviceBack, DeviceLost
from edged.driver import Context, DeviceError, Garbled, Options, Refused, Unreachable
from edged.links import ByteLink
from edged.links.serial import SerialLink
from edged.links.tcp import TcpByteLink

PING_S = 5.0  # hall seconds between pings while nothing else is said
ROW_PX = 16  # height of the card's font
MISSED_MAX = 2  # unanswered requests before the bar is called lost: one frame may fall to line noise
ROWS_MAX = 8


class OnbonOptions(Options):
    """``path`` (serial) or ``host`` (TCP). ``model`` decides the unit of x and width. Sizes in pixels."""

    path: str | None = None
    baudrate: Literal[9600, 19200, 38400, 57600, 115200] = 57600
    host: str | None = None
    port: Annotated[int, Field(ge=1, le=65535)] = 5005
    screen: Annotated[int, Field(ge=1, le=0xFFFE)] = codec.BROADCAST
    model: Literal["5k", "6k"] = "6k"
    width: Annotated[int, Field(ge=16, le=2048, multiple_of=8)] = 128
    height: Annotated[int, Field(ge=ROW_PX, le=ROW_PX * ROWS_MAX, multiple_of=ROW_PX)] = 32
    first_area: Annotated[int, Field(ge=0, le=31)] = 0
    dead_man_s: Annotated[int, Field(ge=6, le=3600)] = 30
    deadline_ms: Annotated[int, Field(ge=50, le=2000)] = 300

    @model_validator(mode="after")
    def _one_wire(self) -> OnbonOptions:
        if (self.path is None) == (self.host is None):
            raise ValueError("give either path (serial port) or host (network), not both")
        return self


class OnbonBx:
    """Driver of one bar. Its only point is the device itself."""

    OPTIONS: ClassVar[type[Options]] = OnbonOptions

    def __init__(self, context: Context, options: OnbonOptions, link: ByteLink | None = None) -> None:
        self._context = context
        self._options = options
        self._link = link or _link(options)
        self._reader = codec.FrameReader()
        self._answer: asyncio.Future[codec.Frame] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._missed = 0
        self._there: bool | None = None
        self._spoke_s = context.now_s()
        self.deadline_s = 2 * options.deadline_ms / 1000  # a ping may be under way
        self.reassert_s = options.dead_man_s / 3  # two may be lost before the bar goes blank

    async def run(self) -> None:
        """Listen and ping until cancelled."""
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(self._link.run(self._heard, self._wire_changed))
            lanes.create_task(self._ping())

    async def show(self, point: str, value: Value) -> None:
        """Show a display's first lines, one per row. Raises a ``DeviceError``."""
        if point != self._context.device:
            raise Refused(f"{self._context.device} has no channel {point!r}")
        if not isinstance(value, Display):
            raise Refused(f"an LED bar shows no {value.kind}")
        areas = rows(value.lines, self._options)
        await self._request(codec.show(areas, self._options.model == "5k", self._options.screen))

    async def act(self, action: Action) -> None:
        """An LED bar carries nothing out."""
        raise Refused(f"an LED bar cannot {action.body.kind}")

    async def _ping(self) -> None:
        while True:
            idle_s = self._context.now_s() - self._spoke_s
            if idle_s < PING_S and self._there is not False:
                await self._context.sleep(PING_S - idle_s)
                continue
            try:
                await self._request(codec.ping(self._options.screen))
            except DeviceError:
                await self._context.sleep(PING_S)

    async def _request(self, frame: codec.Frame) -> None:
        """Send and wait for the card's ACK."""
        async with self._one_at_a_time:
            garbled = self._reader.garbled
            self._answer = asyncio.get_running_loop().create_future()
            try:
                await self._link.write(frame.to_bytes())
                async with asyncio.timeout(self._options.deadline_ms / 1000):
                    answer = await self._answer
            except (TimeoutError, Unreachable) as error:
                self._silent(str(error) or "no answer")
                if self._reader.garbled > garbled:
                    raise Garbled("the answer was no frame") from None
                raise Unreachable("no answer from the LED card") from None
            finally:
                self._answer = None
                self._spoke_s = self._context.now_s()
        self._alive()
        if answer.command == codec.NACK:
            raise Refused(f"NACK, error {answer.data[2] if len(answer.data) > 2 else '?'}")

    def _heard(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            if frame.command not in (codec.ACK, codec.NACK):
                self._context.reject("unexpected_frame", f"{self._context.device} {frame.data[:2].hex()}")
            elif self._answer is not None and not self._answer.done():
                self._answer.set_result(frame)

    def _wire_changed(self, up: bool, reason: str) -> None:
        if up:
            self._spoke_s = self._context.now_s() - PING_S  # ping at once
        else:
            self._missed = MISSED_MAX
            self._silent(reason)

    def _silent(self, reason: str) -> None:
        self._missed += 1
        if self._missed >= MISSED_MAX and self._there is not False:
            self._there = False
            self._context.emit(DeviceLost(self._context.device, reason))

    def _alive(self) -> None:
        self._missed = 0
        if self._there is not True:
            self._there = True
            self._context.emit(DeviceBack(self._context.device))


def rows(lines: tuple[str, ...], options: OnbonOptions) -> list[codec.Area]:
    """One area per row, newest line on top; a line too long for the bar runs from right to left."""
    count = options.height // ROW_PX
    texts = [*lines[:count], *[""] * (count - len(lines))]
    return [
        codec.Area(
            id=options.first_area + row,
            x=0,
            y=row * ROW_PX,
            width=options.width,
            height=ROW_PX,
            text=text,
            run_mode=codec.BLANK_ON_TIMEOUT,
            timeout_s=options.dead_man_s,
            disp=codec.STATIC if codec.text_width(text) <= options.width else codec.SCROLL_LEFT,
        )
        for row, text in enumerate(texts)
    ]


def _link(options: OnbonOptions) -> ByteLink:
    if options.path is not None:
        return SerialLink(options.path, baudrate=options.baudrate)
    assert options.host is not None
    return TcpByteLink(options.host, options.port)
