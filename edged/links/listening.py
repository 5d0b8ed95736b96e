"""The receiving half of a serial bus that several units share (the sending half is ``slots.py``).

Rules: bytes are cut into frames; an incomplete frame is dropped after ``GAP_S`` of silence. A bus with too much noise
counts as lost ("babble", see ``noise.py``), and frames on it are ignored, until it was quiet for a while. While its
serial port is lost, the bus counts as lost, too. A loss is reported to the core with its reason, once per change.
Deadlines are real seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from edged.clock import monotonic_s
from edged.core.model.losses import OTHER, Loss
from edged.driver import DeviceContext, Presence, Unreachable
from edged.links.framing import FrameCutter
from edged.links.noise import Babble

GAP_S = 0.1  # silence that ends half a frame: fifteen characters take 16 ms, a USB adapter adds up to 16

FrameT = TypeVar("FrameT")


class BusListener(Generic[FrameT]):
    """Receives frames and watches the bus. ``cutter`` makes an empty ``FrameCutter``. ``accept`` is called with each
    frame unless the bus is lost. ``fail`` is called with the reason when sending becomes impossible.
    """

    def __init__(
        self,
        context: DeviceContext,
        cutter: Callable[[], FrameCutter[FrameT]],
        accept: Callable[[FrameT], None],
        fail: Callable[[Unreachable], None],
    ) -> None:
        self._context = context
        self._new_cutter = cutter
        self._accept = accept
        self._fail = fail
        self._cutter = cutter()
        self._babble = Babble()
        self._babbling = False
        self._presence = Presence(context)
        self._why = Loss(OTHER, "not opened yet")
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.open: bool | None = None

    def begin(self) -> None:
        """Start. The first state of the bus is reported to the core even if it equals the one reported last."""
        self._presence.forget()

    def end(self) -> None:
        """Stop: call ``fail`` and cancel all timers."""
        self.open, self._why = None, Loss(OTHER, "stopped")
        self._fail(self._unreachable())
        for timer in self._timers.values():
            timer.cancel()

    def check_up(self) -> None:
        """Raise ``Unreachable``, with the reason, while the bus counts as lost."""
        if not self.open:
            raise self._unreachable()
        if self._babbling:
            raise Unreachable("babble", "babble")

    def understood(self) -> None:
        """Forget the noise received before, because a frame of a configured unit was understood."""
        self._babble.understood()

    def take(self, data: bytes) -> None:
        """Cut received bytes into frames and pass them to ``accept``; count noise."""
        if not data:
            return
        noise = self._cutter.noise
        for frame in self._cutter.feed(data):
            if not self._babbling:
                self._accept(frame)
        if self._cutter.holding:
            self._later("gap", GAP_S, self._fell_silent)
        self._count_noise(self._cutter.noise - noise)

    def wire_changed(self, up: bool, why: Loss) -> None:
        """Record that the port was opened (``up``), or lost because of ``why``."""
        self.open, self._why, self._babbling = up, why, False
        self._cutter, self._babble = self._new_cutter(), Babble()
        if not up:
            self._fail(self._unreachable())
        self._report_state()

    def _unreachable(self) -> Unreachable:
        return Unreachable(self._why.detail, self._why.word)

    def _fell_silent(self) -> None:
        noise = self._cutter.noise
        self._cutter.gap()
        self._count_noise(self._cutter.noise - noise)

    def _count_noise(self, count: int) -> None:
        """Count bytes that belong to no frame. They are reported as a rejected input, because a key press may have been
        among them. If the noise does not end, the bus counts as lost.
        """
        if count == 0:
            return
        now_s = monotonic_s()
        babbles = self._babble.count(count, now_s)
        self._later("quiet", self._babble.quiet_in_s(now_s), self._fell_quiet)
        if not self._babbling:
            self._context.reject("noise", f"{count} bytes")
            if babbles:
                self._babbling = True
                self._fail(Unreachable("babble", "babble"))
                self._report_state()

    def _fell_quiet(self) -> None:
        if self._babbling:
            self._babbling = False
            self._report_state()

    def _report_state(self) -> None:
        if self.open and not self._babbling:
            self._presence.back()
        elif self.open is not None:
            self._presence.lost(*(Loss("babble") if self._babbling else self._why))

    def _later(self, name: str, delay_s: float, call: Callable[[], None]) -> None:
        """Call ``call`` after ``delay_s``; replaces a timer of the same name."""
        if name in self._timers:
            self._timers[name].cancel()
        self._timers[name] = asyncio.get_running_loop().call_later(delay_s, call)
