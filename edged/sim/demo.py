"""Runs a whole hall on this machine: broker, simulated devices on real lines, simulated people, and the real daemon.

The daemon is a child process, started as on a site (``edged run``) and restarted when it ends, as systemd would.
Everything the demo writes is in one directory: hall.toml, keys, journal, logs, serial ports.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from edged.central.envelope import private_pem, public_entry
from edged.clock import Clock, Warp, monotonic_s, wall_ms
from edged.config import HallConfig, load
from edged.core.model.point import Point, parts_of
from edged.core.model.site import Site
from edged.sim import given_broker
from edged.sim.arrivals import Arrival, arrivals
from edged.sim.broker import EmbeddedBroker, free_port
from edged.sim.centre import DemoCentre
from edged.sim.controls import Controls, Processes, Reply
from edged.sim.given_broker import BrokerPlace
from edged.sim.people import DemoClerk, Helper, visit
from edged.sim.rota import Rota
from edged.sim.story import Cast, Story, look_after_cases, manage
from edged.sim.summary import Summary, summarise
from edged.sim.tally import DemoTotals, Tail
from edged.sim.verdict import slots_wrong
from edged.sim.view import Scene
from edged.sim.wires import HallWires
from edged.store.notes import Unreadable
from edged.store.replay import inputs_by_source

DAY = datetime(2026, 11, 23, tzinfo=ZoneInfo("Asia/Shanghai"))  # a Monday
OPENS_MIN = 8 * 60 + 30  # as configs/policy-demo.json says
SILENT_STAFF = "chen"  # first of the roster for taxes; never answers a page
CONSULTS, CONSULTANT = "w13", "林芳"  # a tidal window at rest whose clerk answers questions (业务咨询)
DYING_BAR = "led-biz"
BAR_DIES_S, BAR_DEAD_S = 1500.0, 600.0  # hall seconds after opening
START_REAL_S = 20.0  # for the daemon to serve
RESTART_REAL_S = 1.0  # systemd waits 2 s
STOP_REAL_S = 5.0
SETTLE_REAL_S = 2.0  # after the last key, for everything under way to arrive
DUTY_NAME, DUTY_PIN = "赵敏", "482915"  # who may act at /duty of the demo's pages
BROKER_AWAY_REAL_S = 3.0  # until a killed broker is started again
CONVERGE_REAL_S = 15.0  # limit for every device to show the right thing, even on a busy machine
OBSERVATIONS = 5  # of the devices in each comparison
RECOVER_REAL_S = 5.0  # after a start of the daemon, for every device to be found again
POLL_REAL_S = 0.25


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of ``edged demo``. ``speed``: hall seconds in a real second; ``hours``: hall hours to run;
    ``broker``: address of the broker to use (``mqtt://host:port``), None: start our own.

    ``starts_min``: the hall's time at the start, in minutes after midnight. ``broker_ca``: PEM file of the authority
    that signed the broker's certificate.
    """

    directory: Path
    seed: int
    speed: float
    hours: float
    broker: str | None
    starts_min: int = OPENS_MIN - 10
    broker_ca: Path | None = None


Announce = Callable[[Path, Warp], AbstractContextManager[object]]


class Demo:
    """One run of the demo: ``await run(show)``; ``show`` is called with a ``Scene`` (what to draw) a few times a
    second.

    ``announce(path of hall.toml, warp)`` returns a context manager; inside it other commands find this hall. ``warp``
    is the hall's faster clock.
    """

    def __init__(self, settings: Settings, announce: Announce) -> None:
        self.settings = settings
        self._announce = announce
        self.config_file = settings.directory / "hall.toml"
        self.tally = DemoTotals()
        self.daemon_state = "starting"
        self.pid: int | None = None
        start = DAY + timedelta(minutes=settings.starts_min)
        self.warp = Warp(settings.speed, wall_ms(), int(start.timestamp() * 1000))
        self.clock = Clock(0, self.warp)
        self._stopping = False
        self._started_s = 0.0
        self._process: asyncio.subprocess.Process | None = None
        self.pages: str | None = None  # URL of the pages, if they can be served
        self.touch: str | None = None  # URL of the page of controls
        self._own_broker: EmbeddedBroker | None = None

    async def run(self, show: Callable[[Scene], None]) -> Summary:
        """Run the whole day; returns the summary. Raises ``RuntimeError``, whose text says what to do, if a part cannot
        start.
        """
        async with AsyncExitStack() as stack:
            place = await self._broker(stack)
            config = self._write_config(place)
            stack.enter_context(self._announce(self.config_file, self.warp))
            await self._open_pages(stack, config)
            self.wires = HallWires(config, self.clock, self.settings.seed, place)
            self.centre = DemoCentre(config.hall, place, self.settings.directory, self.clock.wall_ms)
            self.controls = self._controls(config)
            tail = Tail(self._journal)
            stack.callback(tail.close)
            async with asyncio.TaskGroup() as tasks:
                fakes = tasks.create_task(self.wires.fakes.run())
                await self.wires.fakes.fleet.connected.wait()
                keeper = tasks.create_task(self._keep_daemon())
                watcher = tasks.create_task(self._watch(config, tail, show))
                centre = tasks.create_task(self.centre.run())
                await self._serving()
                await self.centre.bring_in_force(self._policy)
                self._day_from_s = self.clock.now_s()
                people = tasks.create_task(self._people(config))
                hands = [tasks.create_task(self.controls.run()), *self._open_controls(tasks)]
                await self.clock.sleep(self.settings.hours * 3600)
                people.cancel()
                await _ended(hands)
                end_ms = await self._settle(config, tail)
                await self._stop_daemon(tail)
                for task in (watcher, keeper, centre):
                    task.cancel()
                summary = summarise(config, self.wires.fakes, self._journal, self.settings, end_ms)
                summary["turned_away"] = self.wires.turned_away
                summary["events"] = {"told": self.tally.events, "acknowledged": self.centre.acknowledged}
                fakes.cancel()
            return summary

    # -- parts --

    @property
    def _journal(self) -> Path:
        return self.settings.directory / "demo.db"

    async def _broker(self, stack: AsyncExitStack) -> BrokerPlace:
        if self.settings.broker is not None:
            place = given_broker.read(self.settings.broker, self.settings.broker_ca)
            await given_broker.check(place)
            return place
        broker = self._own_broker = await stack.enter_async_context(EmbeddedBroker())
        return BrokerPlace("127.0.0.1", broker.port)

    def _write_config(self, broker: BrokerPlace) -> HallConfig:
        """Write and load the demo's hall.toml with this run's broker and ports. Also write the key pairs with which
        city and duty manager sign.
        """
        text = files("configs").joinpath("hall-demo.toml").read_text(encoding="utf-8")
        for before, after in (
            ('host = "127.0.0.1"\nport = 1883', f'host = "{broker.host}"\nport = {broker.port}'),
            ("port = 9464", f"port = {free_port()}"),
            ("port = 9465", self._pages_keys()),
            ("[duty]\n", '[duty]\nkeys = "duty.pub.json"\n'),
            ("tcp://127.0.0.1:1502", f"tcp://127.0.0.1:{free_port()}"),
        ):
            if before not in text:
                raise RuntimeError(f"configs/hall-demo.toml no longer holds {before!r}")
            text = text.replace(before, after)
        if self.settings.broker is not None:
            text = text.replace('protocol = "3.1.1"', 'protocol = "5"')
            named = 'username = "edged"'
            if broker.username is not None or broker.ca_file is not None:
                line = next(one for one in text.splitlines() if one.startswith(named))
                own = "" if broker.username is not None else f"{named}\n"
                text = text.replace(f"{line}\n", own + broker.toml(self.settings.directory), 1)
        self.config_file.write_text(text, encoding="utf-8")
        write_keys(self.settings.directory, "city")
        write_keys(self.settings.directory, "duty")
        return load(self.config_file)

    def _pages_keys(self) -> str:
        """Settings of ``[pages]`` as lines of TOML: its port, the files of the duty manager's key and PINs and, if the
        pages can be served, the listener for visitors' phones.
        """
        tickets = free_port()
        lines = (
            f"port = {free_port()}",
            'duty_key = "duty.key"',
            'pins = "pins.json"',
            f'public_url = "http://127.0.0.1:{tickets}"',
            f"tickets_port = {tickets}",
        )
        return "\n".join(lines if _can_serve_pages() else lines[:3])

    async def _people(self, config: HallConfig) -> None:
        seed, site, wires = self.settings.seed, config.site, self.wires
        rota = Rota(site, self._policy["body"]["hours"], self._minute)
        regular = [window for window in site.windows if not window.tidal]
        clerks = {window.id: DemoClerk(wires, site, window, seed, rota) for window in regular}
        cast = Cast(wires, self.centre, clerks, rota, seed)
        async with asyncio.TaskGroup() as crowd:
            for clerk in clerks.values():
                crowd.create_task(clerk.work(None, lambda: False))
            desk = next(window for window in site.windows if window.id == CONSULTS)
            crowd.create_task(DemoClerk(wires, site, desk, seed).work(CONSULTANT, lambda: False))
            for staff in site.staff:
                answers = self.controls.answers if staff.id != SILENT_STAFF else _never
                crowd.create_task(Helper(wires, site, staff.id, seed).work(answers))
            crowd.create_task(visit(wires, self._visitors(site)))
            crowd.create_task(wires.fakes.count_people())
            crowd.create_task(self._kill_a_bar())
            crowd.create_task(manage(wires, seed))
            crowd.create_task(look_after_cases(wires, site, seed))
            crowd.create_task(Story(cast, self.settings.starts_min, self.clock.wall_ms).run())

    def _visitors(self, site: Site) -> list[Arrival]:
        """The visitors who come from now to the end of the hall's day; their ``at_s`` count from now."""
        passed_s = (self._minute() - OPENS_MIN) * 60
        coming = arrivals(site, self.settings.seed, self.settings.hours + max(0.0, passed_s) / 3600)
        return [replace(one, at_s=one.at_s - passed_s) for one in coming if one.at_s >= passed_s]

    def _minute(self) -> float:
        """The hall's time of day, in minutes after midnight."""
        return (self.clock.wall_ms() / 1000 - DAY.timestamp()) / 60

    @property
    def _policy(self) -> dict[str, Any]:
        text = files("configs").joinpath("policy-demo.json").read_text(encoding="utf-8")
        policy: dict[str, Any] = json.loads(text)
        return policy

    async def _kill_a_bar(self) -> None:
        bar = self.wires.fakes.bars[DYING_BAR]
        await self.clock.sleep(BAR_DIES_S)
        bar.alive = False
        await self.clock.sleep(BAR_DEAD_S)
        bar.alive = True

    # -- the daemon --

    async def _keep_daemon(self) -> None:
        """Run ``edged run``, and restart it whenever it ends before the demo does."""
        log = (self.settings.directory / "edged.log").open("ab")
        try:
            while not self._stopping:
                command = [sys.executable, "-m", "edged", "run", "--config", str(self.config_file)]
                pipe = asyncio.subprocess.PIPE  # no writer: it ends when the demo ends
                self._process = await asyncio.create_subprocess_exec(
                    *command, "--warp", str(self.warp), "--child", stdin=pipe, stdout=log, stderr=log
                )
                self.pid = self._process.pid
                self.daemon_state = f"serving, pid {self.pid}"
                self._started_s = monotonic_s()
                code = await self._process.wait()
                if self._stopping:
                    return
                self.wires.fakes.daemon_died(self._journalled_inputs())
                self.daemon_state = f"ended with {code}, starting again"
                await asyncio.sleep(RESTART_REAL_S)
        finally:
            if self._process is not None and self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
            log.close()

    async def _serving(self) -> None:
        deadline_s = monotonic_s() + START_REAL_S
        while not self.tally.areas:
            if monotonic_s() > deadline_s:
                log = self.settings.directory / "edged.log"
                raise RuntimeError(f"the daemon does not serve; see {log}")
            await asyncio.sleep(POLL_REAL_S / 5)

    async def _settle(self, config: HallConfig, tail: Tail) -> int:
        """At the end of the day, wait until every output has reached its device, even if the daemon has just been
        killed.

        Returns the hall time (ms) at which every device showed the right thing, or at which the wait ended without
        success.
        """
        await self.wires.fakes.fleet.drained()
        await asyncio.sleep(SETTLE_REAL_S)
        while not self._recovered:  # noqa: ASYNC110 (that is another process)
            await asyncio.sleep(POLL_REAL_S)
        deadline_s = monotonic_s() + CONVERGE_REAL_S
        fakes, speed = self.wires.fakes, self.settings.speed
        while True:
            for number in range(OBSERVATIONS):  # a blinking lamp needs several observations
                fakes.observe(anew=number == 0)
                await asyncio.sleep(POLL_REAL_S / OBSERVATIONS)
            for step in tail.read():
                self.tally.step(step)
            now_ms = self.clock.wall_ms() - self.tally.wall_offset_ms
            if not slots_wrong(config, fakes, self.tally.wanted, now_ms, speed) or monotonic_s() > deadline_s:
                return now_ms

    @property
    def _recovered(self) -> bool:
        alive = self._process is not None and self._process.returncode is None
        return alive and monotonic_s() > self._started_s + RECOVER_REAL_S

    def _journalled_inputs(self) -> Counter[Point]:
        """Count the inputs in the journal by point (device or channel); empty if the journal cannot be read."""
        kept: Counter[Point] = Counter()
        with suppress(Unreadable):
            for (point, _kind), count in inputs_by_source(self._journal).items():
                kept[point] += count
        return kept

    async def _stop_daemon(self, tail: Tail) -> None:
        """Stop the daemon with SIGTERM, and read the rest of its journal. Raises ``RuntimeError`` if it does not stop
        in ``STOP_REAL_S``.
        """
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_REAL_S):
                    await process.wait()
            except TimeoutError:
                raise RuntimeError(f"the daemon did not stop within {STOP_REAL_S:.0f} s") from None
        for step in tail.read():
            self.tally.step(step)

    # -- the pages --

    async def _open_pages(self, stack: AsyncExitStack, config: HallConfig) -> None:
        """Start ``edged web``, which serves the hall's web pages, if its libraries are installed. It ends with
        ``stack``.
        """
        if not _can_serve_pages():
            return
        log = stack.enter_context((self.settings.directory / "web.log").open("ab"))
        command = [sys.executable, "-m", "edged", "web", "--config", str(self.config_file)]
        pipe = asyncio.subprocess.PIPE  # no writer: it ends when the demo ends
        process = await asyncio.create_subprocess_exec(
            *command, "--warp", str(self.warp), "--child", stdin=pipe, stdout=log, stderr=log
        )
        self.pages = f"http://127.0.0.1:{config.pages.port}/"
        stack.push_async_callback(_stopped, process)
        await self._give_pin(log)

    async def _give_pin(self, log: BinaryIO) -> None:
        """Set the PIN of the demo's duty manager, for the web pages."""
        words = ["web", "pin", "set", DUTY_NAME, "--config", str(self.config_file)]
        giver = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edged", *words), stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log
        )
        await giver.communicate(f"{DUTY_PIN}\n".encode())

    # -- what may be touched --

    def _controls(self, config: HallConfig) -> Controls:
        kill_broker = None if self._own_broker is None else self._kill_broker
        processes = Processes(self._kill_daemon, kill_broker, self._process_state)
        return Controls(self.wires, config.site, self.centre, self._policy, processes)

    def _open_controls(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Start the web page on which a person can play with the demo, if its libraries are installed; returns its
        task, else [].
        """
        if not _can_serve_pages():
            return []
        from edged.sim.control_page import ControlPage

        page = ControlPage(self.controls)
        self.touch = page.bind()
        return [tasks.create_task(page.run())]

    def _kill_daemon(self) -> Reply:
        process = self._process
        if process is None or process.returncode is not None:
            return "控制器正在重新启动", "The daemon is starting again"
        process.kill()
        return f"已 kill −9 {process.pid}，正在重新启动", f"kill -9 {process.pid}; it is started again"

    async def _kill_broker(self) -> None:
        broker = self._own_broker
        if broker is None or not broker.alive:
            return
        await broker.kill()
        try:
            await asyncio.sleep(BROKER_AWAY_REAL_S)
        finally:
            await broker.start()

    def _process_state(self) -> dict[str, Any]:
        """The state of the demo's processes as JSON values, for the page of controls."""
        return {
            "daemon": self.daemon_state,
            "broker": None if self._own_broker is None else self._own_broker.alive,
            "policy": self.centre.in_force,
            "clock": self._hall_clock(),
            "pages": self.pages,
            "duty": [DUTY_NAME, DUTY_PIN],
        }

    def _hall_clock(self) -> str:
        return datetime.fromtimestamp(self.clock.wall_ms() / 1000, DAY.tzinfo).strftime("%H:%M:%S")

    # -- what is to be seen --

    async def _watch(self, config: HallConfig, tail: Tail, show: Callable[[Scene], None]) -> None:
        while True:
            for step in tail.read():
                self.tally.step(step)
            show(self._scene(config))
            await asyncio.sleep(POLL_REAL_S)

    def _scene(self, config: HallConfig) -> Scene:
        fakes = self.wires.fakes
        lamps = {}
        for window in config.site.windows:
            if window.lamp is not None:
                device, channel = parts_of(window.lamp)
                lamps[window.id] = fakes.relays[device].seen(int(channel))
        leds = {name: bar.shown for name, bar in fakes.bars.items()}
        elapsed_s = self.clock.now_s() - getattr(self, "_day_from_s", self.clock.now_s())
        return Scene(
            site=config.site,
            clock=self._hall_clock(),
            speed=self.settings.speed,
            daemon=self.daemon_state,
            tally=self.tally,
            lamps=lamps,
            leds=leds,
            wall_offset_ms=self.tally.wall_offset_ms + 8 * 3_600_000,
            pages=self.pages,
            touch=self.touch,
            progress=min(1.0, elapsed_s / (self.settings.hours * 3600)),
            acknowledged=self.centre.acknowledged,
        )


def _can_serve_pages() -> bool:
    return all(find_spec(name) is not None for name in ("starlette", "uvicorn"))


def _never() -> bool:
    return False


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel ``tasks`` and wait until all have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _stopped(process: asyncio.subprocess.Process) -> None:
    """Stop a process with SIGTERM, and with SIGKILL if it does not end in time."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_REAL_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def write_keys(directory: Path, name: str) -> None:
    """Write a pair of signing keys into the directory: NAME.key (private) and NAME.pub.json (public). Existing ones are
    left as they are.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if (directory / f"{name}.pub.json").exists():
        return
    key = Ed25519PrivateKey.generate()
    private = directory / f"{name}.key"
    with suppress(FileNotFoundError):
        private.unlink()
    private.touch(mode=0o600)
    private.write_bytes(private_pem(key))
    entry = public_entry(key.public_key(), f"demo {name}")
    (directory / f"{name}.pub.json").write_text(json.dumps({"keys": [entry]}, ensure_ascii=False, indent=2))
