"""Slots, retries and actions: what reaches a device that is slow, dead, stubborn or broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from edged.clock import Clock, Warp, monotonic_s, perf_s, wall_ms
from edged.core.model.commands import Action, Desired, Display, Lamp, Page, Print, Say, Value
from edged.core.model.events import CommandDone, CommandFailed, Event
from edged.core.model.point import Point
from edged.daemon import outputs as outputs_module
from edged.daemon.outputs import ACTIONS_MAX, OutputContext, Outputs, Worker
from edged.driver import Garbled, Refused, Unreachable
from tests.support.brokers import until
from tests.support.slates import Slate

ON, OFF, BLINK = Lamp("on"), Lamp("off"), Lamp("blink")
PAUSE_S = 0.04  # between tries in these tests
FAST = 100.0  # hall seconds per second where a test waits for a re-assertion


@dataclass
class Bench:
    """The daemon's outputs, and the events, errors and measured times that they reported."""

    outputs: Outputs
    events: list[Event] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)
    measured: list[tuple[str, float]] = field(default_factory=list)
    workers: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def outcome(self, action: str) -> list[Event]:
        return [e for e in self.events if isinstance(e, CommandDone | CommandFailed) and e.id == action]


@asynccontextmanager
async def bench(speed: float = 1.0, **drivers: Slate) -> AsyncIterator[Bench]:
    """Workers for ``drivers``, running."""
    one: Bench

    def emit(event: Event, ack: Callable[[], None] | None = None) -> bool:
        one.events.append(event)
        return True

    around = OutputContext(
        emit,
        Clock(0, Warp(speed, wall_ms(), wall_ms())),
        lambda device, fault: one.errors.append((device, fault)),
        lambda device, seconds: one.measured.append((device, seconds)),
    )
    one = Bench(Outputs(around))
    async with asyncio.TaskGroup() as tasks:
        for name, driver in drivers.items():
            one.workers[name] = tasks.create_task(one.outputs.attach(name, driver).run())
        yield one
        for task in one.workers.values():
            task.cancel()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs_module, "RETRY_S", (PAUSE_S, 2 * PAUSE_S))


def announcement(number: int) -> Action:
    """The action ``say-{number}`` for the loudspeaker."""
    return Action(f"say-{number}", Point("voice"), Say("请A001号", "A001, please", "A001"))


async def test_while_a_device_is_slow_only_the_newest_value_waits() -> None:
    slow = Slate()
    slow.open.clear()
    async with bench(lamp=slow) as one:
        one.outputs.want(Desired(Point("lamp/0"), OFF))
        await until(lambda: len(slow.tried) == 1)
        for number in range(100):
            one.outputs.want(Desired(Point("lamp/0"), BLINK if number % 2 else OFF))
        one.outputs.want(Desired(Point("lamp/0"), ON))
        one.outputs.want(Desired(Point("lamp/1"), BLINK))
        slow.open.set()
        await until(lambda: len(slow.shown) >= 3)
        assert slow.shown == [("lamp/0", OFF), ("lamp/0", ON), ("lamp/1", BLINK)]
        assert slow.tried == slow.shown, "a value overtaken while it waited is never sent"


async def test_values_that_come_during_an_exchange_cause_no_extra_assertion() -> None:
    slow = Slate()
    async with bench(lamp=slow) as one:
        one.outputs.want(Desired(Point("lamp/0"), ON))
        one.outputs.want(Desired(Point("lamp/1"), ON))
        await until(lambda: len(slow.shown) == 2)
        slow.open.clear()
        one.outputs.want(Desired(Point("lamp/0"), OFF))
        await until(lambda: len(slow.tried) == 3)
        one.outputs.want(Desired(Point("lamp/0"), BLINK))
        slow.open.set()
        await until(lambda: ("lamp/0", BLINK) in slow.shown)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(slow.tried) == 4


async def test_a_dead_device_delays_nobody_else() -> None:
    dead, alive = Slate(), Slate()
    dead.open.clear()
    async with bench(dead=dead, alive=alive) as one:
        one.outputs.want(Desired(Point("dead/0"), ON))
        await until(lambda: dead.tried != [])
        for state in (ON, OFF, BLINK):
            one.outputs.want(Desired(Point("alive"), state))
            await until(lambda: alive.shown[-1:] == [("alive", state)], 0.5)
        assert dead.shown == []


async def test_a_device_that_does_not_answer_is_tried_with_growing_pauses_and_an_answer_ends_them() -> None:
    tries: list[float] = []

    class Stamped(Slate):
        async def show(self, point: str, value: Value) -> None:
            tries.append(monotonic_s())
            await super().show(point, value)

    dead = Stamped()
    dead.error = Unreachable("no answer")
    async with bench(lamp=dead) as one:
        one.outputs.want(Desired(Point("lamp/0"), ON))
        await until(lambda: len(tries) >= 4)
        pauses = [after - before for before, after in pairwise(tries)]
        assert pauses[0] >= PAUSE_S * 0.8
        assert all(pause >= PAUSE_S * 1.6 for pause in pauses[1:])
        assert set(one.errors) == {("lamp", "unreachable")}
        dead.error = Garbled("nonsense")
        await until(lambda: ("lamp", "garbled") in one.errors)
        dead.error = None
        await until(lambda: dead.shown == [("lamp/0", ON)])


async def test_a_device_that_hangs_is_cut_off_at_its_deadline() -> None:
    hanging = Slate()
    hanging.deadline_s = 0.02
    hanging.open.clear()
    async with bench(lamp=hanging) as one:
        one.outputs.want(Desired(Point("lamp/0"), ON))
        await until(lambda: len(hanging.tried) >= 3)
        assert set(one.errors) == {("lamp", "unreachable")}


async def test_one_dead_channel_does_not_starve_the_others() -> None:
    class OneDead(Slate):
        async def show(self, point: str, value: Lamp) -> None:  # type: ignore[override]
            self.error = Unreachable("this one") if point == "lamp/0" else None
            await super().show(point, value)

    device = OneDead()
    async with bench(lamp=device) as one:
        for channel in range(4):
            one.outputs.want(Desired(Point(f"lamp/{channel}"), ON))
        await until(lambda: len(device.shown) == 3)
        assert {point for point, _ in device.shown} == {"lamp/1", "lamp/2", "lamp/3"}


async def test_who_came_back_is_shown_everything_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs_module, "RETRY_S", (3600.0,))
    lamp = Slate()
    async with bench(lamp=lamp) as one:
        one.outputs.want(Desired(Point("lamp/0"), ON))
        one.outputs.want(Desired(Point("lamp/1"), BLINK))
        await until(lambda: len(lamp.shown) == 2)
        lamp.error = Unreachable("gone")
        one.outputs.want(Desired(Point("lamp/0"), OFF))
        await until(lambda: one.errors != [])
        lamp.error = None
        lamp.shown.clear()
        one.outputs.returned("lamp")
        one.outputs.returned("unknown")
        await until(lambda: set(lamp.shown) == {("lamp/0", OFF), ("lamp/1", BLINK)}, 1.0)


async def test_a_return_of_long_ago_does_not_shorten_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs_module, "RETRY_S", (3600.0,))
    lamp = Slate()
    async with bench(lamp=lamp) as one:
        one.outputs.want(Desired(Point("lamp"), ON))
        await until(lambda: len(lamp.shown) == 1)
        one.outputs.returned("lamp")
        await until(lambda: len(lamp.shown) == 2)
        lamp.error = Unreachable("gone")
        one.outputs.want(Desired(Point("lamp"), OFF))
        await until(lambda: one.errors != [])
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(lamp.tried) == 3


async def test_a_shared_wire_that_is_back_cuts_the_pause_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs_module, "RETRY_S", (3600.0,))
    lamp, other = Slate(), Slate()
    async with bench(lamp=lamp, other=other) as one:
        one.outputs.want(Desired(Point("other"), ON))
        await until(lambda: len(other.shown) == 1)
        lamp.error = Unreachable("gone")
        one.outputs.want(Desired(Point("lamp"), ON))
        await until(lambda: one.errors != [])
        lamp.error = None
        one.outputs.retry()
        await until(lambda: lamp.shown == [("lamp", ON)], 1.0)
        assert len(other.shown) == 1, "nobody else is disturbed"


async def test_every_level_is_asserted_again_also_beside_a_slot_that_never_rests() -> None:
    board = Slate()
    async with bench(FAST, board=board) as one:
        one.outputs.want(Desired(Point("board"), ON))
        one.outputs.want(Desired(Point("board"), Display(("A001",))))
        await until(lambda: board.shown.count(("board", ON)) >= 3)
        board.shown.clear()
        number = 0
        while board.shown.count(("board", ON)) < 3:
            number += 1
            one.outputs.want(Desired(Point("board"), Display((f"A{number:03d}",))))
            await asyncio.sleep(0.001)
            assert number < 3000, "a busy display starves the lamp"


async def test_a_refused_value_is_tried_again_after_a_minute() -> None:
    lamp = Slate()
    lamp.error = Refused("the wire garbled it")
    async with bench(FAST, lamp=lamp) as one:
        one.outputs.want(Desired(Point("lamp"), ON))
        await until(lambda: one.errors == [("lamp", "refused")])
        lamp.error = None
        await until(lambda: lamp.shown.count(("lamp", ON)) >= 3)


async def test_a_refused_value_is_not_tried_at_once_unless_it_changes_or_the_device_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edged.daemon.outputs.REFUSED_S", 1e6)
    lamp = Slate()
    lamp.error = Refused("no such colour")
    async with bench(FAST, lamp=lamp) as one:
        one.outputs.want(Desired(Point("lamp/0"), ON))
        await until(lambda: one.errors == [("lamp", "refused")])
        lamp.error = None
        one.outputs.want(Desired(Point("lamp/1"), ON))
        await until(lambda: lamp.shown.count(("lamp/1", ON)) >= 4)
        assert lamp.tried.count(("lamp/0", ON)) == 1
        one.outputs.want(Desired(Point("lamp/0"), OFF))
        await until(lambda: lamp.shown.count(("lamp/0", OFF)) >= 3)
        lamp.error = Refused("again")
        one.outputs.want(Desired(Point("lamp/0"), ON))
        await until(lambda: len(one.errors) >= 2)
        lamp.error = None
        one.outputs.returned("lamp")
        await until(lambda: lamp.shown.count(("lamp/0", ON)) >= 3)


async def test_actions_happen_once_in_order_and_say_how_they_ended() -> None:
    voice = Slate()
    async with bench(FAST, voice=voice) as one:
        for number in range(3):
            one.outputs.act(announcement(number))
        await until(lambda: len(one.events) == 3)
        assert one.events == [CommandDone(f"say-{number}") for number in range(3)]
        for error, fault in ((Refused("no paper"), "refused"), (Unreachable("off"), "unreachable")):
            voice.act_error = error
            one.outputs.act(announcement(7))
            await until(lambda: one.errors[-1:] == [("voice", fault)])
            assert one.events[-1] == CommandFailed("say-7", str(error))
        voice.act_error = None
        one.outputs.returned("voice")
        one.outputs.want(Desired(Point("voice"), ON))
        await until(lambda: len(voice.shown) >= 3)
        assert len(voice.acted) == 5, "nothing is tried twice"
        assert len(one.events) == 5


async def test_an_action_for_nobody_fails_at_once() -> None:
    async with bench() as one:
        one.outputs.act(announcement(1))
        assert one.events == [CommandFailed("say-1", "no such device")]


async def test_an_action_without_an_answer_fails_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs_module, "ACT_DEADLINE_S", 0.02)
    voice = Slate()
    voice.acting.clear()
    async with bench(voice=voice) as one:
        one.outputs.act(announcement(1))
        await until(lambda: one.events == [CommandFailed("say-1", "no answer in time")])


async def test_a_queue_of_actions_has_an_end_and_the_oldest_gives_way() -> None:
    voice = Slate()
    voice.acting.clear()
    async with bench(voice=voice) as one:
        one.outputs.act(announcement(0))
        await until(lambda: len(voice.acted) == 1)
        for number in range(1, ACTIONS_MAX + 3):
            one.outputs.act(announcement(number))
        assert one.events == [CommandFailed(f"say-{n}", "too far behind") for n in (1, 2)]
        voice.acting.set()
        await until(lambda: len(one.events) == ACTIONS_MAX + 3)
        assert len({event.id for event in one.events if isinstance(event, CommandDone)}) == ACTIONS_MAX + 1


async def test_a_call_that_waited_too_long_is_not_spoken_but_a_ticket_is_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outputs_module, "SAY_AGE_MAX_S", -1.0)
    device = Slate()
    async with bench(voice=device) as one:
        one.outputs.act(announcement(1))
        one.outputs.act(Action("print-1", Point("voice"), Print("A001", "tax", 0)))
        one.outputs.act(Action("page-1", Point("voice"), Page("chen", "tax", "w2", "请", "please")))
        await until(lambda: len(one.events) == 3)
        assert one.events[0] == CommandFailed("say-1", "too late to be spoken")
        assert [action.id for action in device.acted] == ["print-1", "page-1"]


async def test_a_slow_announcement_never_delays_a_lamp() -> None:
    device = Slate()
    device.acting.clear()
    async with bench(tower=device) as one:
        one.outputs.act(Action("a", Point("tower"), Say("", "", "A001")))
        await until(lambda: len(device.acted) == 1)
        one.outputs.want(Desired(Point("tower/0"), ON))
        await until(lambda: device.shown == [("tower/0", ON)], 0.5)
        assert one.events == []


async def test_a_driver_with_a_bug_leaves_no_action_without_an_outcome() -> None:
    """``act`` fails, or ``show`` does while an action is under way; the supervisor runs the worker again."""
    device = Slate()
    async with bench() as one:
        worker: Worker = one.outputs.attach("tower", device)
        device.act_error = KeyError("a bug")
        worker.act(Action("a", Point("tower"), Say("", "", "A001")))
        with pytest.raises(ExceptionGroup):
            await worker.run()
        assert one.outcome("a") == [CommandFailed("a", "driver failed: KeyError")]

        device.act_error = None
        device.acting.clear()
        worker.act(Action("b", Point("tower"), Say("", "", "A002")))
        worker.want(Point("tower/0"), ON)
        device.error = KeyError("another")
        with pytest.raises(ExceptionGroup):
            await worker.run()
        device.error = None
        again = asyncio.get_running_loop().create_task(worker.run())
        await until(lambda: device.shown == [("tower/0", ON)])
        assert one.outcome("b") == [CommandFailed("b", "interrupted")]
        again.cancel()


async def test_a_device_that_leaves_the_configuration_ends_its_actions() -> None:
    device = Slate()
    device.acting.clear()
    async with bench(voice=device) as one:
        one.outputs.act(announcement(1))
        one.outputs.act(announcement(2))
        await until(lambda: len(device.acted) == 1)
        one.workers["voice"].cancel()
        one.outputs.detach("voice")
        await asyncio.wait(one.workers.values())
        assert one.events == [CommandFailed(f"say-{n}", "device left the configuration") for n in (1, 2)]
        one.outputs.act(announcement(3))
        one.outputs.want(Desired(Point("voice"), ON))
        assert one.events[-1] == CommandFailed("say-3", "no such device")


async def test_the_way_of_an_input_is_measured_once_and_only_where_it_ended_well() -> None:
    lamp = Slate()
    async with bench(FAST, lamp=lamp) as one:
        one.outputs.want(Desired(Point("lamp/0"), ON), perf_s() - 0.25)
        one.outputs.want(Desired(Point("lamp/1"), ON))
        await until(lambda: lamp.shown.count(("lamp/0", ON)) >= 3)
        ((device, seconds),) = one.measured
        assert device == "lamp"
        assert 0.25 <= seconds < 1.25
        lamp.error = Unreachable("gone")
        one.outputs.want(Desired(Point("lamp/0"), OFF), perf_s())
        await until(lambda: one.errors != [])
        lamp.error = None
        await until(lambda: ("lamp/0", OFF) in lamp.shown)
        assert len(one.measured) == 1
