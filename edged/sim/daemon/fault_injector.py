"""Runs the faults of a simulated daemon as tasks: each occurs at its rate, lasts a while, and ends by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from devices.candle485.fake import CandleFaults as BusFaults
from devices.modbus_relay.fake import RelayFaults as RelayFaults
from devices.mqtt_json.fake import FakeDevice
from devices.onbon_bx.fake import BarFaults as CardFaults
from edged.core.sequence import RESEND_MS
from edged.links.memory import WireFaults as LineFaults
from edged.sim.daemon.daemon_world import DaemonWorld
from edged.sim.daemon.disk import Hold
from edged.sim.daemon.faults import DaemonFaults
from edged.sim.worlds.faults import next_ms
from edged.sim.worlds.wild import Wild
from edged.sim.worlds.world import Process

SECOND_MS, MINUTE_MS, HOUR_MS = 1_000, 60_000, 3_600_000
CENTURY_MS = 125 * 365 * 24 * HOUR_MS  # a clock chip without battery may show the year 2151
OFF_S = RESEND_MS / 1000 + 10  # longer than an earlier message of a device can be under way
HELD_HOW: tuple[Hold, ...] = ("changes", "changes", "reading", "alone")
BUSY_CODES = (
    4,
    5,
    6,
    10,
    11,
)  # Modbus exceptions for temporary conditions of modules and gateways
HOSTILE = (
    b"",
    b"\xff\xfe",
    b"[" * 3_000,
    b'{"seq": NaN}',
    b'{"seq": 2000000001, "seq": 2000000002}',
    b'{"seq": 170141183460469231731687303715884105728}',
    b'{"seq": -1, "key": "next"}',
    b'{"seq": 2000000003.5, "key": "next"}',
    b'{"key": "dance"}',
    b'{"seq": 2000000009, "number": "A0001\\u0000", "service": "nowhere"}',
    b'{"seq": 2000000004, "key": "next", "arg": "11010519491231002X"}',
    b"x" * 70_000,
)


class FaultInjector:
    """All faults of one simulation. Call ``begin`` to start them on a simulated day; ``end`` ends them and repairs
    everything.
    """

    def __init__(self, world: DaemonWorld) -> None:
        self._world = world
        self._on = True
        self._serial = sorted(world.fakes.near)
        self._addresses = {name: dict(bus.addresses) for name, bus in world.fakes.buses.items()}
        self._wild = Wild(world.site, Random(f"{world.seed}/wild"))

    def begin(self) -> None:
        """Start all faults that have a rate in this simulation."""
        self._on = True
        world, faults = self._world, self._world.faults
        self._wires(faults)
        world.disk.slow_share = faults.slow_share
        for kind, act in self._kinds().items():
            if getattr(faults, f"{kind}_per_h") > 0:
                world.start(self._again(kind, act))

    def end(self) -> None:
        """End all faults: afterwards lines are connected, devices are present, the broker is up, the disk has room, and
        the clock is right.
        """
        self._on = False
        world = self._world
        world.faults = DaemonFaults()
        self._wires(world.faults)
        world.disk.slow_share, world.disk.full, world.disk.sync_fails = 0.0, False, False
        world.disk.let_go()
        world.log.stall(False)
        world.spoil_configuration(False)
        world.clock_wrong_ms = 0
        world.centre.silent = False
        self._broker("up")
        for line in world.fakes.near.values():
            line.mend()
        for name, bus in world.fakes.buses.items():
            bus.babble(False)
            bus.addresses = dict(self._addresses[name])  # noise may have changed a unit's address
        for bar in world.fakes.bars.values():
            if not bar.alive:
                bar.alive = True
        for port in world.fakes.ports(world.loop):
            port.refuses = False
        for device in world.fakes.json.values():
            device.mute = False
            if not device.online:
                self._back(device.id)
            device.health()  # a device that counts as lost because of a stale will is found again
        world.fakes.fleet.flush()

    def _kinds(self) -> dict[str, Callable[[Random], None]]:
        world = self._world
        return {
            "kill": lambda _rng: world.kill(torn=False),
            "cut": lambda _rng: world.kill(torn=True),
            "restart": lambda _rng: world.stop(),
            "fsync": self._fsync,
            "full": self._full,
            "down": lambda rng: self._broker_fault("down", rng.randrange(180)),
            "slam": lambda rng: self._broker_fault("slamming", rng.randrange(60)),
            "frozen": lambda rng: self._broker_fault("frozen", rng.randrange(60)),
            "forget": self._forget,
            "unplug": self._unplug,
            "babble": self._babble,
            "power": self._power,
            "dead": self._dead,
            "clock": self._clock,
            "freeze": lambda rng: world.freeze(rng.uniform(6, 120)),
            "centre": self._centre,
            "policy": self._policy,
            "order": self._order,
            "wild": self._hostile,
            "reborn": self._reborn,
            "reload": self._reload,
            "will": self._will,
            "locked": self._locked,
            "stalled": self._stalled,
            "lost_end": lambda rng: world.lose_end(torn=rng.random() < 0.5),
        }

    def _again(self, kind: str, act: Callable[[Random], None]) -> Process:
        rng = Random(f"{self._world.seed}/{kind}")
        rate = getattr(self._world.faults, f"{kind}_per_h")
        while (pause_ms := next_ms(rng, rate)) is not None:
            yield pause_ms
            if not self._on:
                return
            act(rng)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        """Undo a fault after ``seconds`` by calling ``call``, unless ``end`` has repaired everything by then."""
        self._world.loop.call_later(seconds, lambda: call() if self._on else None)

    # -- disk --

    def _fsync(self, _rng: Random) -> None:
        self._world.disk.sync_fails = True

    def _full(self, rng: Random) -> None:
        disk = self._world.disk
        disk.fill()
        self._later(rng.uniform(5, 600), lambda: setattr(disk, "full", False))

    def _locked(self, rng: Random) -> None:
        """Let another program open the journal. One that needs an exclusive lock can open it only while no daemon runs,
        so the daemon is killed first.
        """
        disk, path = self._world.disk, Path(self._world.config.store.path)
        how = rng.choice(HELD_HOW)
        if how == "alone":
            self._world.kill(torn=False, then=lambda: disk.hold(path, how))
        else:
            disk.hold(path, how)
        self._later(rng.uniform(1, 300), disk.let_go)

    def _stalled(self, rng: Random) -> None:
        self._world.log.stall(True)
        self._later(rng.uniform(5, 600), lambda: self._world.log.stall(False))

    # -- broker and devices on it --

    def _broker_fault(self, state: str, seconds: float) -> None:
        if self._world.broker.state == "up":
            self._broker(state)
            self._later(1 + seconds, lambda: self._broker("up"))

    def _broker(self, state: str) -> None:
        broker = self._world.broker
        was = broker.state
        broker.go(state)
        if state == "up" and was != "up":
            self._world.fakes.fleet.announce_all()  # type: ignore[attr-defined]
        elif state == "slamming":
            broker.hang_up()

    def _forget(self, rng: Random) -> None:
        if self._world.broker.state == "up":
            self._world.broker.forget()
            self._broker_fault("down", rng.randrange(5))

    def _dead(self, rng: Random) -> None:
        device = self._world.fakes.json[rng.choice(sorted(self._world.fakes.json))]
        if device.online:
            device.go(False)
            device.shown.clear()  # its screen is empty when it comes back
            self._later(rng.uniform(5, 1200), lambda: self._back(device.id))

    def _back(self, name: str) -> None:
        device = self._world.fakes.json[name]
        if not device.online:
            device.go(True)
            self._world.fakes.fleet.catch_up(name)  # type: ignore[attr-defined]

    def _reborn(self, rng: Random) -> None:
        """Switch off a device for so long that none of its messages is under way any more; after that its sequence
        numbers begin at 1 again.
        """
        device = self._world.fakes.json[rng.choice(sorted(self._world.fakes.json))]
        if device.online:
            device.go(False)
            device.shown.clear()
            before = self._world.undisturbed()
            self._world.loop.call_later(OFF_S, lambda: self._switch_on(device, before))

    def _switch_on(self, device: FakeDevice, before: object) -> None:
        """Switch a device on. ``before``: the value of ``DaemonWorld.undisturbed`` when it was switched off. If a
        connection broke since, an old message of the device may still be under way; then it continues its numbers,
        because a new message with an old number would look like a duplicate.
        """
        if self._on and before and before == self._world.undisturbed():
            device.seq = 0
            self._world.checker.device_reset(device.id)
        self._back(device.id)

    def morning(self) -> None:
        """On half of the days, if the simulation has this fault: let every JSON device number its messages from 1
        again, as if its power had been off at night.
        """
        world = self._world
        if world.faults.night_share and world.dice.random() < 0.5:
            for device in world.fakes.json.values():
                device.seq = 0
                world.checker.device_reset(device.id)

    def _will(self, rng: Random) -> None:
        """Let the broker retain "offline" (the will) for a device that is online, because its later message "online"
        was not retained, as with some firmware.
        """
        world = self._world
        device = rng.choice(sorted(world.fakes.json))
        if world.broker.state == "up" and world.fakes.json[device].online:
            world.broker.retained[f"hall/{world.config.hall}/dev/{device}/up/status"] = b'{"state":"offline"}'

    def _reload(self, rng: Random) -> None:
        self._world.spoil_configuration(True)
        self._later(rng.uniform(1, 600), lambda: self._world.spoil_configuration(False))

    def _hostile(self, rng: Random) -> None:
        world = self._world
        device = rng.choice(sorted(world.fakes.json))
        tails = (
            "up/key",
            "up/ticket",
            "up/request",
            "up/rating",
            "up/done",
            "up/status",
            "up/nothing",
            "up/count",
        )
        topics = [f"hall/{world.config.hall}/dev/{device}/{tail}" for tail in tails]
        topics += [
            f"hall/{world.config.hall}/{tail}"
            for tail in ("policy/push", "ops/open", "appointments", "events/ack")
        ]
        world.broker.publish(rng.choice(topics), rng.choice(HOSTILE))

    # -- serial lines, modules, cards --

    def _wires(self, faults: DaemonFaults) -> None:
        fakes, seed = self._world.fakes, self._world.seed
        noise = faults.noise_share / 50
        line = LineFaults(
            split=faults.noise_share, lose_byte=noise, flip_byte=noise, insert_byte=noise, delay_max_s=0.02
        )
        for number, near in enumerate(fakes.near.values()):
            near.misbehave(line, seed * 7 + number)
        share = faults.card_share
        for bar in fakes.bars.values():
            bar.faults = CardFaults(mute=share, garble=share / 2, nack=share / 4, late=share / 2)
        share, code = faults.module_share, Random(f"{seed}/code").choice(BUSY_CODES)
        for relay in fakes.relays.values():
            relay.faults = RelayFaults(
                mute=share,
                late=share,
                garbage=share / 2,
                prefix=share / 2,
                exception=share / 2,
                code=code,
                lie=share / 4,
                hang_up=faults.hang_up_share,
                foreign=faults.foreign_share,
            )
        for bus in fakes.buses.values():
            bus.faults = BusFaults(drop=faults.lost_share, garble=faults.noise_share / 4)

    def _unplug(self, rng: Random) -> None:
        line = self._world.fakes.near[rng.choice(self._serial)]
        line.cut("unplugged")
        self._later(rng.uniform(0.1, 120), line.mend)

    def _babble(self, rng: Random) -> None:
        for bus in self._world.fakes.buses.values():
            bus.babble(True)
            self._later(rng.uniform(1, 20), lambda bus=bus: bus.babble(False))  # type: ignore[misc]

    def _power(self, rng: Random) -> None:
        fakes = self._world.fakes
        what: list[Any] = [*fakes.bars.values(), *fakes.relays.values(), *fakes.ports(self._world.loop)]
        one = rng.choice([*what, *fakes.buses.values()])
        if one in fakes.bars.values():
            one.alive = False
            self._later(rng.uniform(1, 120), lambda: setattr(one, "alive", True))
        elif hasattr(one, "power_cycle"):
            one.power_cycle()
        else:
            one.hang_up()
            one.refuses = rng.random() < 0.5
            self._later(rng.uniform(1, 120), lambda: setattr(one, "refuses", False))

    # -- time and the centre --

    def _clock(self, rng: Random) -> None:
        world = self._world
        wall_ms = world.centre._wall_ms()
        world.clock_wrong_ms = rng.choice(
            (HOUR_MS, -HOUR_MS, -wall_ms, CENTURY_MS, 3 * SECOND_MS, -3 * SECOND_MS)
        )
        self._later(rng.uniform(1, 3600), lambda: setattr(world, "clock_wrong_ms", 0))

    def _centre(self, rng: Random) -> None:
        centre = self._world.centre
        kind = rng.randrange(3)
        if kind == 0:
            centre.silent = True
            self._later(rng.uniform(10, 600), lambda: setattr(centre, "silent", False))
        elif kind == 1:
            centre.acknowledge(centre.epoch, max(0, centre.acknowledged - rng.randrange(50)))
        else:
            centre.acknowledge(centre.epoch + rng.randrange(2), centre.acknowledged + 100_000)

    def _policy(self, rng: Random) -> None:
        if rng.random() < 0.5:
            self._world.centre.push(self._wild.policy())
        else:
            self._world.centre.mislead()

    def _order(self, rng: Random) -> None:
        world = self._world
        window = rng.choice(world.site.windows).id
        area = rng.choice(world.site.areas).id
        seconds = {"for_s": rng.randrange(60, 600)}
        number = rng.choice(world.numbers[-30:] or ["A001"])
        orders: list[tuple[str, dict[str, Any]]] = [
            ("open", {"window": window} | seconds),
            ("close", {"window": window} | seconds),
            ("hold", {"window": window} | seconds),
            ("pause-issuing", {"area": area} | seconds),
            ("priority-insert", {"number": number}),
            ("announce", {"text": "请注意", "text_en": "Attention"}),
            ("case", {"told": "open", "case": f"c{world.centre.orders}", "code": "other", "area": area}),
        ]
        world.centre.order(*rng.choice(orders), times=rng.choice((1, 1, 2, 3)))
