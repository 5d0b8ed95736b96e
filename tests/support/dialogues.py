"""Records as text what a driver and its device send each other, with the time of each message, in virtual time.

A scene (an async function of a test) runs in a loop whose time jumps from timer to timer: so the pauses, deadlines and
retries of a driver are exact in the text, and take no real time. ``>`` is what the driver sends, ``<`` what the device
answers, ``!`` an event for the core, ``?`` an input that the driver rejects, ``=`` the outcome of a call, ``-`` a
remark of the scene.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from typing import Any
from zlib import crc32

import structlog

from edged import clock
from edged.core.model.commands import Action, Body, Value
from edged.core.model.events import Event
from edged.core.model.losses import Loss
from edged.core.model.point import Point
from edged.driver import DeviceContext, DeviceError, Driver, Unreachable
from edged.links.chance import drawing
from edged.sim.daemon.loop import VirtualLoop

SHOWN_BYTES = 48
NOT_SHOWN = ("event", "effect", "remedy")  # of the log: whole sentences are looked at elsewhere
Far = Callable[[bytes], None]


class Stage:
    """The record of a scene, and the core's side of the driver. ``full``: the inbox accepts no event. ``keeps``: each
    event counts as written to disk at once; otherwise at ``commit``.
    """

    def __init__(self, loop: VirtualLoop) -> None:
        self.lines: list[str] = []
        self.full = False
        self.keeps = True
        self.kept: list[Callable[[], None]] = []
        self._loop = loop
        self.wire = ScriptedWire(self)

    def note(self, mark: str, text: str) -> None:
        self.lines.append(f"{self._loop.time():9.3f} {mark} {text}".rstrip())

    def context(self, device: str, mqtt: Any = None) -> DeviceContext:
        return DeviceContext(
            device,
            "h",
            self._emit,
            lambda reason, detail="": self.note("?", f"{reason} {detail}"),
            asyncio.sleep,
            self._loop.time,
            mqtt,
        )

    def _emit(self, event: Event, ack: Callable[[], None] | None = None) -> bool:
        self.note("!", f"{brief(event)}{' refused: the inbox is full' * self.full}")
        if ack is not None and not self.full:
            self.kept.append(ack)
            if self.keeps:
                self.commit()
        return not self.full

    def commit(self) -> None:
        """Acknowledge all events so far, as if they had been written to disk."""
        kept, self.kept = self.kept, []
        for ack in kept:
            ack()

    async def outcome(self, name: str, call: Awaitable[object]) -> None:
        """Await ``call``, named ``name`` in the record, and record what it returns or the ``DeviceError`` that it
        raises.
        """
        self.note("-", name)
        try:
            result = await call
        except DeviceError as error:
            self.note("=", f"{type(error).__name__} {error.word}: {error}")
        else:
            self.note("=", "done" if result is None else f"done: {result!r}")

    async def show(self, driver: Driver, point: str, value: Value) -> None:
        await self.outcome(f"show {point} {brief(value)}", driver.show(Point(point), value))

    async def act(self, driver: Driver, point: str, body: Body) -> None:
        await self.outcome(f"act {point} {brief(body)}", driver.act(Action("a1", Point(point), body)))


class ScriptedWire:
    """A ``ByteLink`` that a scene controls. ``far`` is called with what the driver sends; ``send`` delivers the
    device's answer.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.far: Far = lambda data: None
        self._on_bytes: Callable[[bytes], None] | None = None
        self._on_state: Callable[[bool, Loss], None] | None = None
        self._why: Loss | None = Loss("port-missing", "not plugged in")

    async def run(self, on_bytes: Callable[[bytes], None], on_state: Callable[[bool, Loss], None]) -> None:
        self._on_bytes, self._on_state = on_bytes, on_state
        on_state(self._why is None, self._why or Loss("", "open"))
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._on_bytes = self._on_state = None

    async def write(self, data: bytes) -> None:
        if self._why is not None:
            raise Unreachable(self._why.detail, self._why.word)
        self._stage.note(">", shown(data))
        self.far(data)

    def reopen(self, why: Loss) -> None:
        self._stage.note(">", f"reopen: {why.word} {why.detail}")
        self.down(*why)
        self.up()

    def up(self) -> None:
        self._why = None
        if self._on_state is not None:
            self._on_state(True, Loss("", "open"))

    def down(self, word: str = "port-missing", detail: str = "unplugged") -> None:
        self._why = Loss(word, detail)
        if self._on_state is not None:
            self._on_state(False, self._why)

    def send(self, data: bytes) -> None:
        """Deliver bytes of the device to the driver now."""
        self._stage.note("<", shown(data))
        if self._on_bytes is not None:
            self._on_bytes(data)


def later(seconds: float, far: Far) -> Far:
    """A function that calls ``far`` with the same bytes ``seconds`` later."""

    def wait(data: bytes) -> None:
        asyncio.get_running_loop().call_later(seconds, far, data)

    return wait


def brief(value: Any) -> str:
    """Format a dataclass without the fields that have their default values."""
    told = (
        f"{one.name}={getattr(value, one.name)!r}"
        for one in fields(value)
        if getattr(value, one.name) != one.default
    )
    return f"{type(value).__name__}({', '.join(told)})"


def shown(data: bytes) -> str:
    if len(data) <= SHOWN_BYTES:
        return data.hex()
    return f"{data[:SHOWN_BYTES].hex()}… {len(data)} bytes, {crc32(data):08x}"


class StageLoop(VirtualLoop):
    """A virtual-time event loop that runs the work for threads at once in its own thread, so that a scene always runs
    alike.
    """

    def run_in_executor(  # type: ignore[override]  # of any function
        self, executor: Any, func: Any, *args: Any
    ) -> Any:
        """Call ``func`` at once; returns a finished future. See asyncio."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whatever the caller is to get
            done.set_exception(error)
        return done


def played(scene: Callable[[Stage], Coroutine[Any, Any, None]]) -> str:
    """Run a scene in virtual time from second 0; returns its record."""
    loop = StageLoop()
    with (
        clock.reading(loop.time, lambda: 1_000_000_000_000_000_000),
        drawing(lambda: 0.5),
        asyncio.Runner(loop_factory=lambda: loop) as runner,
    ):
        stage = Stage(loop)
        runner.run(scene(stage))
    assert loop.wrong == []
    return "".join(f"{line}\n" for line in stage.lines)


@contextmanager
def logged(stage: Stage) -> Iterator[None]:
    """Record log lines in the scene, too, while the block runs (mark ``*``)."""

    def keep(_logger: object, level: str, event: Any) -> Any:
        words = " ".join(f"{key}={value}" for key, value in event.items() if key not in NOT_SHOWN)
        stage.note("*", f"{level} {event['event']} {words}")
        raise structlog.DropEvent

    processors = structlog.get_config()["processors"]
    before = processors.copy()
    processors[:] = [keep]
    try:
        yield
    finally:
        processors[:] = before


class living:
    """Runs drivers while a block runs: ``async with living(driver)``."""

    def __init__(self, *drivers: Driver) -> None:
        self._drivers = drivers
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> None:
        self._tasks = [asyncio.ensure_future(driver.run()) for driver in self._drivers]
        await asyncio.sleep(0.01)

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            if task.done():
                task.result()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
