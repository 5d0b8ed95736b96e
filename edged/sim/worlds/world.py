"""One world: virtual time, the engine (the core) with time stamps as the daemon's inbox gives them, and connections
with the faults of the seed.

People and devices are processes: generators that yield how many hall milliseconds they sleep. Their messages go through
``send``, which applies the faults. What the core commands is stored in ``shown``, the only thing that people see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count
from random import Random

from edged.core.engine import Engine
from edged.core.model.commands import Action, Command, Desired, Note, Page, Panel, Value
from edged.core.model.events import (
    ClockSet,
    CommandDone,
    CommandFailed,
    DeviceBack,
    DeviceEvent,
    DeviceLost,
    Event,
    PolicyApplied,
    Resumed,
    SiteLoaded,
    Tick,
)
from edged.core.model.point import Point, device_of, point_of
from edged.core.model.policy import Policy
from edged.core.model.site import Site
from edged.core.model.state import State
from edged.core.sequence import RESEND_MS
from edged.core.signage.signs import CENTRE, point_of_slot, slot
from edged.sim.worlds.faults import WorldFaults, next_ms
from edged.sim.worlds.promises import Facts, Promises
from edged.sim.worlds.wild import Wild
from edged.store import codec

Process = Generator[int, None, None]
SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
UTC_OFFSET_MIN = 480
NOWHERE = ("", "")  # the panel of a window without one
TICKS_MAX = 5_000  # between two events: more means that the engine asks for the same tick again and again
STARTED = 8  # the first numbers of a device arrive in order: number 2 before 1 would look like a restart
LATE_MS = 20_000  # longest delay of a message; a longer one would look like a restart of the device
LOOK_MS = 5_000  # how often people look at a panel


@dataclass(slots=True)
class WorldLedger:
    """The record of a world: the events ``fed`` to the engine with their hall time in ms (for the replay), counts, and
    a digest of all decisions (for the report).
    """

    fed: list[tuple[int, Event]]
    digest: hashlib._Hash
    steps: int = 0
    ticks: int = 0


class World:
    """A simulated hall: its engine and the connections of its devices. Call ``open``, add people with ``start``, and
    let time pass with ``run_until``.
    """

    def __init__(self, site: Site, seed: int, wall_ms: int, policy: Policy) -> None:
        self.site = site
        self.seed = seed
        self.rng = Random(f"{seed}/world")
        self.faults = WorldFaults.draw(Random(f"{seed}/faults"))
        self.now_ms = 0
        self.engine = Engine(State())
        self.promises = Promises(site)
        self.ledger = WorldLedger([], hashlib.sha256())
        self.shown: dict[str, Value] = {}
        self.pages: dict[str, list[Page]] = {}
        self.numbers: list[str] = []
        self.dead: set[str] = set()
        self._policy = policy  # the policy in force unless a fault pushes another
        self._pushed: dict[int, Policy] = {0: Policy()}  # by version
        self._wall_ms = wall_ms  # true wall time at hall time 0
        self._last_ms = 0
        self._down_until_ms = 0
        self._order = count()
        self._queue: list[tuple[int, int, Process]] = []
        self._waiting: dict[str, Desired] = {}  # outputs for devices without power
        self._wild = Wild(site, Random(f"{seed}/wild"))
        self._seq: dict[Point, int] = {}
        self._spoke_ms: dict[str, int] = {}  # by device: when its last message arrives
        self._lives: dict[str, int] = {}  # how often a device was switched on again
        self._dice = Random(f"{seed}/wires")
        self._panels = {  # by window: the device and the key of ``shown`` of its panel
            window.id: (device_of(window.panel), f"{window.panel}|{Panel.kind}")
            for window in site.windows
            if window.panel is not None
        }

    def open(self) -> None:
        """Start the hall: feed the engine clock, site and policy, as a daemon does at its first start, and start the
        faults.
        """
        self.feed(ClockSet(self._wall_ms, UTC_OFFSET_MIN))
        self.feed(SiteLoaded(self.site))
        self.apply(self._policy)
        for kind in ("dead", "reborn", "clock", "freeze", "restart", "wild", "policy"):
            rate = getattr(self.faults, f"{kind}_per_h")
            if rate:
                self.start(self._fault(kind, rate))

    # -- time --

    def start(self, process: Process, delay_ms: int = 0) -> None:
        """Start ``process``, a person or a device, in ``delay_ms`` hall milliseconds."""
        heappush(self._queue, (self.now_ms + delay_ms, next(self._order), process))

    def run_until(self, end_ms: int) -> None:
        """Let time pass until hall time ``end_ms`` (inclusive). Ticks (the engine's timers) and processes run when they
        are due; at the same time, ticks come first.
        """
        looked: tuple[Engine, int, int] | None = None
        due_ms = 0
        while True:
            # Most processes only look at a panel; the next tick changes only by steps, restarts and absences.
            now = (self.engine, self.ledger.steps, self._down_until_ms)
            if now != looked:
                looked, due_ms = now, self._due_ms()
            next_ms_ = self._queue[0][0] if self._queue else end_ms + 1
            if min(due_ms, next_ms_) > end_ms:
                break
            if due_ms <= next_ms_:
                self.now_ms = max(self.now_ms, due_ms)
                self._tick()
                continue
            at_ms, _, process = heappop(self._queue)
            self.now_ms = at_ms
            delay_ms = next(process, None)
            if delay_ms is not None:
                heappush(self._queue, (self.now_ms + max(1, delay_ms), next(self._order), process))
        self.now_ms = end_ms

    def _due_ms(self) -> int:
        due_ms = self.engine.next_due_ms
        if due_ms is None:
            return 1 << 62
        return max(due_ms, self._down_until_ms)

    def _tick(self) -> None:
        due_ms = self.engine.next_due_ms
        assert due_ms is not None
        self._last_ms = max(due_ms, self._last_ms)
        self.ledger.ticks += 1
        self._handle(self._last_ms, Tick())

    def wall_ms(self) -> int:
        """The true wall time now, in ms since 1970, even while a fault has set the hall's clock wrong."""
        return self._wall_ms + self.now_ms

    # -- what reaches the core --

    def feed(self, event: Event) -> tuple[tuple[Command, ...], tuple[Note, ...]]:
        """Feed one event to the engine, after all ticks that are due before it; returns the engine's commands and
        notes. Its time stamp never goes back, as in the daemon's inbox.
        """
        stamp = max(self.now_ms, self._last_ms)
        for _ in range(TICKS_MAX):
            due_ms = self.engine.next_due_ms
            if due_ms is None or due_ms > stamp:
                break
            self._tick()
        else:
            raise AssertionError(f"the engine asked for {TICKS_MAX} ticks before {stamp} ms")
        self._last_ms = max(stamp, self._last_ms)
        self.ledger.fed.append((self._last_ms, event))
        return self._handle(self._last_ms, event)

    def _handle(self, at_ms: int, event: Event) -> tuple[tuple[Command, ...], tuple[Note, ...]]:
        commands, notes = self.engine.handle(at_ms, event)
        self.engine.check()
        self.ledger.steps += 1
        self.ledger.digest.update(b"%d" % at_ms + codec.encode_commands(commands) + codec.encode_notes(notes))
        self.promises.step(Facts.of(self.engine.state), event, commands, notes)
        for note in notes:
            if note.kind == "ticket.issued":
                self.numbers.append(note.subject)
            elif note.kind == "policy.harmful":
                self._go_back()
        for command in commands:
            if isinstance(command, Desired):
                self._want(command)
            else:
                self._act(command)
        return commands, notes

    def send(self, event: DeviceEvent) -> None:
        """Send a device's event to the hall. If the device numbers its messages, the event gets a number, and may
        arrive late or twice by chance; otherwise it may be lost. A device without power sends nothing.
        """
        device = device_of(event.point)
        if device in self.dead:
            return
        if self._numbers(device):
            self._seq[event.point] = self._seq.get(event.point, 0) + 1
            event = replace(event, seq=self._seq[event.point])
        elif self._dice.random() < self.faults.lost_share:
            return
        # messages of a device arrive in order, unless one is delayed
        delay_ms = max(self._dice.randrange(5, 60), self._spoke_ms.get(device, 0) - self.now_ms)
        self._spoke_ms[device] = self.now_ms + delay_ms
        if (event.seq or 0) > STARTED and self._dice.random() < self.faults.late_share:
            delay_ms += self._dice.randrange(LATE_MS)
        self.start(self._arrive(event, delay_ms))
        if event.seq is not None and self._dice.random() < self.faults.duplicate_share:
            again_ms = self._dice.choice((1, 200, 30_000, 300_000))
            # a radio repeats at once; a later repetition comes from the broker and is marked
            repeated = event if again_ms < 1_000 else replace(event, again=True)
            self.start(self._arrive(repeated, delay_ms + again_ms, self._lives.get(device, 0)))

    def _numbers(self, device: str) -> bool:
        """Whether the device numbers its messages, as MQTT devices do and serial ones do not; the seed decides."""
        return Random(f"{self.seed}/{device}").random() < 0.7

    def _arrive(self, event: DeviceEvent, delay_ms: int, repeated_in: int | None = None) -> Process:
        """Deliver an event after ``delay_ms``. ``repeated_in``: None for a first delivery; for a repetition, how often
        the device had restarted when it sent the original.
        """
        yield delay_ms
        while self.now_ms < self._down_until_ms:
            if event.seq is None:
                return  # nobody listened on the serial line
            yield self._down_until_ms - self.now_ms + 1  # the broker queued it meanwhile
        device = device_of(event.point)
        if repeated_in is not None and (device in self.dead or repeated_in != self._lives.get(device, 0)):
            return  # a broker repeats messages before it delivers those sent after the device's restart
        commands, notes = self.feed(event)
        if repeated_in is not None:
            self.promises.changed_nothing(event, commands, notes)
        else:
            self.promises.was_accepted(event, notes, self.engine.state)

    # -- what the core wants --

    def _want(self, desired: Desired) -> None:
        key = slot(desired.point, desired.value)
        if device_of(desired.point) in self.dead:
            self._waiting[key] = desired
        else:
            self._waiting.pop(key, None)
            self.shown[key] = desired.value

    def _act(self, action: Action) -> None:
        device = device_of(action.point)
        if device in self.dead or self._dice.random() < self.faults.failed_share:
            self.start(self.deliver(CommandFailed(action.id, "no answer")), self._dice.randrange(500, 3000))
            return
        if isinstance(action.body, Page):
            self.pages.setdefault(action.body.staff, []).append(action.body)
        if self._dice.random() >= self.faults.unknown_share:
            self.start(self.deliver(CommandDone(action.id)), self._dice.randrange(200, 6000))

    def deliver(self, event: Event) -> Process:
        """Feed an event that no device sent. While the daemon is down, wait until it runs again."""
        while self.now_ms < self._down_until_ms:
            yield self._down_until_ms - self.now_ms + 1
        self.feed(event)
        return
        yield  # makes this function a generator, as all processes are

    def panel(self, window: str) -> Panel | None:
        """What a window's panel shows; None without a panel, while it has no power, and before it showed anything."""
        device, key = self._panels.get(window, NOWHERE)
        if device in self.dead:
            return None
        value = self.shown.get(key)
        return value if isinstance(value, Panel) else None

    def pages_of(self, staff: str) -> list[Page]:
        """Every page (the call to a member of staff to open a window) that ``staff`` ever received."""
        return self.pages.get(staff, [])

    # -- faults of the whole hall --

    def _fault(self, kind: str, per_h: float) -> Process:
        rng = Random(f"{self.seed}/{kind}")
        act = getattr(self, f"_fault_{kind}")
        while (pause_ms := next_ms(rng, per_h)) is not None:
            yield pause_ms
            if getattr(self.faults, f"{kind}_per_h") == 0:
                return  # the faults have stopped
            if self.now_ms >= self._down_until_ms:
                act(rng)

    def _fault_dead(self, rng: Random) -> None:
        devices = sorted({device_of(point) for point in self._points()})
        device = rng.choice(devices)
        if device not in self.dead:
            self.dead.add(device)
            self.feed(DeviceLost(point_of(device), "no answer"))
            self.start(self._revive(device), rng.randrange(5_000, 20 * MINUTE_MS))

    def _revive(self, device: str) -> Process:
        while self.now_ms < self._down_until_ms:
            yield self._down_until_ms - self.now_ms + 1
        if device in self.dead:
            self.dead.discard(device)
            self.feed(DeviceBack(point_of(device)))
            for key in [key for key in self._waiting if device_of(point_of_slot(key)) == device]:
                self.shown[key] = self._waiting.pop(key).value  # a device that returns gets its outputs again

    def _fault_reborn(self, rng: Random) -> None:
        device = rng.choice(sorted({device_of(point) for point in self._seq}) or [""])
        if device and device not in self.dead:
            self.dead.add(device)
            self.feed(DeviceLost(point_of(device), "offline"))
            self.start(self._reboot(device))

    def _reboot(self, device: str) -> Process:
        """Keep a device off until none of its old messages is under way, then switch it on. Time during which the
        daemon is down does not count, because messages wait then.
        """
        for _ in range(1 + RESEND_MS // SECOND_MS + 5):
            while self.now_ms < self._down_until_ms:
                yield self._down_until_ms - self.now_ms + 1
            yield SECOND_MS
        self.switch_on(device)

    def switch_on(self, device: str) -> None:
        """Switch a device on after a loss of power: it numbers its messages from 1 again, and receives what it shall
        show.
        """
        self._lives[device] = self._lives.get(device, 0) + 1
        for point in [point for point in self._seq if device_of(point) == device]:
            self._seq[point] = 0
        self.start(self._revive(device))

    def next_morning(self) -> None:
        """On half of the days, if the world has this fault: restart every device, as if its power had been off at
        night.
        """
        if self.faults.night_share and self._dice.random() < 0.5:
            for device in sorted({device_of(point) for point in self._seq}):
                self.switch_on(device)

    def _points(self) -> Iterator[Point]:
        for window in self.site.windows:
            yield from (point for point in (window.panel, window.lamp, window.display) if point)
        for area in self.site.areas:
            yield from (*area.displays, *area.lamps)
        yield from (member.pager for member in self.site.staff if member.pager)

    def _fault_clock(self, rng: Random) -> None:
        step_ms = rng.choice((HOUR_MS, -HOUR_MS, 24 * HOUR_MS, -self.wall_ms(), 86_400_000 * 1900, 3_000))
        self.feed(ClockSet(max(0, self.wall_ms() + step_ms), UTC_OFFSET_MIN))
        self.start(self._set_right(), rng.randrange(1_000, HOUR_MS))

    def _set_right(self) -> Process:
        while self.now_ms < self._down_until_ms:
            yield self._down_until_ms - self.now_ms + 1
        self.feed(ClockSet(self.wall_ms(), UTC_OFFSET_MIN))
        return
        yield

    def _fault_freeze(self, rng: Random) -> None:
        self._away(rng.randrange(6_000, 2 * MINUTE_MS), restart=False)

    def _fault_restart(self, rng: Random) -> None:
        self.engine = Engine(codec.load_state(codec.dump_state(self.engine.state), State))
        self._away(rng.randrange(1_000, 30 * SECOND_MS), restart=True)

    def _away(self, gap_ms: int, restart: bool) -> None:
        """Stop the daemon for ``gap_ms`` from now. ``restart``: it died, otherwise it was frozen. The first event
        afterwards is ``Resumed``, which tells the engine so.
        """
        self._down_until_ms = self.now_ms + gap_ms
        while (due_ms := self.engine.next_due_ms) is not None and due_ms <= self._last_ms:
            self._tick()
        at_ms = self._last_ms
        gap_ms += self.now_ms - at_ms
        self.ledger.fed.append((at_ms, Resumed(gap_ms, restart)))
        self._handle(at_ms, Resumed(gap_ms, restart))

    def _fault_wild(self, _rng: Random) -> None:
        event = self._wild.event(self.numbers)
        self.feed(event)
        if isinstance(event, DeviceEvent) and event.seq is not None:
            # An invented number may look to the hall like a restart of the device.
            device = device_of(event.point)
            self._lives[device] = self._lives.get(device, 0) + 1

    def _fault_policy(self, _rng: Random) -> None:
        self.apply(self._wild.policy())

    def apply(self, policy: Policy) -> None:
        """Let the engine apply ``policy`` as one pushed by the city, with the next version."""
        version = len(self._pushed)
        self._pushed[version] = policy
        self.feed(PolicyApplied(version, f"{version:064d}", policy, pushed=True))

    def _go_back(self) -> None:
        """Restore the earlier policy if the engine found that the one on trial does harm. The engine does not do this
        itself; in the daemon it is the task of the part that handles policies.
        """
        trial = self.engine.state.trial
        if trial is not None and trial.harmful:
            version = trial.good_version
            back = PolicyApplied(version, trial.good_sha256, self._pushed[version])
            self.start(self.deliver(back), SECOND_MS)

    def stop_faults(self) -> None:
        """End all faults: messages are no longer lost, devices are on, the clock is right, and the policy given at the
        start is in force again. From here on the hall must recover by itself.
        """
        self.faults = WorldFaults()
        self.run_until(max(self.now_ms, self._down_until_ms + 1))
        self.feed(ClockSet(self.wall_ms(), UTC_OFFSET_MIN))
        for device in sorted(self.dead):
            self.start(self._revive(device))
        if self.engine.state.policy != self._policy:
            self.apply(self._policy)

    def wrong_outputs(self) -> list[str]:
        """List the outputs that do not show what the core wants. Call it only when no message is under way."""
        return [
            f"{key} shows {self.shown.get(key)}, not {value}"
            for key, value in self.engine.state.shown.items()
            if self.shown.get(key) != value and not key.startswith(CENTRE)
        ]
