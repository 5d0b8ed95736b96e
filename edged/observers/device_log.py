"""Logs a line when a device is lost, with reason and remedy, and one when it is back, with the seconds it was away."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from edged import clock
from edged.core.model.events import DeviceBack, DeviceLost
from edged.core.model.losses import LOSSES, OUR_LINK, known
from edged.logs import Allowance
from edged.observer import Observer, Step

LINES_BURST = 200.0  # a hall that loses its switch, and has it again
LINES_PER_S = 0.5  # a device that comes and goes for ever; what is left out is counted in the next line
CHANGES = {
    "device.lost": "device-lost",
    "device.still_lost": "device-still-lost",
    "device.back": "device-back",
}


class DeviceLog(Observer):
    """Logs lost and returned devices. Logged at debug level only: the first contact after a start, and devices lost
    with the broker (which the link logs). After a burst of ``LINES_BURST`` lines at most ``LINES_PER_S`` a second are
    logged; the next line counts those left out (``left_out``).
    """

    def __init__(self, now_s: Callable[[], float] = clock.monotonic_s) -> None:
        self._log = structlog.get_logger("edged.device")
        self._allowance = Allowance(LINES_BURST, LINES_PER_S, now_s)
        self._by_our_link: set[str] = set()  # lost with the broker, which the link has logged

    def step(self, step: Step, decision_s: float) -> None:
        """Log a line if the step lost or regained a device."""
        event = step.event
        if not isinstance(event, DeviceLost | DeviceBack):
            return
        for note in step.notes:
            if note.kind in CHANGES and note.subject == event.point:
                self._log_change(CHANGES[note.kind], event, note.data.get("away_s"))

    def _log_change(
        self, line: str, event: DeviceLost | DeviceBack, away_s: str | int | float | None
    ) -> None:
        ours = isinstance(event, DeviceLost) and event.reason == OUR_LINK
        if ours or event.point in self._by_our_link or (isinstance(event, DeviceBack) and away_s is None):
            (self._by_our_link.add if ours else self._by_our_link.discard)(event.point)
            self._log.debug(line, device=event.point)
            if ours or isinstance(event, DeviceBack):
                return
        left_out = self._allowance.take()
        if left_out is None:
            return
        if isinstance(event, DeviceBack):
            self._log.info(line, device=event.point, away_s=away_s, **left_out)
            return
        reason = known(event.reason)
        words = LOSSES[reason]
        self._log.warning(
            line,
            device=event.point,
            reason=reason,
            detail=event.detail or event.reason,
            means=words.en,
            effect="the hall goes on without it; what it should show is sent when it is back",
            remedy=words.do_en,
            **left_out,
        )
