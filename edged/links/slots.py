"""The sending half of a serial bus whose units never answer: frames are sent one at a time, with a pause between them.
Rules:

* Each output of a unit is a slot that holds one frame, the newest; a frame that was replaced while it waited is never
  sent.
* Slots that changed go first, in order of change; slots that are only sent again (re-asserted) use the remaining time.
* The caller waits until a changed frame is sent; for a re-assertion it does not wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from edged.driver import DeviceError

FrameT = TypeVar("FrameT")


class SlotBus(Generic[FrameT]):
    """Sends the frames of one bus, the newest of each slot (a slot is one output of a unit on the bus, such as the lamp
    of a panel; its name is any text). ``write`` sends one frame, or raises ``DeviceError`` if the bus is down;
    ``pause`` waits as long as the bus needs before the next frame.
    """

    def __init__(
        self, write: Callable[[FrameT], Awaitable[None]], pause: Callable[[], Awaitable[None]]
    ) -> None:
        self._write = write
        self._pause = pause
        self._levels: dict[str, FrameT] = {}  # slot -> value last put
        self._changed: dict[str, FrameT] = {}  # slot -> frame to send first
        self._refresh: dict[str, FrameT] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._wanted = asyncio.Event()

    def is_new(self, slot: str, level: FrameT) -> bool:
        """Whether ``level`` differs from the value last put into the slot."""
        return self._levels.get(slot) != level

    def put(self, slot: str, level: FrameT, once: FrameT | None = None) -> asyncio.Future[None] | None:
        """Set ``slot`` to ``level``. A changed level is sent before those that are only sent again.

        ``once``: a frame to send in place of ``level``, now and even if ``level`` has not changed. Returns a future
        that is done when the slot's newest frame was sent, and raises ``DeviceError`` if it cannot be sent. Returns
        None if an unchanged level is only sent again, for which no caller waits.
        """
        self._wanted.set()
        if not self.is_new(slot, level) and once is None:
            if slot not in self._changed:
                self._refresh[slot] = level
                return None
        else:
            self._levels[slot] = level
            self._changed[slot] = level if once is None else once
            self._refresh.pop(slot, None)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(slot, []).append(future)
        return future

    def fail(self, error: DeviceError) -> None:
        """Drop all waiting frames, because the bus is down (the futures that ``put`` returned for them raise
        ``error``), and forget what was sent, so that every slot counts as changed afterwards.
        """
        for slot in list(self._waiting):
            self._settle(slot, error)
        self._levels.clear()
        self._changed.clear()
        self._refresh.clear()

    async def run(self) -> None:
        """Send waiting frames until cancelled."""
        while True:
            queue = self._changed or self._refresh
            if not queue:
                self._wanted.clear()
                await self._wanted.wait()
                continue
            slot = next(iter(queue))
            frame = queue.pop(slot)
            try:
                await self._write(frame)
            except DeviceError as error:
                self._levels.pop(slot, None)
                self._settle(slot, error)
            else:
                self._settle(slot, None)
            await self._pause()

    def _settle(self, slot: str, error: DeviceError | None) -> None:
        if slot in self._changed and error is None:
            return  # a newer frame waits in this slot: its leaving is what the senders wait for
        for future in self._waiting.pop(slot, []):
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
                future.exception()  # mark as retrieved: a caller of two frames may not await the second
