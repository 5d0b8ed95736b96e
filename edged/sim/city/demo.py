"""``edged centre demo``: runs a city for a while, pushes a policy that some halls refuse, and cuts the connection of
one.

``CityDemo.run`` returns the summary and reports each event as a line of text.
"""

from __future__ import annotations

import asyncio
from typing import Any

from edged.clock import monotonic_s
from edged.sim.city.town import HallCount, PrintLine, SimulatedCity

REFUSING = 1  # halls that refuse the policy, on purpose
READY_S = 60.0  # for the consumer to store the status of all halls
TOTALS_EVERY_S = 5.0
OPEN_ABOVE = 5  # waiting people above which the pushed policy opens a window


class CityDemo:
    """One run of the demo in a city that is already running. ``seconds``: for how long visitors arrive; ``print_line``
    is called with a line of text for each thing that happens.
    """

    def __init__(self, city: SimulatedCity, seconds: float, print_line: PrintLine) -> None:
        self._city = city
        self._seconds = seconds
        self._print_line = print_line

    async def run(self) -> dict[str, Any]:
        """Run the demo to its end; returns the summary. ``good`` in it: the city has every event, every hall answered
        the policy, and exactly the halls chosen for it refused it.
        """
        city = self._city
        async with asyncio.TaskGroup() as tasks:
            wires = tasks.create_task(city.wires.run())
            people = city.begin(tasks)
            teller = tasks.create_task(self._print_totals())
            began_s = monotonic_s()
            await self._wait_online()
            pushed = await self._push()
            cut_s = await self._cut()
            await asyncio.sleep(max(0.0, self._seconds - (monotonic_s() - began_s)))
            self._print_line("nobody comes any more; what is under way arrives")
            for person in people:
                person.cancel()
            await asyncio.wait(people)
            counts = await city.settled()
            teller.cancel()
            wires.cancel()
        return await self._summary(counts, pushed, cut_s)

    async def _wait_online(self) -> None:
        """Wait until the city's database lists every hall as online and as a member of the city's group of halls. After
        ``READY_S`` seconds go on without the missing ones.
        """
        until_s = monotonic_s() + READY_S
        wanted = len(self._city.wires.halls) + len(self._city.bridged)
        while monotonic_s() < until_s:
            if await self._city.known() == wanted:
                self._print_line(f"{wanted} halls are online")
                return
            await asyncio.sleep(0.2)
        self._print_line("not every hall has come")

    async def _push(self) -> dict[str, list[str]]:
        city = self._city
        refusing = sorted(city.wires.halls)[-REFUSING:]
        city.wires.refuse = set(refusing)
        self._print_line(f"a policy for the whole group; {', '.join(refusing)} will refuse it")
        pushed = await city.push(OPEN_ABOVE)
        counts_text = ", ".join(f"{len(halls)} {word}" for word, halls in pushed.items())
        self._print_line(
            f"edged policy push --group: {counts_text}; refused by {', '.join(pushed['refused']) or 'nobody'}"
        )
        return pushed

    async def _cut(self) -> float | None:
        """Cut the bridge of the first hall that has a daemon, and mend it; returns the seconds between, None if no hall
        has one.
        """
        if not self._city.bridged:
            return None
        hall, away_s = self._city.bridged[0], max(2.0, self._seconds / 6)
        hall.cut()
        self._print_line(f"the line of {hall.name} is cut for {away_s:.0f} s; its hall goes on")
        await asyncio.sleep(away_s)
        hall.mend()
        self._print_line(f"the line of {hall.name} is mended")
        return away_s

    async def _print_totals(self) -> None:
        while True:
            await asyncio.sleep(TOTALS_EVERY_S)
            made = sum(hall.made for hall in self._city.wires.halls.values())
            acknowledged = sum(hall.upto for hall in self._city.wires.halls.values())
            self._print_line(f"{made} events in halls on wires, {acknowledged} acknowledged")

    async def _summary(
        self, counts: list[HallCount], pushed: dict[str, list[str]], cut_s: float | None
    ) -> dict[str, Any]:
        city = self._city
        wrong = [one._asdict() for one in counts if not one.right]
        refused_right = pushed["refused"] == sorted(city.wires.refuse) and not pushed["silent"]
        return {
            "good": not wrong and refused_right,
            "halls": len(city.wires.halls),
            "daemons": len(city.bridged),
            "events": sum(one.counted for one in counts),
            "stored": sum(one.rows for one in counts),
            "wrong_halls": wrong,
            **{f"delay_{name}": seconds for name, seconds in (await city.delays()).items()},
            "policy_applied": len(pushed["applied"]),
            "policy_refused": pushed["refused"],
            "policy_silent": pushed["silent"],
            "line_cut_s": cut_s,
        }
