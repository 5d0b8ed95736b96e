"""Driver of an ESC/POS printer. A ticket or slip counts as printed only once the printer confirms it. Rules:

1. The printer's state is requested before every ticket. Without paper, with an open cover or a jammed cutter nothing
   is sent: a printer buffers what it receives, and would print it for nobody once paper is put in.
2. Each ticket is followed by a request that the printer answers after printing (GS r). Before the first ticket the
   driver tries whether the printer supports that request. A clone without it is asked after printing whether it has a
   fault, and no fault counts as printed.
3. A missing answer never counts as "ok".
4. The state is requested every ``ASK_S``. Changes of paper and faults are reported. When the printer counts as lost:
   see ``edged/links/dialogue.py``.

Deadlines are real seconds, counted from when the last byte has left the line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from devices.escpos import codec
from devices.escpos.codec import Condition, Cut, Layout
from edged.core.model.commands import Action, Print, Refuse, Value
from edged.core.model.events import HealthRead
from edged.core.model.point import Point
from edged.driver import DeviceContext, Options, Refused, Unreachable
from edged.links import ByteLink
from edged.links.dialogue import Dialogue
from edged.links.losses import WIRE_LOSSES
from edged.links.serial import SerialLink
from edged.links.tcp import TcpByteLink
from edged.shapes import ID, Rule, host_name

ASK_S = 2.0  # hall seconds between state requests while nothing is printed
RETRY_PRINTER_S = 0.5  # real seconds between tries at a lost printer
TRY_S = 0.5  # real seconds for the answer to GS r with nothing to print before it
PRINT_S = 6.0  # real seconds for printing a ticket; shorter than the deadline of an action
BITS_OF_A_BYTE = 10
ServiceId = Annotated[str, ID]


class EscposOptions(Options, frozen=True):
    """Options of one printer. ``path`` (serial port) or ``host`` (network). ``columns``: half-width characters per
    line, 32 for paper of 58 mm, 48 for 80 mm.

    ``title``: printed at the top. ``names``: service id -> its name on the ticket. ``confirms``: whether the printer
    answers the status request GS r once it has printed what was sent before (default: detected). ``deadline_ms``: how
    long to wait for the printer's answer.
    """

    path: str | None = None
    baudrate: Literal[9600, 19200, 38400, 57600, 115200] = 9600
    host: Annotated[str, Rule(host_name)] | None = None
    port: Annotated[int, Meta(ge=1, le=65535)] = 9100
    columns: Annotated[int, Meta(ge=16, le=64)] = 32
    title: Annotated[str, Meta(max_length=64)] = ""
    cut: Cut = "partial"
    names: dict[ServiceId, Annotated[str, Meta(max_length=32)]] = field(default_factory=dict)
    confirms: bool | None = None
    deadline_ms: Annotated[int, Meta(ge=50, le=5000)] = 300

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        if (self.path is None) == (self.host is None):
            raise ValueError("give either path (serial port) or host (network), not both")

    def point_roles(self, channel: str) -> frozenset[str]:
        """The device's only role: printer."""
        return frozenset({"printer"})

    def service_ids(self) -> frozenset[str]:
        """The services that have a printed name in ``names``."""
        return frozenset(self.names)


class Escpos:
    """Driver of one printer. hall.toml addresses it by its device id alone; it has no channels."""

    OPTIONS: ClassVar[type[Options]] = EscposOptions
    LOSSES: ClassVar[frozenset[str]] = WIRE_LOSSES
    deadline_s = 1.0  # it shows nothing
    reassert_s = 3600.0
    pace_s = 0.0

    def __init__(self, context: DeviceContext, options: EscposOptions, link: ByteLink | None = None) -> None:
        """``link``: the connection to use; by default the one that ``options`` name."""
        self._context = context
        self._options = options
        self._layout = Layout(options.title, options.columns, options.cut)
        self._link = link or _link(options)
        self._byte_s = 0.0 if options.path is None else BITS_OF_A_BYTE / options.baudrate
        self._answer_s = options.deadline_ms / 1000
        self._confirms = options.confirms  # None: unknown yet
        self._dialogue = Dialogue[int](
            context,
            self._link,
            "the printer",
            self._poll,
            ask_s=ASK_S,
            doubt_s=ASK_S,
            retry_s=RETRY_PRINTER_S,
            late_s=self._answer_s,
        )
        self._fits: Callable[[int], bool] = codec.is_at_once
        self._reported: Condition | None = None

    async def run(self) -> None:
        """Keep the connection to the printer open, and request the printer's state every ``ASK_S``, until cancelled."""
        self._reported = None
        await self._dialogue.run(self._received, self._wire_changed)

    async def show(self, point: Point, value: Value) -> None:
        """Raise ``Refused``, because a printer has no values to show."""
        raise Refused(f"{point} is a printer, it shows no {value.kind}")

    async def act(self, action: Action) -> None:
        """Print a ticket or another slip, such as one that says why the visitor gets no number, and return once the
        printer confirms it. Raises ``Refused`` if the printer cannot print it, ``Unreachable`` if the printer is lost
        or it is unknown whether the slip was printed.
        """
        body = action.body
        if isinstance(body, Print):
            data = codec.ticket(body, self._options.names.get(body.service, ""), self._layout)
        elif isinstance(body, Refuse):
            data = codec.refusal(body, self._layout)
        else:
            raise Refused(f"a printer cannot {body.kind}")
        async with self._dialogue.turn:
            self._dialogue.check_there()
            _check(await self._state())
            if self._confirms is None:
                self._confirms = await self._ask_in_turn(b"", TRY_S) is not None
            await self._print(data)

    async def _print(self, data: bytes) -> None:
        if not self._confirms:
            await self._link.write(data)
            await asyncio.sleep(len(data) * self._byte_s + self._answer_s)
            _check(await self._state())
            return
        out = await self._ask_in_turn(data, PRINT_S)
        if out is None:
            _check(await self._state())
            raise Unreachable("no answer in time: it may be printed", "no-answer")
        paper = codec.paper_in_turn(out)
        self._report(Condition(paper))
        if paper == "out":  # paper ran out on this ticket or right after it: unknown which
            raise Refused("no paper")

    async def _poll(self) -> None:
        if not self._dialogue.reachable:
            await self._link.write(codec.NO_REPORTS)
        await self._state()

    async def _state(self) -> Condition:
        """Request the state of paper and faults, and report it if it changed. Raises ``Unreachable`` if the printer
        does not answer.
        """
        printer = await self._question(codec.ASK_PRINTER)
        fault = None
        if printer & codec.OFFLINE:
            fault = codec.cause(await self._question(codec.ASK_CAUSE))
        paper = codec.paper_at_once(await self._question(codec.ASK_PAPER))
        if fault == "no paper":
            paper, fault = "out", None
        found = Condition(paper, fault)
        self._report(found)
        return found

    def _report(self, found: Condition) -> None:
        """Report the printer's state if it changed since the last report. If the inbox is full, it is reported after
        the next request.
        """
        if found != self._reported and self._context.emit(
            HealthRead(self._context.point(), found.paper, found.fault)
        ):
            self._reported = found

    async def _question(self, query: bytes) -> int:
        """Send a DLE EOT request, which the printer answers immediately, and return the byte of the answer. Raises
        ``Unreachable`` if none comes in time.
        """
        self._fits = codec.is_at_once
        return await self._dialogue.request(query, self._within_s(query))

    async def _ask_in_turn(self, data: bytes, takes_s: float) -> int | None:
        """Send ``data`` and a GS r request; returns the byte that the printer sends after printing, None if none comes
        in time. ``takes_s``: real seconds that printing may take. Raises ``Unreachable`` while the connection is down.
        """
        self._fits = codec.is_in_turn
        data += codec.ASK_IN_TURN
        return await self._dialogue.ask(data, self._within_s(data) + takes_s)

    def _within_s(self, data: bytes) -> float:
        """Return how many real seconds the answer to ``data`` may take: the time that both need on the line, and
        ``deadline_ms``.
        """
        return (len(data) + 1) * self._byte_s + self._answer_s

    def _received(self, data: bytes) -> None:
        noise = 0
        for byte in data:
            if not self._fits(byte) or not self._dialogue.answer(byte):
                noise += 1
        if noise:
            self._context.reject("noise", f"{noise} bytes")

    def _wire_changed(self) -> None:
        self._confirms = self._options.confirms  # another printer may be connected now


def _check(found: Condition) -> None:
    """Raise ``Refused`` if the printer cannot print in this state."""
    if found.fault is not None:
        raise Refused(found.fault)
    if found.paper == "out":
        raise Refused("no paper")


def _link(options: EscposOptions) -> ByteLink:
    if options.path is not None:
        return SerialLink(options.path, baudrate=options.baudrate)
    assert options.host is not None
    return TcpByteLink(options.host, options.port)
