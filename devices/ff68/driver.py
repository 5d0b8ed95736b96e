"""An FF 68 bus: receives keys and ratings; sends ticket numbers, numbers of waiting people, and beeps. Rules:

1. A key is acknowledged, by sending its bytes back, once its event is on disk. If the daemon's inbox is full, the key
   is not acknowledged, and counts if the caller sends it again. The same frame within ``AGAIN_S`` after its
   acknowledgement is a repetition: it is acknowledged, but not counted.
2. An acknowledgement has the same bytes as the key press. An adapter that echoes would return it as another press,
   which would be acknowledged, and so on for ever. So our own frames are dropped when they come back. Whether the
   adapter echoes is detected, unless the option ``echo`` says so.
3. Frames are sent one at a time (``edged/links/slots.py``). Displays do not acknowledge: a frame that was sent counts
   as shown, and is sent again from time to time. The bus counts as lost while its port is lost or it is full of noise
   (``edged/links/noise.py``).

Deadlines are real seconds.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from devices.ff68 import codec
from devices.ff68.codec import CallerFrame, CallerParser
from devices.ff68.options import Ff68Options
from edged.clock import monotonic_s
from edged.core.model.commands import Action, Evaluator, Panel, Value
from edged.core.model.events import Event, InputRefused, KeyPressed, RatingGiven
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

ECHO_S = 0.2  # an echo later than this is none
ECHO_MISSES_MAX = 3  # missing echoes in a row: the adapter does not echo
OWN_MAX = 16  # frames of ours that may still come back
AGAIN_S = 0.5  # real seconds: the core takes two presses of one key within 0.3 s for one
COMMIT_S = 2.0  # real seconds that a step may take to the disk; later the same key is pressed anew
BITS_OF_A_BYTE = 10  # with start and stop bit
REASSERT_MIN_S = 5.0  # hall seconds
PAUSES_MAX = 6  # longest wait of a changed value
SPARE_S = 1.0  # real seconds added for a slow adapter
LOUD_STATES = frozenset({"ACTIVATING", "INVITED"})  # shown while a clerk is asked to take a window


class Ff68:
    """Driver of one bus. hall.toml addresses a caller as ``device/NAME``, with the caller's name in ``callers``; the
    evaluator beside it has the same address.
    """

    OPTIONS: ClassVar[type[Options]] = Ff68Options
    LOSSES: ClassVar[frozenset[str]] = WIRE_LOSSES | {"babble"}
    pace_s = 0.0  # a wire with a queue of its own

    def __init__(self, context: DeviceContext, options: Ff68Options, link: ByteLink | None = None) -> None:
        """``link``: the connection to use; by default the serial port at ``path``."""
        self._context = context
        self._options = options
        self._link = link if link is not None else SerialLink(options.path, baudrate=options.baudrate)
        self._names = {address: name for name, address in options.callers.items()}
        pause_s = options.bus_pause_ms / 1000
        self._frame_s = codec.FRAME_MAX * BITS_OF_A_BYTE / options.baudrate
        # A round of re-assertions uses at most half of the bus; the rest is left to keys.
        self.reassert_s = max(REASSERT_MIN_S, 2 * len(options.callers) * (pause_s + self._frame_s))
        self.deadline_s = PAUSES_MAX * (pause_s + self._frame_s) + SPARE_S
        self._bus = SlotBus[CallerFrame](self._write, lambda: context.sleep(pause_s))
        self._ear = BusListener[CallerFrame](context, CallerParser, self._accept, self._bus.fail)
        self._own: list[
            tuple[CallerFrame, float]
        ] = []  # our frames and until when their echo may arrive; at most OWN_MAX
        self._echoes = options.echo  # None: not known yet
        self._misses = 0
        self._last: dict[
            int, tuple[CallerFrame, float, bool]
        ] = {}  # by address: frame, until when it counts as repeated, whether acknowledged
        self._states: dict[str, str] = {}  # by caller: the last state of its window
        self._asked: dict[
            str, str | None
        ] = {}  # by caller: the visit for which its evaluator asks for a rating
        self._presses = Presses()

    async def run(self) -> None:
        """Receive and send frames until cancelled."""
        self._ear.begin()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(lasting("link", self._link.run(self._ear.take, self._wire_changed)))
                group.create_task(lasting("bus", self._bus.run()))
        finally:
            self._ear.end()

    async def show(self, point: Point, value: Value) -> None:
        """Send ``value`` to its caller or evaluator. Raises ``Refused`` if the point cannot show such a value or is not
        on this bus, ``Unreachable`` while the bus is lost.
        """
        caller = channel_of(point)
        address = self._options.callers.get(caller)
        if address is None:
            raise Refused(f"no caller {caller!r} on this bus")
        if not isinstance(value, Panel | Evaluator):
            raise Refused(f"{caller} cannot show a {value.kind}")
        self._ear.check_up()
        waits = (
            self._ask(caller, address, value)
            if isinstance(value, Evaluator)
            else self._show(caller, address, value)
        )
        for future in waits:
            if future is not None:
                await future

    async def act(self, action: Action) -> None:
        """Raise ``Refused``, because the bus has no one-time actions."""
        raise Refused(f"a caller cannot {action.body.kind}")

    def _show(self, caller: str, address: int, value: Panel) -> list[asyncio.Future[None] | None]:
        waits = [self._bus.put(f"{caller}/show", codec.show(address, value.waiting, value.number))]
        if value.state in LOUD_STATES and self._states.get(caller) != value.state:
            beep = CallerFrame(address, codec.BEEP)
            waits.append(self._bus.put(f"{caller}/beep", beep, once=beep))
        self._states[caller] = value.state
        return waits

    def _ask(self, caller: str, address: int, value: Evaluator) -> list[asyncio.Future[None] | None]:
        """Ask the evaluator for a rating, once per visit. No-op if the last key pressed at this address is the caller's
        "rate", because then the caller asks by itself. Returns futures that are done when the frames were sent.
        """
        whom = value.number or value.case
        new, self._asked[caller] = whom != self._asked.get(caller), whom
        last = self._last.get(address)
        if not new or whom is None or (last is not None and last[0].key == "finish"):
            return []
        ask = CallerFrame(address, codec.RATE_ASK, bytes((codec.KEY_RATE,)))
        return [self._bus.put(f"{caller}/ask", ask, once=ask)]

    async def _write(self, frame: CallerFrame) -> None:
        """Send one frame. Raises ``Unreachable`` while the bus is lost."""
        self._ear.check_up()
        now_s = monotonic_s()
        self._forget_own(now_s)
        self._own = [*self._own, (frame, now_s + self._frame_s + ECHO_S)][-OWN_MAX:]
        await self._link.write(frame.to_bytes())

    def _forget_own(self, now_s: float) -> None:
        """Forget the sent frames whose echo is overdue. If it is not known yet whether the adapter echoes,
        ``ECHO_MISSES_MAX`` missing echoes mean that it does not.
        """
        missed = [frame for frame, until_s in self._own if until_s <= now_s and not frame.is_press]
        self._own = [(frame, until_s) for frame, until_s in self._own if until_s > now_s]
        self._misses += len(missed)
        if self._echoes is None and self._misses >= ECHO_MISSES_MAX:
            self._echoes = False

    def _is_own(self, frame: CallerFrame) -> bool:
        """Is this received frame the echo of one that we sent? If so, that one's echo is no longer expected."""
        self._forget_own(monotonic_s())
        place = next((place for place, (own, _) in enumerate(self._own) if own == frame), None)
        if place is None or self._options.echo is False or (self._echoes is False and frame.is_press):
            return False
        del self._own[place]
        if not frame.is_press:  # no caller sends that: the adapter echoes, however late at first
            self._echoes, self._misses = True, 0
        return True

    def _accept(self, frame: CallerFrame) -> None:
        caller = self._names.get(frame.address)
        if self._is_own(frame):
            return
        if not frame.is_press:
            self._context.reject("unexpected_frame", f"function {frame.function:#x}")
        elif caller is None:
            self._context.reject("unknown_address", f"{frame.address:#x}")
        elif not self._is_again(frame):
            self._press(caller, frame)

    def _is_again(self, frame: CallerFrame) -> bool:
        """Is this frame a repetition of the caller's last one, sent again because its acknowledgement was lost or is
        still to come? If that one was acknowledged, the acknowledgement is sent again.
        """
        last, until_s, acknowledged = self._last.get(frame.address, (None, 0.0, False))
        if last != frame or monotonic_s() >= until_s:
            return False
        if acknowledged:
            self._acknowledge(frame)
        return True

    def _press(self, caller: str, frame: CallerFrame) -> None:
        self._ear.understood()
        point = self._context.point(caller)
        event = self._event(point, frame)
        if isinstance(event, InputRefused):
            self._context.reject("unknown_key", f"{frame.data.hex(' ')} of {caller}")
        if not self._presses.allows(frame.address, monotonic_s()):
            self._context.reject("stuck_key", f"{frame.address:#x}")
        else:
            self._last[frame.address] = (frame, monotonic_s() + COMMIT_S, False)
            if not self._context.emit(event, lambda: self._acknowledge(frame)):
                del self._last[frame.address]

    def _event(self, point: Point, frame: CallerFrame) -> Event:
        """Return the event for a caller's or evaluator's frame. A key without a meaning becomes ``InputRefused``, so
        that the clerk is told.
        """
        if frame.function == codec.RATED:
            level = self._options.ratings.get(frame.data[0])
            return (
                InputRefused(point, "rating", "unknown_key") if level is None else RatingGiven(point, level)
            )
        return (
            InputRefused(point, "key", "unknown_key") if frame.key is None else KeyPressed(point, frame.key)
        )

    def _acknowledge(self, frame: CallerFrame) -> None:
        self._last[frame.address] = (frame, monotonic_s() + AGAIN_S, True)
        if self._ear.open:
            slot = f"{self._names[frame.address]}/acknowledgement"
            self._bus.put(slot, frame.acknowledgement, once=frame.acknowledgement)

    def _wire_changed(self, up: bool, why: Loss) -> None:
        self._own, self._misses = [], 0
        self._echoes = self._options.echo  # another adapter may be there now
        self._last.clear()
        self._ear.wire_changed(up, why)
