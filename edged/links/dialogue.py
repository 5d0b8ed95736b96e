"""Requests and answers with a device that never sends by itself (LED card, ticket printer, speech module). Rules:

1. One request at a time: whoever sends holds the lock ``turn``.
2. If nothing was sent for ``ask_s``, the device is asked whether it is there; a lost device is asked every ``retry_s``.
3. The device counts as lost after ``MISSED_MAX`` unanswered requests in a row (before its first answer, after a single
   one), and while its connection is down.
4. Answers do not say which request they belong to. After a missing one nothing is sent for ``late_s``, and bytes that
   arrive meanwhile are ignored, so that a late answer is not taken for the next request's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from edged.clock import monotonic_s
from edged.core.model.losses import OTHER, Loss
from edged.driver import DeviceContext, DeviceError, Garbled, Presence, Unreachable
from edged.heartbeat import lasting
from edged.links import ByteLink

MISSED_MAX = 2  # line noise may destroy one request or answer
CHECK_S = 0.5  # hall seconds between looks whether a question is due or the wire came back

AnswerT = TypeVar("AnswerT")


class Dialogue(Generic[AnswerT]):
    """One device's requests, answers and presence (whether it can be reached).

    ``who``: the device's name in errors. ``poll`` asks the device whether it is there, and sets it up again if it was
    lost. It is called with ``turn`` held, and raises a ``DeviceError`` if no answer comes. ``ask_s``: how long nothing
    may have been sent before ``poll`` is called, in seconds of hall time (which demos run faster). ``doubt_s``: the
    same after a missing answer. ``retry_s`` and ``late_s``: see rules 2 and 4 of this module; real seconds.
    """

    def __init__(
        self,
        context: DeviceContext,
        link: ByteLink,
        who: str,
        poll: Callable[[], Awaitable[None]],
        *,
        ask_s: float,
        doubt_s: float,
        retry_s: float,
        late_s: float,
    ) -> None:
        self.turn = asyncio.Lock()
        self.missed = 0  # answers in a row
        self._context = context
        self._link = link
        self._poll = poll
        self._ask_s, self._doubt_s, self._retry_s, self._late_s = ask_s, doubt_s, retry_s, late_s
        self._presence = Presence(context)
        self._silence = Loss("no-answer", f"no answer from {who}")
        self._why = Loss(OTHER, "not opened yet")
        self._up = asyncio.Event()
        self._answer: asyncio.Future[AnswerT] | None = None
        self._garbled = False  # invalid bytes came since the last request
        self._quiet_until_s = 0.0  # real seconds; until then a late answer may come
        self._spoke_s = context.now_s()

    async def run(
        self, on_bytes: Callable[[bytes], None], wire_changed: Callable[[], None] = lambda: None
    ) -> None:
        """Keep the connection open, and poll the device while nothing else is sent, until cancelled. ``on_bytes`` gets
        received bytes. ``wire_changed`` is called when the connection opens or is lost, because another device may be
        connected then.
        """

        def changed(up: bool, why: Loss) -> None:
            wire_changed()
            if up:
                self.missed = 0
                self._up.set()
            else:
                self._up.clear()
                self.lose(why)

        self._presence.forget()
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(lasting("link", self._link.run(on_bytes, changed)))
            lanes.create_task(lasting("contact", self._keep_contact()))

    @property
    def reachable(self) -> bool:
        """Whether the device can be reached."""
        return bool(self._presence.there)

    def check_there(self) -> None:
        """Raise ``Unreachable``, with the reason of the loss, while the device is lost."""
        if not self.reachable:
            raise Unreachable(self._why.detail, self._why.word)

    async def request(self, data: bytes, within_s: float, tries: int = 1) -> AnswerT:
        """Send ``data`` and return the answer, like ``ask``, but raise an error if none comes: ``Garbled`` if bytes
        came that are no answer, ``Unreachable`` if nothing came or the connection is down. A missing answer is counted
        (``miss``).
        """
        answer = await self.ask(data, within_s, tries)
        if answer is not None:
            self.answered()
            return answer
        self.miss()
        if self._garbled:
            raise Garbled("the answer was no frame")
        raise Unreachable(self._silence.detail)

    async def ask(self, data: bytes, within_s: float, tries: int = 1) -> AnswerT | None:
        """Send ``data`` and wait ``within_s`` real seconds for the answer, up to ``tries`` times. Returns None if no
        answer came. Raises ``Unreachable`` while the connection is down.
        """
        await asyncio.sleep(max(0.0, self._quiet_until_s - monotonic_s()))
        self._garbled = False
        answer: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
        self._answer = answer
        try:
            for _ in range(tries):
                await self._link.write(data)
                await asyncio.wait({answer}, timeout=within_s)
                if answer.done():
                    return answer.result()
            return None
        finally:
            if not answer.done():
                self._quiet_until_s = monotonic_s() + self._late_s
            self._answer = None
            self._spoke_s = self._context.now_s()

    def answer(self, found: AnswerT) -> bool:
        """Pass a received answer to the request that waits for it; False if none waits."""
        if self._answer is None or self._answer.done():
            return False
        self._answer.set_result(found)
        return True

    def received_garbled(self) -> None:
        """Record that bytes came that are no answer, perhaps a damaged one."""
        self._garbled = True

    def answered(self) -> None:
        """Record that the device has answered: no answer is missing now."""
        self.missed = 0

    def miss(self) -> None:
        """Record a missing answer. The device counts as lost after ``MISSED_MAX`` of them in a row, or after a single
        one if it has never answered.
        """
        self.missed += 1
        if self.missed >= MISSED_MAX or self._presence.there is None:
            self.lose(self._silence)

    def lose(self, why: Loss) -> None:
        """Report the device as lost, for the reason ``why``."""
        self._why = why
        self._presence.lost(*why)

    async def _keep_contact(self) -> None:
        while True:
            await self._up.wait()
            idle_s = self._context.now_s() - self._spoke_s
            due_s = (self._doubt_s if self.missed else self._ask_s) - idle_s
            if self.reachable and due_s > 0:
                await self._context.sleep(min(due_s, CHECK_S))
                continue
            try:
                async with self.turn:
                    await self._poll()
                if self._up.is_set():
                    self._presence.back()
            except DeviceError as error:
                self._why = error.loss
                if not self.reachable:
                    await asyncio.sleep(self._retry_s)
            finally:
                self._spoke_s = self._context.now_s()
