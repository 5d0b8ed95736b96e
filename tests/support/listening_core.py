"""The core's side of a driver under test: hall time, and everything that the driver tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edged.core.model.events import Event
from edged.driver import DeviceContext
from tests.support.brokers import Rejections, until


class ListeningCore:
    """``context`` is what the driver of ``device`` is made with; hall time moves only while the driver sleeps,
    ``speed`` times faster than real time, and when a test sets ``hall_s``.
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
        """Wait until the driver has told these, and nothing else."""
        await until(lambda: self.events == list(events))
