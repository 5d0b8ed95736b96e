"""One Onbon BX LED bar: rows of text in dynamic areas, which the card acknowledges. Rules:

1. A missing answer raises ``Unreachable``, a NACK ``Refused``, an answer that is no frame ``Garbled``.
2. Text expires: each area goes blank after ``dead_man_s`` without a new text (run mode 2), in which time it is sent
   three times. So the bar goes dark by itself if the daemon dies.
3. At first contact and after a loss the driver pings the card, switches the screen on and sets its brightness; then the
   card is reported as back. When it counts as lost: see ``edged/links/dialogue.py``. After ``SILENT_MAX`` missing
   answers in a row the connection is reopened, because a frozen adapter or half-open connection causes no event.
4. A BX-6Q card has no fonts and shows pictures, one area at a time: rows are drawn here in a font from a file, and a
   line that is too long becomes several pages. The vendor documents neither ping nor power for it, so the driver
   deletes an unused area instead: any answer proves that the card is there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from devices.onbon_bx import codec, pixels
from devices.onbon_bx.hexfont import HexFont
from edged.core.model.commands import Action, Display, Say, Value
from edged.core.model.losses import Loss
from edged.core.model.point import Point
from edged.driver import (
    DeviceContext,
    DeviceError,
    DisplaySize,
    Garbled,
    Options,
    Refused,
    Unreachable,
    row_channels,
    row_of,
)
from edged.links import ByteLink
from edged.links.dialogue import Dialogue
from edged.links.losses import WIRE_LOSSES
from edged.links.serial import SerialLink
from edged.links.tcp import TcpByteLink
from edged.shapes import Rule, host_name

PING_S = 5.0  # hall seconds between pings while nothing else is sent
RETRY_S = 1.0  # real seconds between tries at a lost card
ROW_PX = 16  # height of the card's font
COLUMN_PX = 8  # width of its half-width characters
SILENT_MAX = 6  # requests without a single byte back before the wire is opened afresh
ROWS_MAX = 8
BITS_OF_A_BYTE = 10  # with start and stop bit
USUAL, SLOW = 5, 3  # the card's speeds of speech, 1 to 10
UNIFONT = "/usr/share/unifont/unifont.hex"  # of Debian's package unifont
UNUSED_AREA = 0xEF
PAGE_S = 3  # of a line that is too long
SPEECH_S = 0.28  # hall seconds a Chinese syllable takes at speed 5; the next announcement waits that long


class OnbonOptions(Options, frozen=True):
    """Options of one LED bar. ``path`` (serial port) or ``host`` (TCP). ``screen``: the card's address; by default the
    broadcast address. ``model``: 5k and 6k cards have fonts, 6q cards show pictures. Sizes in pixels. ``first_area``:
    number of the card's dynamic area for the top row. ``dead_man_s``: after so many seconds without a new text a row
    goes blank.

    ``deadline_ms``: how long to wait for the card's answer, counted from when the last byte has left the line (the
    vendor's software waits 10 s). ``scroll_speed``: how fast lines that are too long scroll, from 0 (fastest) to 24
    (slowest). ``font``: the character set of the card's font; older cards only have GB 2312. ``voice``: the card has a
    voice module, so that hall.toml may use the bar as an area's loudspeaker. ``brightness``: 0 to 15; None leaves it as
    the card has it. ``font_file`` and ``colour``: font and colour in which texts are drawn as pictures for a 6q card.
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
        """How many rows and half-width characters the bar shows, or one row of it (``channel`` not ""). A half-width
        character is 8 pixels wide.
        """
        rows = 1 if channel else self.height // ROW_PX
        if self.model == "6q":
            return DisplaySize(rows, self.width // COLUMN_PX, pixels.pages_max(self.width) > 1)
        return DisplaySize(rows, self.width // COLUMN_PX, True, self.font)

    def point_roles(self, channel: str) -> frozenset[str]:
        """The roles of the whole bar: display, and voice if the card has a voice module. A row is only a display."""
        return frozenset({"display", "voice"} if self.voice and not channel else {"display"})

    def unshown(self, text: str) -> str:
        """The characters of ``text`` that the card's font lacks. Always "" for a 6q card, because its ``font_file`` is
        only on the hall's machine.
        """
        return "" if self.model == "6q" else codec.unshown(text, self.font)

    def point_channels(self) -> frozenset[str]:
        """The channels that hall.toml may name: "" for the whole bar, "area-0" and so on for its rows."""
        return row_channels(self.height // ROW_PX)


class OnbonBx:
    """Driver of one bar. hall.toml addresses all its rows as ``DEVICE``, one row as ``DEVICE/area-0`` and so on."""

    OPTIONS: ClassVar[type[Options]] = OnbonOptions
    LOSSES: ClassVar[frozenset[str]] = WIRE_LOSSES | {"bad-answer"}
    pace_s = 0.0  # a wire with a queue of its own

    def __init__(self, context: DeviceContext, options: OnbonOptions, link: ByteLink | None = None) -> None:
        self._context = context
        self._options = options
        self._link = link or _link(options)
        self._dialogue = Dialogue[codec.Frame](
            context,
            self._link,
            "the LED card",
            self._poll,
            ask_s=PING_S,
            doubt_s=0.0,
            retry_s=RETRY_S,
            late_s=options.deadline_ms / 1000,
        )
        self._font: HexFont | None = None
        self._reader = self._new_reader()
        self._silent = 0
        self._received_bytes = False
        # Seconds that a byte takes on the line; the network takes none, as far as we can know.
        self._byte_s = 0.0 if options.path is None else BITS_OF_A_BYTE / options.baudrate
        self._rows = rows((), options)
        # A ping and this request (of a 6q, one for each row), each after the pause that a missed answer costs.
        count = options.height // ROW_PX
        longest = count * codec.TEXT_BYTES_MAX + codec.ANSWER_BYTES
        requests = 3 + count if options.model == "6q" else 4
        self.deadline_s = requests * options.deadline_ms / 1000 + 0.1 + 2 * longest * self._byte_s
        self.reassert_s = options.dead_man_s / 3  # two may be lost before the bar goes dark

    async def run(self) -> None:
        """Keep the connection to the card open, and ask every ``PING_S`` whether the card answers, until cancelled."""
        await self._dialogue.run(self._received, self._wire_changed)

    async def show(self, point: Point, value: Value) -> None:
        """Show a display's first lines, one per row. If ``point`` is a single row, it gets all lines, joined by spaces.
        Raises ``Refused`` for a value that is no text, for a row that the bar does not have and if the card refuses the
        text, ``Unreachable`` or ``Garbled`` if the card does not answer properly.
        """
        if not isinstance(value, Display):
            raise Refused(f"an LED bar shows no {value.kind}")
        row = row_of(point, len(self._rows))
        wanted = rows(value.lines, self._options)
        if row is not None:
            wanted = rows(("",) * row + (" ".join(value.lines),), self._options)[row : row + 1]
        self._dialogue.check_there()
        async with self._dialogue.turn:
            for frame in self._frames(wanted):
                await self._request(frame)
        for area in wanted:
            self._rows[area.id - self._options.first_area] = area

    async def act(self, action: Action) -> None:
        """Speak the Chinese text of an announcement, and return after the time that this takes. The English text is
        left out, because the voice module would spell it letter by letter. Raises ``Refused`` for any other action,
        without a voice module and if the card refuses, ``Unreachable`` or ``Garbled`` if the card does not answer
        properly.
        """
        if not isinstance(action.body, Say) or not self._options.voice:
            raise Refused(f"this LED bar cannot {action.body.kind}")
        self._dialogue.check_there()
        pace = SLOW if action.body.slow else USUAL
        speech = codec.Speech(codec.plain(action.body.text), speed=pace)
        area = replace(self._rows[0], speech=speech)
        async with self._dialogue.turn:
            await self._request(codec.show([area], self._options.model == "5k", self._options.screen))
        await self._context.sleep(SPEECH_S * len(speech.text) * USUAL / pace)

    def _frames(self, wanted: list[codec.ScreenArea]) -> list[codec.Frame]:
        """The frames that show these areas. Raises ``Refused`` if the font file of a 6q card cannot be used."""
        options = self._options
        if options.model != "6q":
            return [codec.show(wanted, options.model == "5k", options.screen)]
        if self._font is None:
            raise Refused(f"{options.font_file} could not be read")
        return [drawn(area, options, self._font.glyph) for area in wanted]

    def _new_reader(self) -> codec.FrameReader:
        return codec.FrameReader(pixels.opened if self._options.model == "6q" else codec.opened)

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

    async def _poll(self) -> None:
        if self._dialogue.reachable:
            await self._request(self._ping())  # a refusal is an answer, too
            return
        try:
            greetings = self._greetings()
        except DeviceError as error:
            self._dialogue.lose(error.loss)
            raise
        for frame in greetings:
            try:
                await self._request(frame)
            except Refused as error:  # the card answered; one without this command shows text all the same
                self._context.reject("refused_greeting", str(error))

    async def _request(self, frame: codec.Frame) -> None:
        """Send a frame and wait for the card's ACK. The caller holds the lock ``_dialogue.turn``. Raises ``Refused`` if
        the card refuses the frame, ``Unreachable`` without an answer, ``Garbled`` if only invalid ones came.
        """
        data = frame.to_bytes()
        answer_s = self._options.deadline_ms / 1000 + (len(data) + codec.ANSWER_BYTES) * self._byte_s
        self._received_bytes = False
        try:
            answer = await self._dialogue.request(data, answer_s)
        except (Garbled, Unreachable):
            self._count_silence()
            raise
        self._silent = 0
        if answer.command == codec.NACK:
            raise Refused(f"the LED card refused, error {answer.error}")

    def _count_silence(self) -> None:
        self._silent = 0 if self._received_bytes else self._silent + 1
        if self._silent >= SILENT_MAX:
            self._silent = 0
            self._link.reopen(Loss("no-answer", "no answer"))

    def _received(self, data: bytes) -> None:
        self._received_bytes = True
        garbled = self._reader.garbled
        for frame in self._reader.feed(data):
            if frame.source == codec.PC:
                continue  # our own frame, echoed by a two-wire adapter
            if frame.command not in (codec.ACK, codec.NACK):
                self._context.reject("unexpected_frame", frame.data[:2].hex())
            elif not self._dialogue.answer(frame):
                self._context.reject("late_answer")
        if self._reader.garbled > garbled:
            self._dialogue.received_garbled()
            self._context.reject("garbled_frame")

    def _wire_changed(self) -> None:
        self._reader, self._silent = self._new_reader(), 0


def rows(lines: tuple[str, ...], options: OnbonOptions) -> list[codec.ScreenArea]:
    """Return one text area per row of the bar, with ``lines[0]`` (the newest call) on top. A line that is too long
    scrolls from right to left; lines for which there is no row are left out.
    """
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
    """Return the frame that shows one row on a 6q card, as pictures drawn in the font ``glyph``. The card's own
    programs stop meanwhile; the row expires after ``dead_man_s``.
    """
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
