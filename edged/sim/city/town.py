"""Assembles a simulated city, and compares the events in its database with those that its halls counted."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import NamedTuple, Self

from edged.clock import monotonic_s
from edged.sim.broker import USERNAME, EmbeddedBroker
from edged.sim.city.bridged_hall import BridgedHall
from edged.sim.city.mosquittos import CityMosquitto, mosquitto_path
from edged.sim.city.postgres import CityPostgres, rows
from edged.sim.city.processes import CityProcesses
from edged.sim.city.wire_halls import WireCity
from edged.sim.demo import write_keys

GROUP = "demo-city"
KEY = "city"  # city.key and city.pub.json
SETTLE_S = 120.0  # for all events to be stored and acknowledged
CHECK_S = 0.25
DAEMON_PAUSE_S = 2.0  # between visitors of a real daemon's hall

ORACLE = "SELECT hall, count(*), max(e.seq), max(c.upto) FROM events e JOIN cursors c USING (hall, epoch) GROUP BY hall"
DELAYS = (
    "SELECT percentile_cont(ARRAY[0.5, 0.99, 1]) WITHIN GROUP (ORDER BY extract(epoch FROM received_at - at))"
    " FROM events WHERE NOT historical AND at BETWEEN to_timestamp(%s) AND to_timestamp(%s)"
)
EVER_S = 4e9  # 2096
PrintLine = Callable[[str], None]


class CityPlan(NamedTuple):
    """The size of a simulated city: ``halls`` without a daemon, and ``daemons`` further halls with one.
    ``visitors_per_s``: visitors a second in all halls without a daemon together.
    """

    halls: int
    daemons: int
    visitors_per_s: float
    seed: int = 1


class HallCount(NamedTuple):
    """Events of one hall. From the city's database: ``rows`` (how many events), ``highest`` (highest event number),
    ``upto`` (number up to which the city acknowledged). From the hall itself: ``counted``.
    """

    hall: str
    rows: int
    highest: int
    upto: int
    counted: int

    @property
    def right(self) -> bool:
        """Whether all four counts are equal."""
        return self.rows == self.highest == self.upto == self.counted


class SimulatedCity:
    """A simulated city: inside ``async with`` its database, broker, consumer and halls run. Raises ``PartMissing``,
    whose text says what to do, if a program that it needs is not installed or does not start.
    """

    def __init__(self, plan: CityPlan, print_line: PrintLine) -> None:
        self.plan = plan
        self._print_line = print_line
        self.chance = random.Random(plan.seed)
        self.bridged: list[BridgedHall] = []
        self.broker: CityMosquitto | None = None
        self._consumer: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._build(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def _build(self, stack: AsyncExitStack) -> None:
        programs = self.programs = await stack.enter_async_context(CityProcesses())
        self._print_line(f"everything lives in {programs.folder}")
        self.postgres = CityPostgres(programs)
        await self.postgres.start()
        await asyncio.to_thread(_make_tables, self.postgres.dsn)
        self._print_line(f'PostgreSQL: --postgres "{self.postgres.dsn}"')
        write_keys(programs.folder, KEY)
        port, address = await self._brokers(stack)
        self.url = f"mqtt://{address}"
        self._print_line(f"broker of the city: --broker {self.url}")
        await self.start_consumer()
        names = [f"hall{number:03d}" for number in range(1, self.plan.halls + 1)]
        login = {"username": USERNAME, "password": USERNAME}
        self.wires = WireCity(port, names, GROUP, **login)
        for number in range(1, self._daemons() + 1):
            keys = programs.folder / f"{KEY}.pub.json"
            hall = BridgedHall(programs, f"real{number:02d}", GROUP, keys, [port])
            self.bridged.append(await stack.enter_async_context(hall))
            self._print_line(f"{hall.name}: a real daemon behind a real bridge serves")

    async def _brokers(self, stack: AsyncExitStack) -> tuple[int, str]:
        """Start the city's broker: mosquitto, or the demo's own if that is not installed. Returns its port, and its
        address as the commands' option ``--broker`` takes it.
        """
        if mosquitto_path() is None:
            self._print_line(
                "mosquitto is not installed: the demo's own broker, and no real bridges / 未安装 mosquitto"
            )
            own = await stack.enter_async_context(EmbeddedBroker())
            return own.port, f"{USERNAME}@127.0.0.1:{own.port}?protocol=3.1.1"
        self.broker = CityMosquitto(self.programs, "city-broker", "city.conf")
        await self.broker.start()
        return self.broker.port, f"127.0.0.1:{self.broker.port}"

    def _daemons(self) -> int:
        return 0 if self.broker is None else self.plan.daemons

    async def start_consumer(self) -> None:
        """Start ``edged centre consume``, which writes the halls' events into the database."""
        self._consumer = await self.programs.start(
            *(sys.executable, "-m", "edged", "centre", "consume"),
            *("--broker", self.url, "--postgres", self.postgres.dsn),
            log="consumer.log",
        )

    async def kill_consumer(self) -> None:
        """Kill the consumer (``edged centre consume``) with SIGKILL."""
        assert self._consumer is not None
        await self.programs.end(self._consumer, signal.SIGKILL)

    async def kill_broker(self) -> None:
        """Kill the city's mosquitto with SIGKILL."""
        assert self.broker is not None
        await self.broker.kill()

    async def start_broker(self) -> None:
        """Start the city's mosquitto again, with what it stored on disk."""
        assert self.broker is not None
        await self.broker.start()

    def begin(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Start the visitors of all halls as tasks in ``tasks``; returns these tasks. Cancelling them ends the stream
        of visitors.
        """
        tasks_of_people = [tasks.create_task(self.wires.live(self.plan.visitors_per_s, self.chance))]
        tasks_of_people += [
            tasks.create_task(hall.live(DAEMON_PAUSE_S, self.chance)) for hall in self.bridged
        ]
        return tasks_of_people

    async def counts(self) -> list[HallCount]:
        """Count the events of each hall in the city's database and in the hall itself; returns the counts in order of
        the halls' names.
        """
        found = {hall: numbers for hall, *numbers in await asyncio.to_thread(rows, self.postgres.dsn, ORACLE)}
        counted = {hall.name: hall.made for hall in self.wires.halls.values()}
        for bridged in self.bridged:
            counted[bridged.name] = await asyncio.to_thread(bridged.counted)
        result = []
        for hall, number in sorted(counted.items()):
            kept, highest, upto = found.get(hall, (0, 0, 0))
            result.append(HallCount(hall, kept, highest, upto, number))
        return result

    async def settled(self, within_s: float = SETTLE_S) -> list[HallCount]:
        """Wait until database and hall agree for every hall, at most ``within_s`` seconds; returns the final counts."""
        until_s = monotonic_s() + within_s
        while True:
            if self.wires.all_acknowledged or monotonic_s() > until_s:
                counts = await self.counts()
                if all(one.right for one in counts) or monotonic_s() > until_s:
                    return counts
            await asyncio.sleep(CHECK_S)

    async def known(self) -> int:
        """Count the halls that the city's database lists as online and as members of the group."""
        query = "SELECT count(*) FROM hall_now WHERE state IN ('online', 'degraded') AND group_name = %s"
        ((found,),) = await asyncio.to_thread(rows, self.postgres.dsn, query, GROUP)
        return int(found)

    async def delays(self, from_s: float = 0, until_s: float = EVER_S) -> dict[str, float]:
        """Return the seconds from an event in a hall to its row in the city's database: median (``p50_s``), 99 %
        quantile (``p99_s``) and maximum (``max_s``); 0 if there are no events. Only events that happened between
        ``from_s`` and ``until_s`` (seconds since 1970) count, and of these only those sent as they happened, not later
        as history.
        """
        ((found,),) = await asyncio.to_thread(rows, self.postgres.dsn, DELAYS, from_s, until_s)
        return dict(
            zip(("p50_s", "p99_s", "max_s"), (round(one, 3) for one in found or (0.0, 0.0, 0.0)), strict=True)
        )

    async def push(self, open_above: int, wait_s: float = 30.0) -> dict[str, list[str]]:
        """Push a policy to all halls of the group (``edged policy push --group``); ``open_above``: more people waiting
        than this open a "+1" window. Returns the names of the halls that ``applied`` it, ``refused`` it, or did not
        answer within ``wait_s`` seconds (``silent``).
        """
        document = self.programs.folder / "policy.json"
        document.write_text(
            json.dumps({"body": {"tidal": {"band": {"open_above": open_above}}}}), encoding="utf-8"
        )
        _, output = await self.programs.run(
            *("policy", "push", "policy.json", "--key", f"{KEY}.key", "--broker", self.url, "--group", GROUP),
            *("--wait-s", f"{wait_s:g}"),
        )
        outcome: dict[str, list[str]] = {"applied": [], "refused": [], "silent": []}
        for line in output.splitlines():
            hall, colon, text = line.partition(": ")
            for word, part in (("applied /", "applied"), ("REFUSED", "refused"), ("NO ANSWER", "silent")):
                if colon and text.startswith(word):
                    outcome[part].append(hall)
        return {part: sorted(halls) for part, halls in outcome.items()}


def _make_tables(dsn: str) -> None:
    import psycopg

    from edged.centre.ledger import prepare

    with psycopg.connect(dsn) as connection:
        prepare(connection)
