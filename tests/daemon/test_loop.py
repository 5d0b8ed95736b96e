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
    loop = Loop(engine, inbox, journal, Outputs(around()), (steps,), broke=lambda event: None)
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
