"""The days of a world: opening, rush, faults, then quiet; final checks at the end of each.

A failure names the seed, the day, the hall time and the first promise that was broken. The same seed gives the same
world.
"""

from __future__ import annotations

import traceback
from dataclasses import asdict, dataclass, field
from random import Random

from edged.core.engine import Engine
from edged.core.model.events import Event
from edged.core.model.policy import Policy
from edged.core.model.site import Site
from edged.core.model.state import State
from edged.sim.arrivals import arrivals
from edged.sim.worlds.faults import WorldFaults
from edged.sim.worlds.people import staff_hall, take_tickets
from edged.sim.worlds.town import book, complain, order
from edged.sim.worlds.world import HOUR_MS, MINUTE_MS, World
from edged.store import codec
from edged.store.replay import due_ticks

OPENS_H = 9.0
FAULTS_H = 6.5  # hours with arrivals and faults
SETTLES_MS = 3 * HOUR_MS  # limit, in hall time, for the hall to recover after the faults have ended
FIRST_DAY_MS = (
    1_795_392_000_000  # 2026-11-23 00:00 in the hall's zone (UTC+8), a Monday, in ms since 1970 UTC
)
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class WorldVerdict:
    """The result of one seed. ``broken``: the first promise (see ``promises.py``) that was broken, and ``where``: its
    traceback; both None if every promise was kept. ``digest``: a hash of all decisions.
    """

    seed: int
    days: int
    steps: int
    ticks: int
    tickets: int
    faults: dict[str, float] = field(default_factory=dict)
    digest: str = ""
    broken: str | None = None
    where: str | None = None

    def plain(self) -> dict[str, object]:
        """The result as JSON values, with the field names as keys."""
        return asdict(self)


def live(site: Site, seed: int, days: int, policy: Policy | None = None) -> WorldVerdict:
    """Simulate the core for ``days`` days in the world that ``seed`` draws. A broken promise (see ``promises.py``) is
    returned in the verdict, not raised. ``policy`` None: the default one.
    """
    start_day = Random(f"{seed}/calendar").randrange(0, 120)
    wall_ms = FIRST_DAY_MS + start_day * DAY_MS + round((OPENS_H - 0.5) * HOUR_MS)
    world = World(site, seed, wall_ms, Policy() if policy is None else policy)
    broken = where = None
    try:
        world.open()
        for day in range(days):
            _live_day(world, day)
        _replay(world)
    except Exception as error:  # noqa: BLE001 (whatever the core raises is the finding)
        broken = f"{type(error).__name__}: {error}"
        where = traceback.format_exc(limit=-4)
    return WorldVerdict(
        seed,
        days,
        world.ledger.steps,
        world.ledger.ticks,
        len(world.numbers),
        WorldFaults.draw(Random(f"{seed}/faults")).rates(),
        world.ledger.digest.hexdigest()[:16],
        broken and f"{day_and_time(world.now_ms + round((OPENS_H - 0.5) * HOUR_MS))}: {broken}",
        where,
    )


def live_core(site: Site, days: int, seed: int) -> WorldVerdict:
    """``live`` with its parameters in the order that ``campaign`` needs."""
    return live(site, seed, days)


def day_and_time(ms: int) -> str:
    """Format a time as "day 2 09:30:00". ``ms`` counts from the midnight at which day 1 begins."""
    day, ms = divmod(ms, DAY_MS)
    return f"day {day + 1} {ms // HOUR_MS:02d}:{ms // MINUTE_MS % 60:02d}:{ms // 1000 % 60:02d}"


def _live_day(world: World, day: int) -> None:
    if day:
        world.faults = WorldFaults.draw(Random(f"{world.seed}/faults"))
    begin_ms = day * DAY_MS + HOUR_MS // 2
    if day:
        world.run_until(begin_ms - MINUTE_MS)
        world.next_morning()
    world.run_until(begin_ms)
    closing = [False]
    staff_hall(world, world.rng, day, lambda: closing[0])
    share = Random(f"{world.seed}/{day}/crowd").uniform(0.3, 1.3)
    coming = arrivals(world.site, world.seed * 1000 + day, FAULTS_H)
    chosen = Random(f"{world.seed}/{day}/come")
    coming = [one for one in coming if chosen.random() < share]
    half = [one for one in coming if whole_ms(one.at_s) % 2]
    other = [one for one in coming if not whole_ms(one.at_s) % 2]
    world.start(book(world, day, FAULTS_H))
    world.start(complain(world, day, FAULTS_H))
    world.start(order(world, day, FAULTS_H))
    world.start(take_tickets(world, half, "kiosk-a"))
    world.start(take_tickets(world, other, "kiosk-b"))
    world.run_until(begin_ms + round(FAULTS_H * HOUR_MS))
    world.stop_faults()
    _settle(world)
    closing[0] = True
    world.run_until(world.now_ms + HOUR_MS)


def whole_ms(at_s: float) -> int:
    """Round an arrival's time down to whole ms. If that is odd, the visitor uses the first dispenser, otherwise the
    second.
    """
    return int(at_s * 1000)


def _settle(world: World) -> None:
    """Let time pass without faults until no visitor waits and all outputs are right. Raises ``AssertionError`` if that
    takes longer than ``SETTLES_MS``.
    """
    end_ms = world.now_ms + SETTLES_MS
    while world.now_ms < end_ms:
        world.run_until(world.now_ms + 10 * MINUTE_MS)
        if not _unserved(world) and not world.wrong_outputs():
            return
    left = _unserved(world)
    assert not left, (
        f"liveness: {len(left)} still wait {SETTLES_MS // MINUTE_MS} min after the faults: {left[:5]}"
    )
    wrong = world.wrong_outputs()
    assert not wrong, f"liveness: outputs do not show what they should: {wrong[:3]}"


def _unserved(world: World) -> list[str]:
    state = world.engine.state
    return [ticket.number for ticket in state.tickets.values() if ticket.state in ("WAITING", "CALLED")]


def _replay(world: World) -> None:
    """Feed the world's events to a new engine (the core), and check that it reaches the same state."""
    engine, last_ms = Engine(State()), 0
    for at_ms, event in world.ledger.fed:
        last_ms = _feed(engine, at_ms, event, last_ms)
    for _turn in due_ticks(engine, world.engine.state.at_ms, last_ms):
        pass
    same = codec.dump_state(engine.state) == codec.dump_state(world.engine.state)
    assert same, "determinism: the same events led to another state"


def _feed(engine: Engine, at_ms: int, event: Event, last_ms: int) -> int:
    for turn in due_ticks(engine, at_ms, last_ms):
        last_ms = turn.at_ms
    engine.handle(at_ms, event)
    return max(at_ms, last_ms)
