"""Requests and answers of one device on a wire: what loses it, what brings it back, and whose an answer is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from edged.clock import monotonic_s
from edged.core.model.events import DeviceBack, DeviceLost
from edged.core.model.losses import Loss
from edged.core.model.point import Point
from edged.driver import Garbled, Refused, Unreachable
from edged.links.dialogue import MISSED_MAX, Dialogue
from tests.support.brokers import until
from tests.support.listening_core import ListeningCore

BACK, LOST = DeviceBack(Point("d")), DeviceLost(Point("d"), "no-answer", "no answer from the card")
PULLED = DeviceLost(Point("d"), "port-missing", "pulled")
SOON_S = 0.02


class Card:
    """A wire and the device at its end, which answers each request with the number of that request."""

    def __init__(
        self, before_poll: Callable[[Card], None] = lambda _card: None, retry_s: float = 0.01
    ) -> None:
        self.core = ListeningCore("d", speed=1000.0)
        self.answers, self.garbles = True, False
        self.requests = 0
        self.before_poll = before_poll
        self.dialogue = Dialogue[int](
            self.core.context,
            self,
            "the card",
            self._poll,
            ask_s=5.0,
            doubt_s=0.0,
            retry_s=retry_s,
            late_s=SOON_S,
        )

    async def run(self, on_bytes: Callable[[bytes], None], on_state: Callable[[bool, Loss], None]) -> None:
        self.changed = on_state
        on_state(True, Loss(""))
        await asyncio.Event().wait()

    async def write(self, data: bytes) -> None:
        self.requests += 1
        if self.garbles:
            self.dialogue.received_garbled()
        if self.answers:
            self.dialogue.answer(self.requests)

    def reopen(self, why: Loss) -> None:
        """No adapter of this wire freezes."""

    async def _poll(self) -> None:
        self.before_poll(self)
        await self.dialogue.request(b"?", SOON_S)


@asynccontextmanager
async def living(card: Card) -> AsyncIterator[Dialogue[int]]:
    """Run the device's dialogue while the context is open."""
    running = asyncio.create_task(card.dialogue.run(lambda _data: None))
    try:
        yield card.dialogue
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_silent_device_is_lost_and_an_answer_brings_it_back() -> None:
    card = Card()
    async with living(card) as dialogue:
        await card.core.reported(BACK)
        dialogue.check_there()
        card.answers = False
        await card.core.reported(BACK, LOST)
        with pytest.raises(Unreachable, match="no answer from the card"):
            dialogue.check_there()
        card.answers = True
        await card.core.reported(BACK, LOST, BACK)


async def test_a_device_that_never_answered_is_lost_at_the_first_missed_answer() -> None:
    card = Card(retry_s=60.0)
    card.answers = False
    async with living(card):
        await card.core.reported(LOST)
        assert card.requests == 1


@pytest.mark.parametrize("by", ["wire", "answer"])
async def test_a_device_is_lost_only_after_the_maximum_of_missed_answers_in_a_row(by: str) -> None:
    card = Card()
    async with living(card) as dialogue:
        await card.core.reported(BACK)
        async with dialogue.turn:
            dialogue.miss()
            if by == "wire":
                card.changed(True, Loss(""))
            else:
                await dialogue.request(b"!", SOON_S)
            for _ in range(MISSED_MAX - 1):
                dialogue.miss()
            assert card.core.events == [BACK]
            dialogue.miss()
            assert card.core.events == [BACK, LOST]


async def test_a_wire_lost_during_an_answer_loses_the_device_until_the_wire_is_back() -> None:
    def pull(card: Card) -> None:
        if card.requests == 1:
            card.changed(False, Loss("port-missing", "pulled"))

    card = Card(pull)
    async with living(card):
        await card.core.reported(BACK, PULLED)
        await until(lambda: card.requests == 2)
        assert not card.dialogue.reachable
        card.changed(True, Loss(""))
        await card.core.reported(BACK, PULLED, BACK)


async def test_a_late_answer_is_not_taken_for_that_of_the_next_request() -> None:
    card = Card()
    async with living(card) as dialogue:
        await card.core.reported(BACK)
        async with dialogue.turn:
            card.answers = False
            assert await dialogue.ask(b"1", SOON_S) is None
            assert not dialogue.answer(99)
            card.answers = True
            missed_s = monotonic_s()
            assert await dialogue.ask(b"2", SOON_S) == card.requests
            assert monotonic_s() - missed_s > SOON_S / 2, "the pause in which it may still come"
            assert not dialogue.answer(99), "one request, one answer"


async def test_an_unreadable_answer_raises_garbled_and_each_try_sends_the_request_again() -> None:
    card = Card()
    async with living(card) as dialogue:
        await card.core.reported(BACK)
        async with dialogue.turn:
            card.answers, card.requests = False, 0
            card.garbles = True
            with pytest.raises(Garbled):
                await dialogue.request(b"!", SOON_S, tries=3)
            assert card.requests == 3
            card.garbles = False
            with pytest.raises(Unreachable):
                await dialogue.request(b"!", SOON_S)


async def test_a_device_that_refuses_a_request_counts_as_present() -> None:
    requests_seen = []

    def refuse(card: Card) -> None:
        requests_seen.append(card.requests)
        if card.requests:
            raise Refused("no")

    card = Card(refuse)
    async with living(card):
        await until(lambda: len(requests_seen) > MISSED_MAX + 2)
        assert card.core.events == [BACK]
