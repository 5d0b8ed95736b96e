"""THE loop: what a wire has just handed over is a step at once, and what breaks there breaks the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edged.clock import Clock
from edged.core.engine import Engine
from edged.core.model.commands import Desired, Lamp
from edged.core.model.events import ClockSet, KeyPressed, SiteLoaded
from edged.core.model.point import Point
from edged.core.model.state import State
from edged.core.model.turn import Turn
from edged.core.tide import tidal_loop
from edged.daemon.inbox import Inbox
from edged.daemon.loop import Loop
from edged.daemon.outputs import OutputContext, Outputs
from edged.observer import Observer, Step
from edged.store.journal import Journal
from tests.support.core_hall import hall_site

MONDAY_MS = 1_772_416_800_000  # 2026-03-02 10:00 in Beijing
KEY = KeyPressed(Point("panel-1"), "next", None, 1)
OTHER_KEY = KeyPressed(Point("panel-2"), "next", None, 1)


class Steps(Observer):
    """An observer that remembers."""

    def __init__(self) -> None:
        self.seen: list[Step] = []

    def step(self, step: Step, _decision_s: float) -> None:
        self.seen.append(step)


def around() -> OutputContext:
    return OutputContext(lambda _event, _ack=None: True, Clock(0), lambda *_: None, lambda *_: None)


@asynccontextmanager
async def waiting_loop(
    folder: Path, engine: Engine
) -> AsyncIterator[tuple[Loop, Inbox, Steps, asyncio.Task[None]]]:
    """A loop that has nothing to do."""
    clock, steps = Clock(0), Steps()
    inbox = Inbox(clock, 0, lambda: engine.next_due_ms)
    journal = Journal.open(folder / "hall.db")
    loop = Loop(engine, inbox, journal, Outputs(around()), (steps,), crashed=lambda event: None)
    run = asyncio.get_running_loop().create_task(loop.run())
    await asyncio.sleep(0)
    try:
        yield loop, inbox, steps, run
    finally:
        run.cancel()
        journal.close()


async def test_a_broken_step_ends_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(State())

    def broken(*_: object) -> None:
        raise AssertionError("a broken invariant")

    async with waiting_loop(tmp_path, engine) as (_loop, inbox, _steps, run):
        monkeypatch.setattr(engine, "lamps_first", broken)
        inbox.put(KEY)
        async with asyncio.timeout(5):
            await asyncio.wait({run})
        assert isinstance(run.exception(), AssertionError)


async def test_what_one_reading_hands_over_is_a_step_before_the_event_loop_goes_on(tmp_path: Path) -> None:
    async with waiting_loop(tmp_path, Engine(State())) as (loop, inbox, steps, run):
        await asyncio.sleep(0)  # its first look, which finds nothing
        loop.reading(True)
        inbox.put(KEY)
        inbox.put(OTHER_KEY)
        assert not steps.seen, "a reading is handed over whole before anything is decided"
        loop.reading(False)
        assert [step.event for step in steps.seen] == [KEY, OTHER_KEY]
        inbox.put(KEY)
        assert len(steps.seen) == 2, "outside a reading, in the next turn of the event loop"
        await asyncio.sleep(0)
        assert [step.event for step in steps.seen] == [KEY, OTHER_KEY, KEY]
        assert not run.done()


async def test_a_step_that_breaks_in_a_reading_ends_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(State())

    def broken(*_: object) -> None:
        raise AssertionError("a broken invariant")

    async with waiting_loop(tmp_path, engine) as (loop, inbox, _steps, run):
        await asyncio.sleep(0)
        monkeypatch.setattr(engine, "lamps_first", broken)
        loop.reading(True)
        inbox.put(KEY)
        loop.reading(False)
        loop.reading(False)  # whoever reads on meanwhile moves nothing any more
        assert len(inbox) == 0
        async with asyncio.timeout(5):
            await asyncio.wait({run})
        assert isinstance(run.exception(), AssertionError)


async def test_a_full_journal_holds_a_reading_back_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, room = [True], asyncio.Event()
    monkeypatch.setattr(Journal, "full", property(lambda _journal: full[0]))
    monkeypatch.setattr(Journal, "drain", lambda _journal: room.wait())
    async with waiting_loop(tmp_path, Engine(State())) as (loop, inbox, steps, run):
        loop.reading(True)
        inbox.put(KEY)
        loop.reading(False)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not steps.seen
        assert len(inbox) == 1
        full[0] = False
        room.set()
        async with asyncio.timeout(5):
            while not steps.seen:
                await asyncio.sleep(0)
        assert [step.event for step in steps.seen] == [KEY]
        assert not run.done()


async def test_before_the_loop_runs_and_after_it_a_reading_only_fills_the_inbox(tmp_path: Path) -> None:
    async with waiting_loop(tmp_path, Engine(State())) as (loop, inbox, steps, run):
        run.cancel()
        await asyncio.wait({run})
        loop.reading(True)
        inbox.put(KEY)
        loop.reading(False)
        assert not steps.seen
        assert len(inbox) == 1


class Wanted(Outputs):
    """Remembers what is wanted, and what the core had decided by then."""

    def __init__(self, around: OutputContext) -> None:
        super().__init__(around)
        self.seen: list[tuple[Desired, int]] = []
        self.opened = 0

    def want(self, desired: Desired, arrived_s: float | None = None, now: bool = False) -> None:
        self.seen.append((desired, self.opened))


async def test_the_lamp_of_the_pressed_key_is_wanted_before_the_tide_is_judged_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(State())
    engine.handle(0, SiteLoaded(hall_site()))
    engine.handle(1, ClockSet(MONDAY_MS, 480))
    async with waiting_loop(tmp_path, engine) as (loop, inbox, steps, _run):
        wanted = Wanted(around())
        loop._outputs = wanted
        true_evaluate = tidal_loop.evaluate

        def evaluate(turn: Turn) -> None:
            wanted.opened += 1
            true_evaluate(turn)

        def let_others_run() -> None:
            let_run.append([one.point for one, _ in wanted.seen])

        let_run: list[list[str]] = []
        monkeypatch.setattr(tidal_loop, "evaluate", evaluate)
        monkeypatch.setattr("edged.daemon.loop.os.sched_yield", let_others_run)
        inbox.put(KeyPressed(Point("p1"), "login", "mei", 1))
        for _ in range(5):
            await asyncio.sleep(0)
    (lamp,) = [
        (one, tide) for one, tide in wanted.seen if isinstance(one.value, Lamp) and one.point == "relay/1"
    ]
    assert lamp == (Desired(Point("relay/1"), Lamp("on")), 0)
    commanded = [command for command in steps.seen[0].commands if isinstance(command, Desired)]
    assert sorted(map(repr, commanded)) == sorted(repr(one) for one, _ in wanted.seen)
    assert commanded[0] == lamp[0]
    assert let_run == [["relay/1"]], "whoever carries the lamp on runs before the rest of the step"
