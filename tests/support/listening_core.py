"""The core's side of a driver under test: it gives the driver the hall's time and collects the events that it
reports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edged.core.model.events import Event
from edged.driver import DeviceContext
from tests.support.brokers import Rejections, until


class ListeningCore:
    """The core as a driver of ``device`` sees it: ``context`` is passed to the driver, ``events`` collects what it
    reports.

    Hall time (``hall_s``, in seconds) moves only while the driver sleeps, ``speed`` times faster than real time, and
    when a test sets it.
    """

    def __init__(self, device: str, speed: float = 1.0) -> None:
        self.hall_s, self.speed = 1000.0, speed
        self.events: list[Event] = []
        self.rejections = Rejections()
        self.context = DeviceContext(
            device, "h", self._emit, self.rejections, self._sleep, lambda: self.hall_s, None
        )

    def _emit(self, event: Event, ack: Callable[[], None] | None = None) -> bool:
        self.events.append(event)
        return True

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.speed)
        self.hall_s += seconds

    async def reported(self, *events: Event) -> None:
        """Wait until the driver has reported exactly these events since its start."""
        await until(lambda: self.events == list(events))
