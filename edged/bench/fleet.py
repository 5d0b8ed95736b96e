"""``edged bench --fleet``: a simulated city in which the consumer, the broker and PostgreSQL are killed and the halls'
bridges cut, while visitors arrive.

Events are complete if four counts are equal for every hall: the event rows in the database, the highest event number
there, the number up to which the city acknowledged, and the hall's own count. For a good result a policy must also have
reached every hall, and live events must have arrived in time (see ``FleetBench.run``).
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from edged.clock import monotonic_s, wall_ms
from edged.sim.city.town import HallCount, PrintLine, SimulatedCity

LIVE_P99_S = 5.0  # limit for live events, while returning halls send a whole day
REFUSALS = 3
AWAY_S = 3.0  # how long each killed part stays away
KNOWN_S = 120.0
SETTLE_S = 900.0
CHECK_S = 0.25
OPEN_ABOVE = 5


class FleetPlan(NamedTuple):
    """The size of the bench. ``phase_s``: duration of each part in seconds. ``returning``: how many halls are away at
    first; each comes back with ``day`` events that it has not sent.
    """

    phase_s: float
    returning: int
    day: int


class FleetBench:
    """One run of the bench in a city that is already running."""

    def __init__(self, city: SimulatedCity, plan: FleetPlan, print_line: PrintLine) -> None:
        self._city = city
        self._plan = plan
        self._print_line = print_line
        self._absent = sorted(city.wires.halls)[: plan.returning]
        for name in self._absent:
            city.wires.halls[name].was_away(plan.day)
        city.wires.away |= set(self._absent)

    async def run(self) -> dict[str, Any]:
        """Run all parts; returns the figures. ``good``: no event is missing, every hall answered the policy, exactly
        the halls chosen for it refused it, and the p99 delay of live events was within its limit while the absent halls
        came back.
        """
        city = self._city
        async with asyncio.TaskGroup() as tasks:
            wires = tasks.create_task(city.wires.run())
            people = city.begin(tasks)
            await self._known()
            quiet = await self._phase("people come, nothing happens", asyncio.sleep(self._plan.phase_s))
            faults = await self._phase("parts are killed", self._faults())
            pushed = await self._push()
            returned = await self._phase(f"{len(self._absent)} halls come back", self._return())
            for person in people:
                person.cancel()
            await asyncio.wait(people)
            self._print_line("nobody comes any more; what is under way arrives")
            counts = await city.settled(SETTLE_S)
            wires.cancel()
        spans = {"quiet": quiet, "faults": faults, "return": returned}
        delays = {name: await city.delays(*span) for name, span in spans.items()}
        return self._summary(counts, pushed, delays, returned[1] - returned[0])

    async def _phase(self, name: str, what: Any) -> tuple[float, float]:
        """Carry out one part of the bench (await ``what``); returns when it began and ended, in seconds since 1970."""
        self._print_line(name)
        began_s = wall_ms() / 1000
        await what
        return began_s, wall_ms() / 1000

    async def _known(self) -> None:
        wanted = len(self._city.wires.halls) + len(self._city.bridged)
        until_s = monotonic_s() + KNOWN_S
        while monotonic_s() < until_s:
            if await self._city.known() == wanted:
                return
            await asyncio.sleep(CHECK_S)

    async def _faults(self) -> None:
        city, between_s = self._city, self._plan.phase_s / 4
        self._print_line("  the consumer is killed")
        await city.kill_consumer()
        await asyncio.sleep(AWAY_S)
        await city.start_consumer()
        await asyncio.sleep(between_s)
        self._print_line("  the city's broker is killed")
        await city.kill_broker()
        await asyncio.sleep(AWAY_S)
        await city.start_broker()
        await asyncio.sleep(between_s)
        self._print_line("  PostgreSQL is killed")
        await city.postgres.kill()
        await asyncio.sleep(AWAY_S)
        await city.postgres.start()
        await asyncio.sleep(between_s)
        self._print_line(f"  {len(city.bridged)} bridges are cut")
        for hall in city.bridged:
            hall.cut()
        await asyncio.sleep(AWAY_S)
        for hall in city.bridged:
            hall.mend()
        await asyncio.sleep(between_s)

    async def _push(self) -> dict[str, list[str]]:
        """Push a policy to the group; the last ``REFUSALS`` simulated halls refuse it (they were online all the time).
        Returns the halls by outcome, as ``SimulatedCity.push`` does.
        """
        self._city.wires.refuse = set(sorted(self._city.wires.halls)[-REFUSALS:])
        pushed = await self._city.push(OPEN_ABOVE, 60.0)
        self._print_line(
            f"a policy for the group: {', '.join(f'{len(halls)} {word}' for word, halls in pushed.items())}"
        )
        return pushed

    async def _return(self) -> None:
        """Let the halls that were away come back; wait until the city has acknowledged all their unsent events, at most
        ``SETTLE_S``.
        """
        self._city.wires.away.clear()
        halls = [self._city.wires.halls[name] for name in self._absent]
        until_s = monotonic_s() + SETTLE_S
        while monotonic_s() < until_s:
            if all(hall.upto >= self._plan.day for hall in halls):
                return
            await asyncio.sleep(CHECK_S)

    def _summary(
        self, counts: list[HallCount], pushed: dict[str, list[str]], delays: dict[str, Any], returned_s: float
    ) -> dict[str, Any]:
        planted = sorted(self._city.wires.refuse)
        wrong = [one._asdict() for one in counts if not one.right]
        refusals = pushed["refused"] == planted and not pushed["silent"]
        live = not self._absent or delays["return"]["p99_s"] <= LIVE_P99_S
        return {
            "good": not wrong and refusals and live,
            "halls": len(self._city.wires.halls),
            "daemons": len(self._city.bridged),
            "events": sum(one.counted for one in counts),
            "stored": sum(one.rows for one in counts),
            "wrong_halls": wrong,
            "policy_applied": len(pushed["applied"]),
            "policy_refused": pushed["refused"],
            "policy_silent": pushed["silent"],
            "refusals_planted": planted,
            "returned_halls": len(self._absent),
            "returned_events": len(self._absent) * self._plan.day,
            "returned_in_s": round(returned_s, 1),
            "delays": delays,
        }
