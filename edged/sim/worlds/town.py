"""Appointments and their visitors, cases (办不成事), and orders of the city in a simulated hall.

Unlike the random events of ``wild.py`` they are plausible: sent as the city or a visitor would send them, though some
come too late.
"""

from __future__ import annotations

from random import Random

from edged.core.model.events import (
    Announced,
    AppointmentMade,
    CaseTold,
    Event,
    NoticePosted,
    NoticeWithdrawn,
    OverrideKind,
    OverrideLifted,
    OverrideSet,
    RatingCorrected,
    TicketRequested,
    WindowAsked,
)
from edged.core.model.point import point_of
from edged.sim.worlds.world import MINUTE_MS, Process, World

BOOKED = 12  # appointments of a day
CASES = 4  # cases that the centre opens in a day
ORDER_EVERY_MS = 25 * MINUTE_MS  # on average
BY = "centre"
KIOSK = point_of("kiosk-a")


def book(world: World, day: int, hours: float) -> Process:
    """Make appointments within the next ``hours`` hours. Most visitors come near their time, some never, some twice."""
    rng = Random(f"{world.seed}/{day}/booked")
    services = [service.id for service in world.site.services if not service.case]
    coming: list[tuple[int, str, str]] = []
    for number in range(BOOKED):
        name, service = f"ap-{day}-{number}", rng.choice(services)
        in_ms = rng.randrange(round(hours * 60)) * MINUTE_MS
        world.start(world.deliver(AppointmentMade(name, service, world.wall_ms() + in_ms)))
        for _ in range(rng.choice((0, 1, 1, 1, 2))):
            at_ms = max(1, in_ms + rng.randrange(-40, 40) * MINUTE_MS)
            coming.append((world.now_ms + at_ms, name, service))
    for at_ms, name, service in sorted(coming):
        yield max(1, at_ms - world.now_ms)
        world.send(TicketRequested(KIOSK, service, appointment=name))


def complain(world: World, day: int, hours: float) -> Process:
    """Open cases (办不成事) within ``hours`` hours and follow each up to its rating. Some are reopened, some are
    forgotten on the way.
    """
    rng = Random(f"{world.seed}/{day}/cases")
    every_ms = round(hours * 60 / CASES) * MINUTE_MS
    for number in range(CASES):
        yield rng.randrange(1, every_ms)
        name, area = f"case-{day}-{number}", rng.choice(world.site.areas).id
        ticket = rng.choice(world.numbers[-20:] or [None])
        world.start(
            world.deliver(CaseTold("open", BY, name, area=area, ticket=ticket, special=rng.random() < 0.2))
        )
        events = [
            CaseTold("acknowledge", BY, name),
            CaseTold("close", BY, name),
            CaseTold("rate", BY, name, level=4),
        ]
        if rng.random() < 0.3:
            events.insert(2, CaseTold("reopen", BY, name))
            events.insert(3, CaseTold("close", BY, name))
        for event in events[: rng.randrange(1, len(events) + 1)]:
            yield rng.randrange(1, 20) * MINUTE_MS
            world.start(world.deliver(event))


def order(world: World, day: int, hours: float) -> Process:
    """Send orders of the city (人工干预) for ``hours`` hours. Many are valid for a short time only; some are sent
    twice, some are impossible.
    """
    rng = Random(f"{world.seed}/{day}/orders")
    until_ms = world.now_ms + round(hours * 60) * MINUTE_MS
    while world.now_ms < until_ms:
        yield 1 + round(rng.expovariate(1 / ORDER_EVERY_MS))
        event = _order(world, rng)
        world.start(world.deliver(event))
        if rng.random() < 0.2:
            world.start(world.deliver(event))


def _order(world: World, rng: Random) -> Event:
    site = world.site
    window, area = rng.choice(site.windows).id, rng.choice(site.areas).id
    number = rng.choice(world.numbers[-30:] or ["A001"])
    kinds: list[OverrideKind] = ["open", "close", "hold"]
    events: list[Event] = [
        OverrideSet(rng.choice(kinds), window, BY, rng.randrange(60, 1200)),
        OverrideSet("pause-issuing", area, BY, rng.randrange(60, 900)),
        OverrideSet("priority-insert", number, BY),
        OverrideLifted(rng.choice(kinds), window, BY),
        WindowAsked(area, BY),
        Announced("请注意", "Attention", (area,), BY),
        NoticePosted("notice", "系统维护", "Maintenance", (), world.wall_ms() + 30 * MINUTE_MS, BY),
        NoticeWithdrawn("notice", BY),
        RatingCorrected(number, rng.randint(1, 5), BY),
    ]
    return rng.choice(events)
