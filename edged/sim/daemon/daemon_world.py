"""One simulated machine in its hall: the daemon's processes, one after another, and the devices, people and faults.

It implements ``Stage``, the hall as the simulated people of ``edged.sim.worlds`` use it: they press keys of the
drivers' fakes and read what the fakes show.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from devices.mqtt_json.fake import FakeDevice, FakeDispenser, Misbehaviour
from edged.clock import Clock, monotonic_s
from edged.config import HallConfig
from edged.core.model.events import (
    DeviceEvent,
    Key,
    KeyPressed,
    Priority,
    RatingGiven,
    TicketPrinted,
    TicketRequested,
)
from edged.core.model.point import Point, channel_of, parts_of, point_of
from edged.daemon.app import Application
from edged.sim.daemon.broker import Broker
from edged.sim.daemon.centre import SimulatedCentre
from edged.sim.daemon.checker import DaemonChecker
from edged.sim.daemon.disk import Disk
from edged.sim.daemon.far_ends import Machine, MemoryFakes
from edged.sim.daemon.faults import DaemonFaults
from edged.sim.daemon.log import WorldLog
from edged.sim.daemon.loop import VirtualLoop
from edged.sim.people import PageView, PanelView
from edged.sim.wires import CANDLE_KEYS, LED_STATE
from edged.sim.worlds.world import Process
from edged.store.database import StoreError

RESTART_S = 2.0  # systemd's RestartSec
READY_MAX_S = 10.0  # virtual seconds from a start to READY, of which up to 3 are a wait for the broker
FED_MAX_S = 10.5  # limit between two watchdog messages, with some time for the check
GONE_MAX_S = 10.0  # TimeoutStopSec of systemd/edged.service
LATE_S = 25.0  # longest delay: after 30 s a message would look like one of a restarted device
TWO_IN_ONE = ("next-or-recall", "no-show-or-finish")  # keys of panels with only four keys
OWN_FIRST = 500  # first number of a dispenser that prints its own


class DaemonWorld:
    """A simulated hall with the machine on which the daemon runs. Construct it while a ``VirtualLoop`` (an event loop
    in virtual time) runs and ``edged.clock`` reads this loop's time (``clock.reading``). Then run ``live`` in a task
    group and let time pass.
    """

    def __init__(
        self, config: HallConfig, seed: int, folder: Path, wall_ms: Callable[[], int], log: WorldLog
    ) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.loop = loop
        self.config = config
        self.site = config.site
        self.seed = seed
        self.log = log
        self.faults = DaemonFaults.draw(Random(f"{seed}/faults"))
        self.disk = Disk(f"world-{seed}", folder, Random(f"{seed}/disk"))
        self.broker = Broker(loop, self._acknowledged)
        self.fakes = MemoryFakes(config, Clock(), seed, self.broker)
        self.centre = SimulatedCentre(config.hall, self.broker, wall_ms, Random(f"{seed}/centre"))
        self.checker = DaemonChecker(config.site, frozenset(self.fakes.json), wall_ms)
        self.broken: str | None = None
        self.where = ""
        self.app: Application | None = None
        self.spoilt = False  # whether hall.toml has a mistake
        self.over = False  # the daemon is not started again
        self.clock_wrong_ms = 0  # how far the machine's wall clock is off
        self._machine: Machine | None = None
        self._task: asyncio.Task[None] | None = None
        self._born_s = 0.0
        self._died = asyncio.Event()
        self._leaving_s: float | None = None  # when the daemon was told to stop, or killed
        self._killed = False
        self.dice = Random(f"{seed}/wires")
        self._pages: dict[str, list[PageView]] = {}
        self._own: dict[str, int] = {}
        self._prefixes = {service.id: service.prefix for service in config.site.services}
        self._dispensers = [
            point_of(one.id) for one in self.fakes.json.values() if isinstance(one, FakeDispenser)
        ][:2]
        self._panels = {window.id: window for window in config.site.windows}
        self._connect()

    @property
    def numbers(self) -> list[str]:
        """The ticket numbers issued so far."""
        return self.checker.tickets

    @property
    def now_ms(self) -> int:
        """Virtual time in ms since the event loop was made; it is also the hall's time."""
        return round(self.loop.now_s * 1000)

    def fail(self, error: BaseException) -> None:
        """Record ``error`` as a broken promise (a rule that must always hold). The first one ends the simulation; later
        ones are ignored.
        """
        if self.broken is None:
            self.broken = f"{type(error).__name__}: {error}"
            self.where = "".join(traceback.format_exception(error, limit=-8))
        self._died.set()

    # -- processes of the daemon --

    async def live(self, tasks: asyncio.TaskGroup) -> None:
        """Run the daemon, and restart it whenever it ends, until cancelled."""
        self.fakes.fleet.announce_all()  # type: ignore[attr-defined]
        while self.broken is None and not self.over:
            if self._start():
                assert self.app is not None
                self._task = tasks.create_task(self._process(self.app))
                await self._task
            if self.over:
                return
            await asyncio.sleep(RESTART_S + self.dice.random())

    def spoil_configuration(self, spoilt: bool) -> None:
        """Put a mistake into hall.toml, or remove it, and make the daemon reload it."""
        self.spoilt = spoilt
        if self._machine is not None:
            self._machine.spoilt = spoilt
            self._machine.reload()

    def undisturbed(self) -> object:
        """A token to compare later: if it is the same and not False, no connection between devices and daemon broke
        meanwhile. False while a connection is broken.
        """
        return self.broker.state == "up" and self.app is not None and (self.checker.deaths, self.broker.talk)

    def _start(self) -> bool:
        self._killed = False
        self._leaving_s = None
        self.log.begin()
        self.disk.alive = True
        self._machine = Machine(
            self.config, self.broker, self.disk, self.fakes, self.checker, spoilt=self.spoilt
        )
        self._born_s = monotonic_s()
        try:
            self.app = Application(self.config, platform=self._machine)
            self.checker.process_started(self.app)
        except StoreError as error:
            if not (self.disk.full or self.disk.met["fsync"] or self.disk.held):
                self.fail(error)
            return False
        except Exception as error:  # noqa: BLE001 (whatever it is, it is the finding)
            self.fail(error)
            return False
        return True

    async def _process(self, app: Application) -> None:
        try:
            await app.run()
        except asyncio.CancelledError:
            if not self._killed:
                raise
        except BaseExceptionGroup as group:
            self._judge_end(group)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is the finding)
            self.fail(error)
        finally:
            self.app = None
            self.checker.deaths += 1

    def _judge_end(self, group: BaseExceptionGroup[BaseException]) -> None:
        if self._killed:
            return
        store, other = group.split(StoreError)
        if other is None and store is not None and (self.disk.met["fsync"] or self.disk.full):
            return
        leaf: BaseException = other or group
        while isinstance(leaf, BaseExceptionGroup):
            leaf = leaf.exceptions[0]
        self.fail(leaf)

    def stop(self) -> None:
        """Stop the daemon cleanly, as SIGTERM does; the simulated service manager then starts it again, unless ``over``
        is set.
        """
        if self.app is not None and self._leaving_s is None:
            self._leaving_s = monotonic_s()
            self.app.stop.set()

    def kill(self, torn: bool, then: Callable[[], None] = lambda: None) -> None:
        """Kill the daemon at once. ``torn``: also cut the power, so that the disk keeps only a random part of what was
        not synced.

        ``then``: called after the daemon has died and before the next one starts, while nobody has the journal open.
        """
        if self.app is None or self._task is None or self._killed:
            return
        self._killed = True
        self._leaving_s = monotonic_s()
        self.disk.alive = False
        self.broker.hang_up("the controller is gone")
        self._task.cancel()
        if torn:
            self._task.add_done_callback(lambda _task: self.disk.cut())
        self._task.add_done_callback(lambda _task: then())

    def lose_end(self, torn: bool) -> None:
        """Kill the daemon and let the disk lose the last transactions of its journal, although they were synced.
        ``torn``: also cut the power, as for ``kill``.
        """

        def lose() -> None:
            self.disk.lose_end(Path(self.config.store.path))
            self.checker.end_lost()

        self.kill(torn, lose)

    def freeze(self, seconds: float) -> None:
        """Freeze the whole machine, including the service manager, for ``seconds`` of virtual time: the clock goes on,
        nothing runs.
        """
        self.loop.jump(seconds)
        self._born_s += seconds
        self._leaving_s = None if self._leaving_s is None else self._leaving_s + seconds
        if self._machine is not None and self._machine.service.fed_s is not None:
            self._machine.service.fed_s += seconds

    def check_deadlines(self) -> None:
        """Check the daemon's deadlines now: READY in time after a start, the watchdog fed, the end in time after a
        stop; also that every lost log line was counted. Raises ``AssertionError`` if one of these is not true.
        """
        machine = self._machine
        self.log.check()
        if machine is None or self.app is None or self.broken is not None:
            return
        now_s, ready_s, gone_s = monotonic_s(), machine.service.ready_s, self._leaving_s
        if ready_s is None:
            late = gone_s is None and now_s - self._born_s > READY_MAX_S
            assert not late, f"ready: not {READY_MAX_S:g} s after the start"
        assert gone_s is None or now_s - gone_s <= GONE_MAX_S, (
            f"leave: still there after {now_s - gone_s:.0f} s"
        )
        if ready_s is not None and gone_s is None:
            fed_s = machine.service.fed_s or ready_s
            assert now_s - fed_s <= FED_MAX_S, f"watchdog: not fed for {now_s - fed_s:.1f} s"

    # -- people --

    def start(self, process: Process, delay_ms: int = 0) -> None:
        """Start a process of the simulation (a generator that yields how many ms it sleeps) in ``delay_ms``."""

        def step() -> None:
            if self.broken is not None:
                return
            pause_ms = next(process, None)
            if pause_ms is not None:
                self.loop.call_later(max(1, pause_ms) / 1000, step)

        self.loop.call_later(delay_ms / 1000, step)

    def panel(self, window: str) -> PanelView | None:
        """Read what a window's panel shows; None without a panel, while the panel is off, and before it showed
        anything.
        """
        point = self._panels[window].panel
        device, channel = parts_of(point or Point(""))
        if device in self.fakes.buses:
            bus = self.fakes.buses[device]
            state = LED_STATE.get(bus.led(channel), "CLOSED")
            board = channel_of(self._panels[window].display or Point(""))
            number = bus.text(board).split("-")[0].strip() if board in bus.units else ""
            return PanelView(state, number or None, 1 if state == "OPEN" else 0)
        fake = self.fakes.json.get(device)
        shown: dict[str, Any] | None = None if fake is None or not fake.online else fake.shown.get("panel")
        return None if shown is None else PanelView(shown["state"], shown.get("number"), shown["waiting"])

    def pages_of(self, staff: str) -> list[PageView]:
        """Every page (the call to a member of staff to open a window) that ``staff`` ever received."""
        return self._pages.setdefault(staff, [])

    def send(self, event: DeviceEvent) -> None:
        """Let a person use a device so that it reports ``event``. Nothing happens if the device is off or has no such
        key.
        """
        device, channel = parts_of(event.point)
        if device in self.fakes.buses:
            if isinstance(event, KeyPressed) and event.key in CANDLE_KEYS:
                key: Key = CANDLE_KEYS[event.key]
                self.fakes.buses[device].press(channel, key)
            return
        fake = self.fakes.json.get(device)
        if fake is None or not fake.online:
            return
        match event:
            case KeyPressed() if event.key not in TWO_IN_ONE:
                fake.report("key", {"key": event.key, "arg": event.arg})
            case RatingGiven():
                fake.report("rating", {"level": event.level})
            case TicketRequested() | TicketPrinted():
                fake.report(*self._taken(event))

    def take_ticket(self, service: str, priority: Priority, rng: Random) -> None:
        """Let a visitor take a ticket. Chosen at random: the dispenser that asks the hall for a number, the one that
        prints its own numbers, or a kiosk button on the serial bus if there is one for this service and the visitor has
        no priority.
        """
        button = next(
            (
                (bus, buttons[service])
                for bus, buttons in self.fakes.buttons.items()
                if service in buttons and priority == "normal"
            ),
            None,
        )
        if button is not None and rng.random() < 0.5:
            self.fakes.buses[button[0]].press_button(button[1])
            return
        asking, printing = self._dispensers
        if rng.random() < 0.5:
            self.send(TicketRequested(asking, service, priority))
            return
        if service not in self._own or rng.random() >= self.faults.repeat_share:
            self._own[service] = self._own.get(service, OWN_FIRST) + 1  # else the last one is printed again
        self.send(
            TicketPrinted(printing, f"{self._prefixes[service]}{self._own[service]:03d}", service, priority)
        )

    def _taken(self, event: TicketRequested | TicketPrinted) -> tuple[str, dict[str, Any]]:
        priority = None if event.priority == "normal" else event.priority
        fields: dict[str, Any] = {"service": event.service, "priority": priority}
        if isinstance(event, TicketPrinted):
            return "ticket", fields | {"number": event.number}
        return "request", fields | {"appointment": event.appointment}

    def _connect(self) -> None:
        """Let the checker see what devices receive, and set how often messages of the devices are repeated or late."""
        self.fakes.fleet.misbehave(
            Misbehaviour(
                self.seed, self.faults.duplicate_share, self.faults.late_share, self.faults.late_share, LATE_S
            )
        )
        self.broker.listen(f"hall/{self.config.hall}/dev/+/down/+", self._down)
        pagers = {member.pager: member.id for member in self.site.staff if member.pager}
        for device in self.fakes.json.values():
            device.on_action = self._action_of(device, pagers.get(point_of(device.id)))

    def _acknowledged(self, topic: str, payload: bytes) -> None:
        parts = topic.split("/")
        if len(parts) == 6 and parts[2] == "dev" and parts[5] not in ("done", "status", "health"):
            try:
                fields = json.loads(payload)
            except (ValueError, RecursionError):
                return
            self.checker.acknowledged(parts[3], fields)

    def _down(self, topic: str, payload: bytes, _retain: bool) -> None:
        parts = topic.split("/")
        try:
            fields = json.loads(payload) if payload.startswith(b'{"id"') else {}
            if "id" in fields:
                paper = fields.get("number") if fields.get("about", "ticket") == "ticket" else None
                self.checker.arrived(parts[3], parts[5], fields["id"], paper)
            else:
                self.checker.shown(parts[3], parts[5], payload)
        except AssertionError as error:
            self.fail(error)

    def _action_of(
        self, device: FakeDevice, staff: str | None
    ) -> Callable[[str, dict[str, Any]], str | None]:
        def answer(kind: str, fields: dict[str, Any]) -> str | None:
            if kind == "page" and staff is not None:
                self.pages_of(staff).append(PageView(fields["id"], staff, fields["window"]))
            device.mute = self.dice.random() < self.faults.unknown_share
            return "jammed" if self.dice.random() < self.faults.failed_share else None

        return answer
