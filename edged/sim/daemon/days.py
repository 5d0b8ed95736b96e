"""Runs simulated days of a whole daemon: people and faults, then a time without faults, then the final checks. The same
seed gives the same day.

The days are shorter than those that simulate the core alone, because simulating a whole daemon is slower.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import structlog
from msgspec import structs

from edged import clock
from edged.config import HallConfig, load
from edged.core.model.point import Point, parts_of
from edged.core.model.policy import Policy
from edged.core.signage.signs import point_of_slot
from edged.links.chance import drawing
from edged.sim.arrivals import arrivals
from edged.sim.daemon.daemon_world import DaemonWorld
from edged.sim.daemon.fault_injector import FaultInjector
from edged.sim.daemon.faults import DaemonFaults
from edged.sim.daemon.log import WorldLog
from edged.sim.daemon.loop import VirtualLoop
from edged.sim.verdict import shows
from edged.sim.worlds.days import DAY_MS, FIRST_DAY_MS, OPENS_H, WorldVerdict, day_and_time
from edged.sim.worlds.people import staff_hall
from edged.sim.worlds.world import HOUR_MS, MINUTE_MS, Process
from edged.store import database
from edged.store.replay import replay

FAULTS_H = 2.0  # hours with arrivals and faults
SETTLES_MS = 3 * HOUR_MS  # limit, in hall time, for the hall to recover after the faults have ended
OPENS_MS = 5 * MINUTE_MS  # after the daemon started
CLOSES_MS = 20 * MINUTE_MS
CHECK_MS = 5_000  # between checks of READY and the watchdog
HALL = Path(__file__).with_name("hall.toml")
FAST = Path("/dev/shm")  # noqa: S108  (the disk that fails is a model; the real one need not be slow)


def live(file: Path, seed: int, days: int, policy: Policy | None = None) -> WorldVerdict:
    """Simulate ``days`` days of a daemon that runs with the hall.toml ``file``. A broken promise (see ``checker.py``)
    is returned in the verdict, not raised. ``policy`` None: the default one.
    """
    written = WorldLog()
    loop = VirtualLoop()
    start_day = Random(f"{seed}/calendar").randrange(0, 120)
    base_ms = FIRST_DAY_MS + start_day * DAY_MS + round(OPENS_H * HOUR_MS)
    day = _DaemonDays(seed, base_ms, written)
    with ExitStack() as stack:
        root = FAST if FAST.is_dir() else None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edged-world-", dir=root)))
        stack.enter_context(clock.reading(loop.time, day.wall_ns))
        stack.enter_context(drawing(Random(f"{seed}/jitter").random))
        stack.enter_context(_log_to(written))
        broken = where = None
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(day.run(file, folder, days, policy))
        except BaseExceptionGroup as group:
            broken, where = _first(group)
        except Exception as error:  # noqa: BLE001 (whatever breaks is the finding)
            broken, where = f"{type(error).__name__}: {error}", traceback.format_exc(limit=-6)
        if broken is None and loop.wrong:
            broken = f"AssertionError: caught: {loop.wrong[0]}"
    return day.verdict(days, broken, "\n".join([where or "", *written.last]) if broken else None)


def live_daemon(file: Path, days: int, seed: int) -> WorldVerdict:
    """``live`` with its parameters in the order that ``campaign`` needs."""
    return live(file, seed, days)


class Broken(Exception):
    """The daemon broke one of its promises (rules that must always hold, see ``checker.py``). ``where``: the end of the
    traceback, as text.
    """

    def __init__(self, text: str, where: str) -> None:
        super().__init__(text)
        self.where = where


class _DaemonDays:
    def __init__(self, seed: int, base_ms: int, log: WorldLog) -> None:
        self._seed = seed
        self._log = log
        self._base_ms = base_ms
        self._world: DaemonWorld | None = None
        self._digest = hashlib.sha256()

    async def run(self, file: Path, folder: Path, days: int, policy: Policy | None) -> None:
        config = _placed(load(file), folder)
        world = self._world = DaemonWorld(config, self._seed, folder, self._true_ms, self._log)
        world.centre.write_keys(folder)
        mischief = FaultInjector(world)
        base = Policy() if policy is None else policy
        try:
            async with asyncio.TaskGroup() as tasks:
                far = tasks.create_task(world.fakes.run())
                await asyncio.sleep(0)
                lives = tasks.create_task(world.live(tasks))
                centre = tasks.create_task(world.centre.run())
                world.centre.push(base)
                for day in range(days):
                    await self._day(world, mischief, day, base)
                await self._leave(world, lives)
                for task in (far, centre):
                    task.cancel()
        finally:
            world.disk.unregister()
        self._judge_journal(config)

    def wall_ns(self) -> int:
        """What the simulated machine's wall clock shows, in ns since 1970. A fault may have set it wrong."""
        wrong_ms = 0 if self._world is None else self._world.clock_wrong_ms
        return (self._true_ms() + wrong_ms) * 1_000_000

    def _true_ms(self) -> int:
        world = self._world
        return self._base_ms + (0 if world is None else world.now_ms)

    async def _day(self, world: DaemonWorld, mischief: FaultInjector, day: int, base: Policy) -> None:
        begin_ms = day * DAY_MS + OPENS_MS
        if day:
            world.faults = DaemonFaults.draw(Random(f"{world.seed}/faults"))
            mischief.morning()
        await _until(world, begin_ms)
        mischief.begin()
        closing = [False]
        staff_hall(world, world.dice, day, lambda: closing[0])
        world.start(visitors(world, day))
        await _until(world, begin_ms + round(FAULTS_H * HOUR_MS))
        mischief.end()
        assert world.centre.push(base), "the default policy must be one that may be pushed"
        await self._settle(world)
        closing[0] = True
        await _until(world, world.now_ms + CLOSES_MS)

    async def _settle(self, world: DaemonWorld) -> None:
        """Let time pass without faults until everything has recovered (see ``unsettled``). Raises ``AssertionError`` if
        that takes longer than ``SETTLES_MS``.
        """
        end_ms = world.now_ms + SETTLES_MS
        left = ["nothing was looked at"]
        while left and world.now_ms < end_ms:
            await _until(world, world.now_ms + 5 * MINUTE_MS)
            left = unsettled(world)
        assert not left, f"liveness: {SETTLES_MS // MINUTE_MS} min after the faults: {len(left)}: {left[:3]}"

    async def _leave(self, world: DaemonWorld, lives: asyncio.Task[None]) -> None:
        """Stop the daemon cleanly for the last time, and make the last checks. ``lives``: the task that runs and
        restarts the daemon.
        """
        world.over = True
        world.stop()
        await asyncio.wait({lives}, timeout=60)
        assert lives.done(), "leave: the daemon did not end"
        world.checker.ended()

    def _judge_journal(self, config: HallConfig) -> None:
        """Replay the last process's journal and check that the core commands the same again. The end of the journal's
        hash chain is added to the digest of this simulation, which shows whether two runs did the same.
        """
        path = Path(config.store.path)
        result = replay(path)
        assert result.identical, f"replay: {result.first_difference}"
        connection = database.connect(path, read_only=True)
        try:
            chain = connection.execute("SELECT chain FROM steps ORDER BY seq DESC LIMIT 1").get
        finally:
            connection.close(True)
        self._digest.update(chain or b"")

    def verdict(self, days: int, broken: str | None, where: str | None) -> WorldVerdict:
        world = self._world
        if world is None:
            return WorldVerdict(self._seed, days, 0, 0, 0, {}, "", broken, where)
        at = day_and_time(world.now_ms + round(OPENS_H * HOUR_MS))
        return WorldVerdict(
            self._seed,
            days,
            world.checker.steps,
            0,
            len(world.checker.tickets),
            DaemonFaults.draw(Random(f"{self._seed}/faults")).rates(),
            self._digest.hexdigest()[:16],
            broken and f"{at}: {broken}",
            where,
        )


def unsettled(world: DaemonWorld) -> list[str]:
    """Return a line for each thing that has not recovered yet: waiting visitors, wrong outputs, devices that the hall
    believes lost, alarms about the configuration, events that the city lacks, a pushed policy that is not in force.
    """
    app = world.app
    if app is None:
        return ["no daemon runs"]
    state = app.engine.state
    left = [f"{one.number} waits" for one in state.tickets.values() if one.state in ("WAITING", "CALLED")]
    for key, value in state.shown.items():
        device, channel = parts_of(point_of_slot(key))
        if device != "centre" and not shows(world.config, world.fakes, device, channel, value):
            left.append(f"{key} should show {value}")
    taken_back = world.centre.version in {one.version for one in state.left}
    if state.policy_version != world.centre.version and not taken_back:
        left.append(f"policy {state.policy_version} in force, {world.centre.version} pushed")
    for name, fake in world.fakes.json.items():
        known = state.devices.get(Point(name))
        if fake.online and known is not None and not known.up:
            left.append(f"{name} is taken for lost: {known.reason}")
    refused = [one for one in state.alarms if one.startswith(("config-", "not-kept"))]
    left += [f"{one} stands" for one in refused]
    uplink = app.office.uplink
    if world.centre.acknowledged != uplink.acknowledged_upto or uplink.backlog > 10:
        left.append(f"the centre has {world.centre.acknowledged}, {uplink.backlog} events wait")
    return left


def visitors(world: DaemonWorld, day: int) -> Process:
    """Let visitors take numbers: at a dispenser that asks the hall for numbers, one that prints its own, and a serial
    kiosk with buttons.
    """
    opened_ms = world.now_ms
    share = Random(f"{world.seed}/{day}/crowd").uniform(0.3, 1.3)
    chosen = Random(f"{world.seed}/{day}/come")
    for coming in arrivals(world.site, world.seed * 1000 + day, FAULTS_H):
        if chosen.random() < share:
            yield max(1, opened_ms + round(coming.at_s * 1000) - world.now_ms)
            world.fakes.came += 1
            world.take_ticket(coming.service, coming.priority, chosen)


async def _until(world: DaemonWorld, until_ms: int) -> None:
    while world.now_ms < until_ms:
        await asyncio.sleep(min(CHECK_MS, until_ms - world.now_ms) / 1000)
        world.check_deadlines()
        if world.broken is not None:
            raise Broken(world.broken, world.where)
        assert not world.centre.wrong, world.centre.wrong[0]


def _placed(config: HallConfig, folder: Path) -> HallConfig:
    """A copy of ``config`` with its journal and keys in ``folder``."""
    store = structs.replace(config.store, path=str(folder / "hall.db"))
    policy = structs.replace(config.policy, keys=str(folder / "city.pub.json"))
    return replace(config, store=store, policy=policy)


def _first(group: BaseExceptionGroup[Any]) -> tuple[str, str]:
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    if isinstance(leaf, Broken):
        return str(leaf), leaf.where
    return f"{type(leaf).__name__}: {leaf}", "".join(traceback.format_exception(leaf, limit=-6))


@contextmanager
def _log_to(written: WorldLog) -> Iterator[None]:
    """Send the daemon's log to ``written`` instead of the terminal, inside the ``with`` block."""

    def keep(_logger: Any, method: str, event: Any) -> Any:
        written.write(method, dict(event))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[keep])
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        structlog.configure(**before)
