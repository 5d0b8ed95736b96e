"""``edged demo --hall every-device``: uses every device of two halls once, and checks it. The second hall follows
another queue system.

A device is used only after the daemon has found all devices that can be found, so that a lost input is noticed. An
input is right if it is in the journal and had an effect (an unknown code at a scanner: if it was refused). An output is
right if its device shows it. Times are real seconds, unless a name says hall.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from edged.clock import Clock, Warp, monotonic_s, wall_ms
from edged.config import HallConfig, load
from edged.core.model.events import (
    CountRead,
    DeviceBack,
    Event,
    KeyPressed,
    RatingGiven,
    TicketPrinted,
    TicketRequested,
)
from edged.core.model.point import Point, device_of
from edged.observer import Step
from edged.sim.broker import EmbeddedBroker, free_port
from edged.sim.every_device.classes import CLASSES, DeviceClass
from edged.sim.every_device.far_ends import SECRET, FarEnds
from edged.sim.tally import Tail
from edged.store.replay import replay

SPEED = 20.0  # of hall time: the minute that the tidal loop waits before it asks takes three seconds
FIRST_S = 60.0  # until every device was found, on a busy machine
INPUT_S = 20.0  # until an input is in the journal
SHOWN_S = 60.0  # until every output is shown by its device
STOP_S = 10.0
POLL_S = 0.1
GAP_HALL_S = 4.0  # between two touches of one device: a button pressed twice at once counts once
PRESENT_BY_MESSAGE = (
    "mqtt_map",
    "http_counter",
    "milesight_mqtt",
)  # drivers whose devices count as present from their first message
KINDS: dict[type[Event], str] = {
    TicketPrinted: "ticket",
    TicketRequested: "ticket",
    KeyPressed: "key",
    RatingGiven: "rating",
    CountRead: "count",
}
HALL_DAY_MS = 1_795_397_400_000  # 2026-11-23 09:30 in Shanghai, a Monday


@dataclass
class DeviceJournal:
    """What the journals of both halls contain so far: ``found`` devices, ``inputs`` counted by point and kind, and the
    reasons of ``refused`` ones.
    """

    found: set[str] = field(default_factory=set)
    inputs: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)

    def take(self, step: Step) -> None:
        """Count one step of a journal."""
        event = step.event
        if isinstance(event, DeviceBack):
            self.found.add(device_of(event.point))
        elif type(event) in KINDS:
            source = (event.point, KINDS[type(event)])  # type: ignore[union-attr]  # each of them has a point
            self.inputs[source] += 1
            for note in step.notes:
                if note.kind == "ignored":
                    self.refused[source] = str(note.data.get("reason"))


class EveryDevice:
    """One run of the test of every device: ``await run()``. ``directory``: for its files."""

    def __init__(self, directory: Path, report: Callable[[str], object]) -> None:
        """``report`` is called with a line of text for each thing that happens in the run."""
        self._directory = directory
        self._report = report
        self._far = FarEnds()
        self._journalled = DeviceJournal()
        self._shown: dict[str, str] = {}  # by point: the first right output that the device showed
        self._warp = Warp(SPEED, wall_ms(), HALL_DAY_MS)

    async def run(self) -> dict[str, Any]:
        """Run the test; returns the result as JSON values, whose ``good`` says whether every device works.

        Raises ``RuntimeError`` if a part does not start.
        """
        began_s = monotonic_s()
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(EmbeddedBroker())
            addresses = stack.enter_context(self._far.serving())
            hall, followed = self._write(broker.port, addresses)
            self._far.build(hall, followed, Clock(0, self._warp))
            self._tails = [Tail(Path(one.store.path)) for one in (hall, followed)]
            for tail in self._tails:
                stack.callback(tail.close)
            async with asyncio.TaskGroup() as tasks:
                ends = tasks.create_task(self._far.run())
                async with self._processes():
                    await self._wait_found(hall)
                    await self._use_devices()
                    await self._until(self._note_shown, SHOWN_S)
                ends.cancel()
            return self._verdict(hall, followed, monotonic_s() - began_s)

    # -- files and processes --

    def _write(self, port: int, addresses: tuple[str, str, str]) -> tuple[HallConfig, HallConfig]:
        """Write and load hall.toml and followed.toml with free ports. ``port``: of the broker; ``addresses``: URLs of
        chat robot, people counter and other queue system. Also write the files that they name.
        """
        robot, asked, theirs = addresses
        ports: dict[str, str] = {"1883": str(port)}

        def placed(found: re.Match[str]) -> str:
            return found[1] + ports.setdefault(found[2], str(free_port()))

        for name in ("hall.toml", "followed.toml", "bridge.toml"):
            text = files("configs").joinpath("every-device", name).read_text(encoding="utf-8")
            text = text.replace("http://127.0.0.1:1506/count", asked)
            text = text.replace(
                'sockets = "/run/edged-pager"', f"sockets = {json.dumps(str(self._directory))}"
            )
            text = re.sub(r"(tcp://127\.0\.0\.1:|^port = )(\d+)", placed, text, flags=re.M)
            (self._directory / name).write_text(text, encoding="utf-8")
        for name, line in (("robot.url", robot), ("queue.url", theirs), ("counter.secret", SECRET)):
            (self._directory / name).write_text(line + "\n", encoding="utf-8")
        return load(self._directory / "hall.toml"), load(self._directory / "followed.toml")

    @asynccontextmanager
    async def _processes(self) -> AsyncIterator[None]:
        """Inside the ``async with`` block, run both daemons, ``edged pager``, ``edged counters`` and ``edged
        bridge``.
        """
        hall, followed = (
            ["--config", str(self._directory / name)] for name in ("hall.toml", "followed.toml")
        )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._stop)
            self._running: list[asyncio.subprocess.Process] = []
            await self._start("pager", *hall, ready=True)
            address = await self._start("counters", *hall, "--port", "0", ready=True)
            self._far.counters_port = int(address.rstrip("/\n").rpartition(":")[2])
            for config in (hall, followed):
                await self._start("run", *config, "--warp", str(self._warp))
            await self._start("bridge", str(self._directory / "bridge.toml"), *followed, ready=True)
            yield

    async def _start(self, *words: str, ready: bool = False) -> str:
        """Start ``edged WORDS...`` as a process. ``ready``: wait for its first line of output and return it, otherwise
        return "". Raises ``RuntimeError`` if no line comes within ``FIRST_S`` seconds.
        """
        pipe = asyncio.subprocess.PIPE  # no writer: it ends when this process ends
        log = self._directory / f"{words[0]}.log"
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "edged", *words, "--child"),
                stdin=pipe,
                stdout=pipe if ready else file,
                stderr=file,
            )
        self._running.append(process)
        if not ready:
            return ""
        assert process.stdout is not None
        line = ""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_S):
                line = (await process.stdout.readline()).decode()
        if not line:
            raise RuntimeError(f"edged {words[0]} does not serve: {_end_of(log)}")
        return line

    async def _stop(self) -> None:
        for process in reversed(self._running):
            if process.returncode is None:
                process.terminate()
        for process in self._running:
            try:
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        self._read()

    # -- the way --

    def _read(self) -> None:
        for tail in self._tails:
            for step in tail.read():
                self._journalled.take(step)

    async def _until(self, true: Callable[[], bool], within_s: float) -> bool:
        deadline_s = monotonic_s() + within_s
        while not true():
            if monotonic_s() > deadline_s:
                return False
            await asyncio.sleep(POLL_S)
            self._read()
            self._note_shown()
        return True

    async def _wait_found(self, hall: HallConfig) -> None:
        """Wait until the daemon has found every device that can be found (some are silent until they are used). Raises
        ``RuntimeError`` after ``FIRST_S``.
        """
        wanted = {one.id for one in hall.devices if one.driver not in PRESENT_BY_MESSAGE} | {"queue"}
        if not await self._until(lambda: wanted <= self._journalled.found, FIRST_S):
            missing = ", ".join(sorted(wanted - self._journalled.found))
            raise RuntimeError(
                f"not found within {FIRST_S:.0f} s: {missing}; {_end_of(self._directory / 'run.log')}"
            )
        self._report(f"{len(wanted)} devices found; the others are found by what they say")

    async def _use_devices(self) -> None:
        """Use every device that has an input, each after the input of the one before has reached the hall or
        ``INPUT_S`` seconds have passed.
        """
        for one in CLASSES:
            if one.touch is None:
                continue
            for _ in range(one.times):
                done = one.touch(self._far)
                if inspect.isawaitable(done):
                    await done
                await asyncio.sleep(GAP_HALL_S / SPEED)
            kept = await self._until(partial(self._input_arrived, one), INPUT_S)
            refused = self._journalled.refused.get((one.point, one.kind), "")
            self._report(f"{one.point}: {'heard' if kept else 'NOT HEARD'} {refused}")

    def _input_arrived(self, one: DeviceClass) -> bool:
        return one.touch is None or self._journalled.inputs[one.point, one.kind] >= one.inputs

    def _note_shown(self) -> bool:
        """Record the devices that show the right thing now, because some show it only briefly. True once each has shown
        it.
        """
        for one in CLASSES:
            if one.shows is None or one.point in self._shown:
                continue
            seen = one.shows(self._far)
            if re.search(one.expects, seen):
                self._shown[one.point] = seen
                self._report(f"{one.point}: shows {' '.join(seen.split())}")
        return all(one.shows is None or one.point in self._shown for one in CLASSES)

    def _verdict(self, hall: HallConfig, followed: HallConfig, took_s: float) -> dict[str, Any]:
        drivers = {one.id: one.driver for one in (*hall.devices, *followed.devices)}
        rows: list[dict[str, Any]] = []
        faults: list[str] = []
        for one in CLASSES:
            seen = "" if one.shows is None else self._shown.get(one.point) or one.shows(self._far)
            driver = drivers[device_of(Point(one.point))]
            row: dict[str, Any] = {"point": one.point, "family": one.family, "driver": driver}
            if one.touch is not None:
                row |= {"kind": one.kind, "heard": self._journalled.inputs[one.point, one.kind]}
            if one.shows is not None:
                row["shows"] = seen
            rows.append(row)
            faults += faults_of(one, self._journalled, seen)
        faults += [
            f"{each.hall}: the journal replays differently"
            for each in (hall, followed)
            if not replay(Path(each.store.path)).identical
        ]
        return {"good": not faults, "faults": faults, "took_s": round(took_s, 1), "devices": rows}


def faults_of(one: DeviceClass, journalled: DeviceJournal, seen: str) -> list[str]:
    """List a device's faults: inputs that did not arrive, a wrong answer of the core (accepted or refused), or ``seen``
    (what it shows) not as expected.
    """
    faults = []
    arrived, refusal = journalled.inputs[one.point, one.kind], journalled.refused.get((one.point, one.kind))
    if one.touch is not None and arrived < one.inputs:
        faults.append(f"{one.point}: {arrived} of {one.inputs} inputs ({one.kind}) reached the hall")
    elif one.touch is not None and refusal != one.refusal:
        faults.append(f"{one.point}: the hall answered {one.kind} with {refusal}, expected {one.refusal}")
    if one.shows is not None and not re.search(one.expects, seen):
        faults.append(f"{one.point}: shows {seen!r}, expected {one.expects}")
    return faults


def _end_of(log: Path) -> str:
    """The last line of a log file."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1] if lines else "it said nothing"
