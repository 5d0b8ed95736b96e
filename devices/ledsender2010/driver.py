"""One LED strip whose card uses the LEDSender2010 protocol over UDP. Rules:

1. The whole strip is one display program: every change sends all rows. The program goes to the card's memory, where it
   expires after ``dead_man_s`` by the card's own clock; in that time it is sent three times. So if the daemon dies, the
   card soon shows the program in its flash (a greeting, say) instead of old calls.
2. Datagrams get lost: each is sent up to ``TRIES`` times, and counts as accepted when the card's answer has its command
   and, for a part of a program, its serial number. If the card expects another part, the whole program is sent once
   more.
3. At first contact and after a loss the driver switches the screen on and sets its brightness, before it reports the
   card as back. When a card counts as lost: see ``edged/links/dialogue.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from devices.ledsender2010 import codec
from edged.core.model.commands import Action, Display, Value
from edged.core.model.point import Point
from edged.driver import (
    DeviceContext,
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
from edged.links.udp import UdpLink
from edged.shapes import Rule, host_name

ASK_S = 5.0  # hall seconds between questions while nothing else is sent
RETRY_S = 1.0  # real seconds between tries at a lost card
TRIES = 3
AFRESH_MAX = 2  # times that one program is begun
ROWS_MAX = 8


class LedSenderOptions(Options, frozen=True):
    """Options of one strip. ``host`` and ``port`` of the card; ``address``: the card's number in the protocol. Sizes in
    pixels; a row is as high as its font (``font_px``).

    ``dead_man_s``: after so many seconds without a new program, the card shows the program in its flash.
    ``deadline_ms``: how long to wait for the card's answer to a datagram. ``scroll_speed``: how fast lines that are too
    long scroll, from 0 (fastest) to 5 (slowest). ``brightness``: 0 to 7; None leaves it as the card has it.
    """

    host: Annotated[str, Rule(host_name)]
    port: Annotated[int, Meta(ge=1, le=65535)] = 6666
    address: Annotated[int, Meta(ge=0, le=255)] = 0
    width: Annotated[int, Meta(ge=16, le=2048, multiple_of=8)] = 128
    height: Annotated[int, Meta(ge=16, le=192, multiple_of=8)] = 32
    font_px: Literal[16, 24] = 16
    colours: codec.Colours = "double"
    colour: codec.Colour = "red"
    dead_man_s: Annotated[int, Meta(ge=6, le=3600)] = 60
    deadline_ms: Annotated[int, Meta(ge=50, le=2000)] = 300
    scroll_speed: Annotated[int, Meta(ge=0, le=codec.SPEED_MAX)] = 2
    brightness: Annotated[int, Meta(ge=0, le=codec.BRIGHTNESS_MAX)] | None = None

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        if self.height % self.font_px or self.rows > ROWS_MAX:
            raise ValueError(f"height must be font_px ({self.font_px}) times 1 to {ROWS_MAX}")

    @property
    def rows(self) -> int:
        """Number of lines that the strip shows."""
        return self.height // self.font_px

    def display_size(self, channel: str) -> DisplaySize:
        """How many rows and half-width characters the strip shows, or one row of it (``channel`` not ""). A half-width
        character is half as wide as it is high.
        """
        return DisplaySize(1 if channel else self.rows, self.width // (self.font_px // 2), True, "gb2312")

    def point_roles(self, channel: str) -> frozenset[str]:
        """The only role: display."""
        return frozenset({"display"})

    def unshown(self, text: str) -> str:
        """The characters of ``text`` that the card's fonts lack."""
        return codec.unshown(text)

    def point_channels(self) -> frozenset[str]:
        """The channels that hall.toml may name: "" for the whole strip, "area-0" and so on for its rows."""
        return row_channels(self.rows)


class LedSender:
    """Driver of one strip. hall.toml addresses all its rows as ``DEVICE``, one row as ``DEVICE/area-0`` and so on."""

    OPTIONS: ClassVar[type[Options]] = LedSenderOptions
    LOSSES: ClassVar[frozenset[str]] = WIRE_LOSSES | {"bad-answer"}
    pace_s = 0.0  # a wire with a queue of its own

    def __init__(
        self, context: DeviceContext, options: LedSenderOptions, link: ByteLink | None = None
    ) -> None:
        """``link``: the connection to use; by default UDP to ``host:port``."""
        self._context = context
        self._options = options
        self._answer_s = options.deadline_ms / 1000
        self._dialogue = Dialogue[codec.Answer](
            context,
            link if link is not None else UdpLink(options.host, options.port),
            "the LED card",
            self._poll,
            ask_s=ASK_S,
            doubt_s=0.0,
            retry_s=RETRY_S,
            late_s=self._answer_s,
        )
        self._awaited: codec.StripPacket | None = None
        self._lines = ("",) * options.rows
        self._program_s = 2 * TRIES * self._answer_s  # a healthy card takes a program in milliseconds
        # A question and this program, each after the pause that a missed answer costs.
        self.deadline_s = (TRIES + 2) * self._answer_s + self._program_s + 0.1
        self.reassert_s = options.dead_man_s / 3  # two may be lost before the strip shows its flash

    async def run(self) -> None:
        """Keep the connection to the card open, and ask every ``ASK_S`` whether the card answers, until cancelled."""
        await self._dialogue.run(self._received)

    async def show(self, point: Point, value: Value) -> None:
        """Show a display's first lines, one per row. If ``point`` is a single row, it gets all lines, joined by spaces.
        Raises ``Refused`` for a value that is no text or a row that the strip does not have, ``Unreachable`` or
        ``Garbled`` if the card does not answer or does not accept the program.
        """
        if not isinstance(value, Display):
            raise Refused(f"an LED strip shows no {value.kind}")
        row = row_of(point, len(self._lines))
        self._dialogue.check_there()
        async with self._dialogue.turn:
            lines = list(self._lines)
            if row is None:
                lines = [*value.lines[: len(lines)], *[""] * (len(lines) - len(value.lines))]
            else:
                lines[row] = " ".join(value.lines)
            program = text_program(lines, self._options).to_bytes()
            await self._send_program(codec.packets(program, self._options.address))
            self._lines = tuple(lines)

    async def act(self, action: Action) -> None:
        """Raise ``Refused``, because a strip has no one-time actions."""
        raise Refused(f"an LED strip cannot {action.body.kind}")

    async def _poll(self) -> None:
        await self._command(codec.GET_POWER)
        if self._dialogue.reachable:
            return
        await self._command(codec.SET_POWER, 1)
        if self._options.brightness is not None:
            await self._command(codec.SET_BRIGHTNESS, self._options.brightness)

    async def _command(self, command: int, value: int = 0) -> None:
        await self._request(codec.StripPacket(command, value, target=self._options.address))

    async def _send_program(self, packets: Sequence[codec.StripPacket]) -> None:
        """Send a program, part by part. If the card expects another part than the one sent, start once more from the
        beginning. Raises ``Garbled`` if that happens again, ``Unreachable`` if it takes too long or the card does not
        answer.
        """
        try:
            async with asyncio.timeout(self._answer_s + self._program_s):
                for _ in range(AFRESH_MAX):
                    if await self._took(packets):
                        return
        except TimeoutError:
            self._dialogue.miss()
            raise Unreachable("the LED card takes a program too slowly") from None
        raise Garbled("the LED card loses count of a program's parts")

    async def _took(self, packets: Sequence[codec.StripPacket]) -> bool:
        for packet in packets:
            answer = await self._request(packet)
            if packet.command == codec.DATA and answer.result != codec.TAKEN:
                self._context.reject("lost_the_thread", f"part {packet.serial}, awaits {answer.serial}")
                return False
        return True

    async def _request(self, packet: codec.StripPacket) -> codec.Answer:
        """Send a packet, up to ``TRIES`` times, and return the card's answer. The caller holds the lock
        ``_dialogue.turn``. Raises ``Unreachable`` without an answer, ``Garbled`` if only invalid ones came.
        """
        self._awaited = packet
        return await self._dialogue.request(packet.to_bytes(), self._answer_s, TRIES)

    def _received(self, data: bytes) -> None:
        try:
            found = codec.answer_of(codec.parse(data))
        except Garbled as error:
            self._dialogue.received_garbled()
            self._context.reject("garbled_frame", str(error))
            return
        if found is None:
            self._context.reject("unexpected_frame", data[:16].hex())
        elif not self._fits(found) or not self._dialogue.answer(found):
            self._context.reject("late_answer")

    def _fits(self, found: codec.Answer) -> bool:
        """Does this answer belong to the last packet sent? It must have the same command, and for a part of a program
        the same serial number. If the card did not accept the part, the answer has the number that the card expects
        instead.
        """
        awaited = self._awaited
        if awaited is None or found.command != awaited.command:
            return False
        if awaited.command == codec.DATA and found.result != codec.TAKEN:
            return True
        return awaited.command not in (codec.BEGIN, codec.DATA, codec.END) or found.serial == awaited.serial


def text_program(lines: Sequence[str], options: LedSenderOptions) -> codec.TextProgram:
    """Return the card's program that shows ``lines`` one below the other, ``lines[0]`` on top, where
    boards have the newest call. A line too long for the strip runs from right to left.
    """
    rows = []
    for row, line in enumerate(lines):
        text = codec.plain(line)
        fits = codec.text_width(text, options.font_px) <= options.width
        speed = None if fits else options.scroll_speed
        rows.append(codec.TextRow(row * options.font_px, options.font_px, text, options.colour, speed))
    return codec.TextProgram(options.width, options.height, tuple(rows), options.dead_man_s, options.colours)
