"""One Onbon BX LED bar: rows of text in dynamic areas, acknowledged by the card, dark by itself if we die. Rules:

1. One request at a time, each with a deadline. Silence is ``Unreachable``, a NACK ``Refused``, an answer that is no
   frame ``Garbled``.
2. Answers do not name their request. After a missed one nothing is sent for another deadline, and bytes that arrive
meanwhile are discarded, so that no request is answered by its predecessor's answer.
3. Text expires: each area blanks after ``dead_man_s`` without a new text (run mode 2). The loop re-asserts it three
times in that span of hall time, which keeps it visible.
4. Contact is made by ping: then the screen is switched on and its brightness set, then the card is told to be back.
   ``MISSED_MAX`` missed answers in a row lose it; after ``SILENT_MAX`` the wire is opened afresh (a frozen adapter or
   half-open connection gives no event).
5. A BX-6Q card has no fonts and takes pictures, one area at a time: rows are drawn in a font of ours, a line that is
   too long becomes pages. Its vendor documents neither ping nor power, so an area that nobody uses is deleted instead:
   any answer to that is contact.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from devices.onbon_bx import codec, pixels
from devices.onbon_bx.hexfont import HexFont
from edged.clock import monotonic_s
from edged.core.model.commands import Action, Display, Say, Value
from edged.core.model.losses import OTHER, Loss
from edged.core.model.point import Point, channel_of
from edged.driver import (
    DeviceContext,
    DeviceError,
    DisplaySize,
    Garbled,
    Options,
    Presence,
    Refused,
    Unreachable,
)
from edged.heartbeat import lasting
from edged.links import ByteLink
from edged.links.losses import WIRE_LOSSES
from edged.links.serial import SerialLink
from edged.links.tcp import TcpByteLink
from edged.shapes import Rule, host_name

PING_S = 5.0  # hall seconds between pings while nothing else is sent
LOOK_S = 0.5  # hall seconds between looks whether a ping is due or the wire came back
RETRY_S = 1.0  # real seconds between tries at a lost card
ROW_PX = 16  # height of the card's font
COLUMN_PX = 8  # width of its half-width characters
MISSED_MAX = 2  # unanswered requests until the bar is lost: line noise may destroy one frame
SILENT_MAX = 6  # requests without a single byte back before the wire is opened afresh
ROWS_MAX = 8
BITS_OF_A_BYTE = 10  # with start and stop bit
USUAL, SLOW = 5, 3  # the card's speeds of speech, 1 to 10
UNIFONT = "/usr/share/unifont/unifont.hex"  # of Debian's package unifont
UNUSED_AREA = 0xEF
PAGE_S = 3  # of a line that is too long
SPEECH_S = 0.28  # hall seconds a Chinese syllable takes at speed 5; the next announcement waits that long


class OnbonOptions(Options, frozen=True):
    """``path`` (serial) or ``host`` (TCP). ``model``: 5k and 6k have fonts, 6q takes pictures. Sizes in pixels.

    ``deadline_ms``: for an answer, from when the last byte has left the line (the vendor's software waits 10 s).
    ``scroll_speed``: of lines that are too long, 0 is the fastest and 24 the slowest.
    ``font``: which characters the card has; older cards know those of GB 2312 only.
    ``voice``: the card has a voice module, so the bar may be an area's voice. ``brightness`` 0 to 15, else as it is.
    ``font_file``, ``colour``: of a 6q card, in which its texts are drawn.
    """

    path: str | None = None
    baudrate: Literal[9600, 19200, 38400, 57600, 115200] = 57600
    host: Annotated[str, Rule(host_name)] | None = None
    port: Annotated[int, Meta(ge=1, le=65535)] = 5005
    screen: Annotated[int, Meta(ge=1, le=0xFFFE)] = codec.BROADCAST
    model: Literal["5k", "6k", "6q"] = "6k"
    width: Annotated[int, Meta(ge=16, le=2048, multiple_of=8)] = 128
    height: Annotated[int, Meta(ge=ROW_PX, le=ROW_PX * ROWS_MAX, multiple_of=ROW_PX)] = 32
    first_area: Annotated[int, Meta(ge=0, le=31)] = 0
    dead_man_s: Annotated[int, Meta(ge=6, le=3600)] = 30
    deadline_ms: Annotated[int, Meta(ge=50, le=10_000)] = 300
    scroll_speed: Annotated[int, Meta(ge=0, le=codec.SPEED_MAX)] = 4
    brightness: Annotated[int, Meta(ge=0, le=15)] | None = None
    voice: bool = False
    font: codec.Font = "gbk"
    font_file: Annotated[str, Meta(min_length=1, max_length=4096)] = UNIFONT
    colour: pixels.Colour = "red"

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        if (self.path is None) == (self.host is None):
            raise ValueError("give either path (serial port) or host (network), not both")
        if self.model != "6q":
            return
        if self.host is None or self.voice or self.brightness is not None:
            raise ValueError("model 6q has host, and neither path, voice nor brightness")
        if not pixels.pages_max(self.width):
            raise ValueError(f"width of model 6q is at most {pixels.PICTURE_BYTES_MAX // 48} pixels")

    def display_size(self, channel: str) -> DisplaySize:
        """Half-width characters of the card's font are 8 pixels wide."""
        rows = 1 if channel else self.height // ROW_PX
        if self.model == "6q":
            return DisplaySize(rows, self.width // COLUMN_PX, pixels.pages_max(self.width) > 1)
        return DisplaySize(rows, self.width // COLUMN_PX, True, self.font)

    def point_roles(self, channel: str) -> frozenset[str]:
        """A board, and a voice where it has the module."""
        return frozenset({"display", "voice"} if self.voice and not channel else {"display"})

    def unshown(self, text: str) -> str:
        """The characters that the card's font has not; what is in ``font_file`` is known at the hall alone."""
        return "" if self.model == "6q" else codec.unshown(text, self.font)

    def point_channels(self) -> frozenset[str]:
        """The whole bar, or one of its rows."""
        return frozenset({"", *(f"area-{row}" for row in range(self.height // ROW_PX))})


class OnbonBx:
    """Driver of one bar. Points: ``bar`` (all rows) or ``bar/area-0`` (one row)."""

    OPTIONS: ClassVar[type[Options]] = OnbonOptions
    LOSSES: ClassVar[frozenset[str]] = WIRE_LOSSES | {"bad-answer"}
    pace_s = 0.0  # a wire with a queue of its own

    def __init__(self, context: DeviceContext, options: OnbonOptions, link: ByteLink | None = None) -> None:
        self._context = context
        self._options = options
        self._link = link or _link(options)
        self._font: HexFont | None = None
        self._reader = self._new_reader()
        self._answer: asyncio.Future[codec.Frame] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._open = asyncio.Event()
        self._down = Loss(OTHER, "not opened yet")
        self._missed = 0
        self._silent = 0
        self._heard_bytes = False
        self._quiet_until_s = 0.0  # real seconds; until then a late answer may come
        self._presence = Presence(context)
        # Seconds that a byte takes on the line; the network takes none, as far as we can know.
        self._byte_s = 0.0 if options.path is None else BITS_OF_A_BYTE / options.baudrate
        self._spoke_s = context.now_s()
        self._rows = rows((), options)
        # A ping and this request (of a 6q, one for each row), each after the pause that a missed answer costs.
        count = options.height // ROW_PX
        longest = count * codec.TEXT_BYTES_MAX + codec.ANSWER_BYTES
        requests = 3 + count if options.model == "6q" else 4
        self.deadline_s = requests * options.deadline_ms / 1000 + 0.1 + 2 * longest * self._byte_s
        self.reassert_s = options.dead_man_s / 3  # two may be lost before the bar goes dark

    async def run(self) -> None:
        """See ``Driver``."""
        self._presence.forget()
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(lasting("link", self._link.run(self._heard, self._wire_changed)))
            lanes.create_task(lasting("contact", self._keep_contact()))

    async def show(self, point: Point, value: Value) -> None:
        """See ``Driver``. A display's first lines, one per row; on one row, all of them one after the other."""
        if not isinstance(value, Display):
            raise Refused(f"an LED bar shows no {value.kind}")
        channel = channel_of(point)
        wanted = rows(value.lines, self._options)
        if channel:
            row = self._row(channel)
            wanted = rows(("",) * row + (" ".join(value.lines),), self._options)[row : row + 1]
        self._check_there()
        for frame in self._frames(wanted):
            await self._request(frame)
        for area in wanted:
            self._rows[area.id - self._options.first_area] = area

    async def act(self, action: Action) -> None:
        """See ``Driver``. Speaks the Chinese text where there is a voice module; its chips spell English out."""
        if not isinstance(action.body, Say) or not self._options.voice:
            raise Refused(f"this LED bar cannot {action.body.kind}")
        self._check_there()
        pace = SLOW if action.body.slow else USUAL
        speech = codec.Speech(codec.plain(action.body.text), speed=pace)
        area = replace(self._rows[0], speech=speech)
        await self._request(codec.show([area], self._options.model == "5k", self._options.screen))
        await self._context.sleep(SPEECH_S * len(speech.text) * USUAL / pace)

    def _frames(self, wanted: list[codec.ScreenArea]) -> list[codec.Frame]:
        """What puts these rows on the bar. Raises ``Refused`` without the font of a 6q card."""
        options = self._options
        if options.model != "6q":
            return [codec.show(wanted, options.model == "5k", options.screen)]
        if self._font is None:
            raise Refused(f"{options.font_file} could not be read")
        return [drawn(area, options, self._font.glyph) for area in wanted]

    def _new_reader(self) -> codec.FrameReader:
        return codec.FrameReader(pixels.opened if self._options.model == "6q" else codec.opened)

    def _row(self, channel: str) -> int:
        name, _, number = channel.partition("-")
        if name != "area" or not number.isdecimal() or int(number) >= len(self._rows):
            raise Refused(f"{self._context.device} has no {channel!r}: area-0 to area-{len(self._rows) - 1}")
        return int(number)

    def _check_there(self) -> None:
        if not self._presence.there:
            raise Unreachable(self._down.detail, self._down.word)

    async def _keep_contact(self) -> None:
        """Ping while nothing else is sent; make contact again after a loss."""
        while True:
            await self._open.wait()
            try:
                if self._presence.there:
                    await self._ping_when_due()
                else:
                    await self._make_contact()
            except DeviceError as error:
                self._down = error.loss
                if not self._presence.there:
                    await asyncio.sleep(RETRY_S)

    async def _ping_when_due(self) -> None:
        idle_s = self._context.now_s() - self._spoke_s
        if idle_s < PING_S and not self._missed:
            await self._context.sleep(min(PING_S - idle_s, LOOK_S))
        else:
            await self._request(self._ping())  # a refusal is an answer, too

    def _ping(self) -> codec.Frame:
        screen = self._options.screen
        return (
            pixels.delete((UNUSED_AREA,), _target(screen))
            if self._options.model == "6q"
            else codec.ping(screen)
        )

    def _greetings(self) -> list[codec.Frame]:
        screen = self._options.screen
        if self._options.model == "6q":
            self._font = self._font or _font(self._options.font_file)
            return [self._ping(), pixels.delete([area.id for area in self._rows], _target(screen))]
        greetings = [self._ping(), codec.power(True, screen)]
        if self._options.brightness is not None:
            greetings.append(codec.brightness(self._options.brightness, screen))
        return greetings

    async def _make_contact(self) -> None:
        try:
            greetings = self._greetings()
        except DeviceError as error:
            self._lose(error.loss)
            raise
        for frame in greetings:
            try:
                await self._request(frame)
            except Refused as error:  # the card answered; one without this command shows text all the same
                self._context.reject("refused_greeting", str(error))
        self._presence.back()

    async def _request(self, frame: codec.Frame) -> None:
        """Send and wait for the card's ACK. Raises ``DeviceError``."""
        async with self._one_at_a_time:
            await asyncio.sleep(max(0.0, self._quiet_until_s - monotonic_s()))
            garbled = self._reader.garbled
            self._heard_bytes = False
            self._answer = asyncio.get_running_loop().create_future()
            data = frame.to_bytes()
            answer_s = self._options.deadline_ms / 1000 + (len(data) + codec.ANSWER_BYTES) * self._byte_s
            try:
                await self._link.write(data)
                async with asyncio.timeout(answer_s):
                    answer = await self._answer
            except TimeoutError:
                self._miss()
                if self._reader.garbled > garbled:
                    raise Garbled("the answer was no frame") from None
                raise Unreachable("no answer from the LED card") from None
            finally:
                if not self._answer.done() or self._answer.cancelled():
                    self._quiet_until_s = monotonic_s() + answer_s
                self._answer = None
                self._spoke_s = self._context.now_s()
            self._missed = self._silent = 0
        if answer.command == codec.NACK:
            raise Refused(f"the LED card refused, error {answer.error}")

    def _miss(self) -> None:
        self._missed += 1
        self._silent = 0 if self._heard_bytes else self._silent + 1
        if self._missed >= MISSED_MAX:
            self._lose(Loss("no-answer", "no answer from the LED card"))
        if self._silent >= SILENT_MAX:
            self._silent = 0
            self._link.reopen(Loss("no-answer", "no answer"))

    def _heard(self, data: bytes) -> None:
        self._heard_bytes = True
        garbled = self._reader.garbled
        for frame in self._reader.feed(data):
            if frame.source == codec.PC:
                continue  # our own frame, echoed by a two-wire adapter
            if frame.command not in (codec.ACK, codec.NACK):
                self._context.reject("unexpected_frame", frame.data[:2].hex())
            elif self._answer is None or self._answer.done():
                self._context.reject("late_answer")
            else:
                self._answer.set_result(frame)
        if self._reader.garbled > garbled:
            self._context.reject("garbled_frame")

    def _wire_changed(self, up: bool, why: Loss) -> None:
        self._reader = self._new_reader()
        if up:
            self._missed = self._silent = 0
            self._open.set()
        else:
            self._open.clear()
            self._lose(why)

    def _lose(self, why: Loss) -> None:
        self._down = why
        self._presence.lost(*why)


def rows(lines: tuple[str, ...], options: OnbonOptions) -> list[codec.ScreenArea]:
    """One area per row, newest line on top; a line too long for the bar runs from right to left."""
    count = options.height // ROW_PX
    font = None if options.model == "6q" else options.font
    texts = [codec.plain(line, font) for line in lines[:count]]
    texts += [""] * (count - len(texts))
    return [
        codec.ScreenArea(
            id=options.first_area + row,
            x=0,
            y=row * ROW_PX,
            width=options.width,
            height=ROW_PX,
            text=text,
            run_mode=codec.BLANK_ON_TIMEOUT,
            timeout_s=options.dead_man_s,
            disp=codec.STATIC if codec.text_width(text) <= options.width else codec.SCROLL_LEFT,
            speed=0 if codec.text_width(text) <= options.width else options.scroll_speed,
        )
        for row, text in enumerate(texts)
    ]


def drawn(area: codec.ScreenArea, options: OnbonOptions, glyph: pixels.Glyph) -> pixels.PixelFrame:
    """A row as pictures in the font of ``glyph``, alone on the card and gone with the same dead-man as a text."""
    pages = pixels.pictures(area.text, options.width, options.colour, glyph)
    shown = pixels.PixelArea(
        area.id,
        area.x,
        area.y,
        area.width,
        area.height,
        pages,
        area.run_mode,
        area.timeout_s,
        True,
        page_s=PAGE_S,
    )
    return pixels.show(shown, _target(options.screen))


def _target(screen: int) -> int:
    return pixels.EVERY_SCREEN if screen == codec.BROADCAST else screen


def _font(file: str) -> HexFont:
    try:
        return HexFont(file)
    except (OSError, ValueError) as error:
        raise Refused(f"font_file: {error}") from None


def _link(options: OnbonOptions) -> ByteLink:
    if options.path is not None:
        return SerialLink(options.path, baudrate=options.baudrate)
    assert options.host is not None
    return TcpByteLink(options.host, options.port)
