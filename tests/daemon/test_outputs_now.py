"""Levels that need no waiting: gone before ``want`` returns, kept to a pace where they are texts; tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from edged.core.model.commands import Desired, Display, Lamp, Value
from edged.core.model.point import Point
from edged.daemon import outputs as outputs_module
from edged.driver import Unreachable
from tests.daemon.test_outputs import PAUSE_S, bench
from tests.support.brokers import until
from tests.support.slates import QuickSlate, Slate

ON, OFF = Lamp("on"), Lamp("off")


def text(number: int) -> Display:
    return Display((str(number),))


async def test_a_level_is_out_before_want_returns_only_where_the_driver_can() -> None:
    quick, slow = QuickSlate(), Slate()
    async with bench(quick=quick, slow=slow) as one:
        await asyncio.sleep(0)  # the workers run
        one.outputs.want(Desired(Point("quick"), ON), now=True)
        one.outputs.want(Desired(Point("slow"), ON), now=True)
        assert quick.shown == [("quick", ON)]
        assert slow.shown == []
        await until(lambda: slow.shown == [("slow", ON)])
        for _ in range(20):
            await asyncio.sleep(0)
        assert quick.shown == [("quick", ON)], "told once, not again by the worker"


async def test_without_now_the_newest_of_a_burst_is_enough() -> None:
    quick = QuickSlate()
    async with bench(quick=quick) as one:
        for number in range(50):
            one.outputs.want(Desired(Point("quick"), text(number)))
        await until(lambda: quick.shown != [])
        assert quick.shown == [("quick", text(49))]


async def test_texts_keep_their_pace_and_lamps_do_not() -> None:
    quick = QuickSlate()
    quick.pace_s = 0.2
    async with bench(quick=quick) as one:
        await asyncio.sleep(0)
        for number in range(50):
            one.outputs.want(Desired(Point("quick"), text(number)), now=True)
            one.outputs.want(Desired(Point("quick"), ON if number % 2 else OFF), now=True)
        lamps = [value for _, value in quick.shown if isinstance(value, Lamp)]
        assert len(lamps) == 50
        assert [value for _, value in quick.shown if isinstance(value, Display)] == [text(0)]
        await until(lambda: quick.shown[-1] == ("quick", text(49)))
        assert len(quick.shown) == 52, "of all texts in between, none"


async def test_a_level_that_did_not_get_out_is_tried_again_and_nothing_overtakes_the_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outputs_module, "RETRY_S", (PAUSE_S,))
    quick = QuickSlate()
    quick.error = Unreachable("no broker")
    async with bench(quick=quick) as one:
        await asyncio.sleep(0)
        one.outputs.want(Desired(Point("quick"), ON), now=True)
        tried = len(quick.tried)
        one.outputs.want(Desired(Point("quick"), OFF), now=True)
        assert len(quick.tried) == tried == 1, "a device that does not take levels is not asked by every step"
        quick.error = None
        await until(lambda: quick.shown == [("quick", OFF)])
        assert ("quick", "unreachable") in one.errors


async def test_a_broker_that_is_back_gets_everything_again_at_once() -> None:
    quick = QuickSlate()
    async with bench(quick=quick) as one:
        await asyncio.sleep(0)
        one.outputs.want(Desired(Point("quick"), ON), now=True)
        one.outputs.want(Desired(Point("quick"), text(1)), now=True)
        quick.shown.clear()  # the broker lost its store
        one.outputs.retry()
        await until(
            lambda: sorted(map(repr, quick.shown)) == sorted(map(repr, [("quick", ON), ("quick", text(1))])),
            1,
        )
        assert one.errors == []


class Answering(Slate):
    """A slate whose device answers later: ``sent`` has left, ``answers`` are what is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, object]] = []
        self.answers: list[asyncio.Future[None]] = []
        self.begins = True

    def begin(self, point: str, value: Value) -> Callable[[], Awaitable[None]]:
        if not self.begins:
            raise Unreachable("resting")
        self.sent.append((point, value))
        answer = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        return lambda: answer


async def test_a_lamp_that_only_waits_for_an_answer_has_left_before_want_returns() -> None:
    slate = Answering()
    async with bench(slate=slate) as one:
        await asyncio.sleep(0)
        one.outputs.want(Desired(Point("slate"), ON), 1.0, now=True)
        assert slate.sent == [("slate", ON)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert not one.measured, "not there before its answer"
        slate.answers[0].set_result(None)
        await until(lambda: one.measured != [])
        assert slate.shown == [], "sent once, not again by the worker"


async def test_an_answer_that_never_comes_is_an_error_and_the_newest_level_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outputs_module, "RETRY_S", (PAUSE_S,))
    slate = Answering()
    async with bench(slate=slate) as one:
        await asyncio.sleep(0)
        one.outputs.want(Desired(Point("slate"), ON), now=True)
        await asyncio.sleep(0)
        slate.answers[0].set_exception(Unreachable("no answer in time"))
        await until(lambda: ("slate", "unreachable") in one.errors)
        one.outputs.want(Desired(Point("slate"), OFF), now=True)
        assert len(slate.sent) == 1, "nothing overtakes the pause after a failure"
        await until(lambda: slate.shown == [("slate", OFF)])


async def test_where_nothing_can_begin_the_worker_shows_it() -> None:
    slate = Answering()
    slate.begins = False
    async with bench(slate=slate) as one:
        one.outputs.want(Desired(Point("slate"), ON), now=True)
        await until(lambda: slate.shown == [("slate", ON)])
