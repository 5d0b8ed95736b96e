"""The consumer as a process: killed, its broker killed, its PostgreSQL killed, all in the middle of the work.

The oracle is SQL: for every hall count = max(seq) = upto = what the hall itself counted.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import sys
import threading
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import psycopg
import pytest
import structlog

from edged.centre.broker import CityAddress, CityLink
from edged.centre.consumer import Consumer, Share
from edged.centre.gauges import ConsumerGauges
from edged.centre.ledger import CentreLedger
from edged.sim.broker import free_port
from edged.sim.city.wire_halls import WireCity
from tests.support.brokers import real_mosquitto, until
from tests.support.daemons import ROOT, small_hall
from tests.support.halls_on_wires import wire_halls
from tests.support.postgres import postgres_beside

ORACLE = "SELECT hall, count(*), max(e.seq), max(c.upto) FROM events e JOIN cursors c USING (hall, epoch) GROUP BY hall"
HALLS = [f"hall{n}" for n in range(8)]


class Process:
    """``edged centre consume``; ``start`` it again after an end."""

    def __init__(self, port: int | str, dsn: str, *more: str) -> None:
        self.words = ("--broker", f"mqtt://127.0.0.1:{port}", "--postgres", dsn, *more)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edged", "centre", "consume", *self.words),
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
        )

    async def end(self, number: int) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(20):
            return await self.process.wait()


@asynccontextmanager
async def consuming(port: int | str, dsn: str, *more: str) -> AsyncIterator[Process]:
    process = Process(port, dsn, *more)
    await process.start()
    try:
        yield process
    finally:
        await process.end(signal.SIGKILL)


def ask(dsn: str, query: str) -> list[Any]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode()).fetchall()


async def settled(city: WireCity, dsn: str) -> None:
    """Everything is acknowledged, and the oracle agrees with the halls."""
    await until(lambda: city.all_acknowledged, 60.0)
    reported = {hall: tuple(rest) for hall, *rest in await asyncio.to_thread(ask, dsn, ORACLE)}
    assert reported == {hall.name: (hall.made, hall.made, hall.made) for hall in city.halls.values()}


async def happen(city: WireCity, rounds: int, pause_s: float = 0.01) -> None:
    for _ in range(rounds):
        for name in city.halls:
            await city.happen(name, wait_s=60)
        await asyncio.sleep(pause_s)


async def test_killed_in_the_middle_it_goes_on_without_a_gap(dsn: str) -> None:
    async with (
        real_mosquitto("max_queued_messages 10000") as broker,
        wire_halls(broker.port, HALLS) as city,
        consuming(broker.port, dsn) as process,
    ):
        await happen(city, 20)
        await until(lambda: any(hall.upto for hall in city.halls.values()))
        await happen(city, 10)
        assert await process.end(signal.SIGKILL) == -signal.SIGKILL
        await happen(city, 20)
        await process.start()
        await happen(city, 5)
        await settled(city, dsn)
        assert await process.end(signal.SIGTERM) == 0


async def test_several_share_the_work_and_one_of_them_may_die(dsn: str) -> None:
    async with (
        real_mosquitto("max_queued_messages 10000") as broker,
        wire_halls(broker.port, HALLS) as city,
        consuming(broker.port, dsn, "--name", "one", "--share", "centre") as one,
        consuming(broker.port, dsn, "--name", "two", "--share", "centre") as two,
    ):
        await asyncio.sleep(1)
        await happen(city, 20)
        await until(lambda: any(hall.upto for hall in city.halls.values()))
        await one.end(signal.SIGKILL)
        await happen(city, 20)
        await one.start()
        await happen(city, 10)
        await settled(city, dsn)
        assert two.process is not None
        assert two.process.returncode is None


async def test_the_brokers_end_loses_nothing(dsn: str) -> None:
    async with (
        real_mosquitto() as broker,
        wire_halls(broker.port, HALLS) as city,
        consuming(broker.port, dsn),
    ):
        await happen(city, 20)
        await until(lambda: any(hall.upto for hall in city.halls.values()))
        await broker.kill()
        await happen(city, 20)
        await broker.start()
        await happen(city, 10)
        await settled(city, dsn)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_postgresql_killed_in_the_middle_is_waited_for(protocol: str) -> None:
    async with postgres_beside() as server, real_mosquitto("max_queued_messages 10000") as broker:
        at = f"{broker.port}?protocol={protocol}"
        async with wire_halls(broker.port, HALLS) as city, consuming(at, server.dsn) as process:
            await happen(city, 20)
            await until(lambda: any(hall.upto for hall in city.halls.values()))
            server.kill()
            await happen(city, 20)
            await asyncio.to_thread(server.start)
            await happen(city, 10)
            await settled(city, server.dsn)
            assert process.process is not None
            assert process.process.returncode is None


async def test_a_fault_of_the_tables_is_waited_out_and_no_message_is_refused(dsn: str) -> None:
    """A column that is gone, like a right that is gone, is no message's fault: nothing is refused or given up."""
    metrics, columns = free_port(), (("events", "kind"), ("pictures", "payload"))
    async with (
        real_mosquitto() as broker,
        wire_halls(broker.port, ["east"]) as city,
        consuming(broker.port, dsn, "--metrics", f"127.0.0.1:{metrics}"),
    ):
        await until(lambda: metric(metrics, "edged_centre_keeps_pictures") == 1)
        with psycopg.connect(dsn, autocommit=True) as database:
            for table, column in columns:
                database.execute(f"ALTER TABLE {table} RENAME COLUMN {column} TO gone")
            await happen(city, 5)
            await city.publish("hall/east/status", json.dumps({"state": "online", "epoch": 1}).encode())
            await until(lambda: metric(metrics, "edged_centre_database_failures_total") >= 2)
            for table, column in columns:
                database.execute(f"ALTER TABLE {table} RENAME COLUMN gone TO {column}")
        await settled(city, dsn)
        await until(lambda: ask(dsn, "SELECT topic FROM pictures") == [("hall/east/status",)])
        assert metric(metrics, 'edged_centre_refused_total{reason="database"}') == -1, "no such series"


def test_a_database_that_is_away_is_two_lines_in_the_log() -> None:
    stop = threading.Event()
    stop.set()  # no pause after a failure
    away = CityLink(CityAddress("127.0.0.1", 1), "here")
    made = Consumer(away, CentreLedger(""), Share(), ConsumerGauges(), stop)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            made._lost(psycopg.OperationalError("no such server"))
        made._well()
        made._well()
    assert [line["event"] for line in logs] == ["database-failed", "database-restored"]
    assert "halls keep their events" in logs[0]["effect"]


async def test_a_broker_that_was_never_there_is_named_once_in_the_log() -> None:
    port = free_port()
    link = CityLink(CityAddress("127.0.0.1", port), "here")
    made = Consumer(link, CentreLedger(""), Share(), ConsumerGauges(), threading.Event())
    with structlog.testing.capture_logs() as logs:
        link.start([], made._changed)
        try:
            await until(lambda: bool(logs))
            made._changed(False, logs[0]["detail"])
        finally:
            link.stop()
    assert [(line["event"], line["broker"]) for line in logs] == [("broker-down", f"127.0.0.1:{port}")]


async def test_the_consumer_counts_messages_that_are_no_event_and_goes_on(dsn: str) -> None:
    metrics = free_port()
    async with (
        real_mosquitto() as broker,
        wire_halls(broker.port, ["east"]) as city,
        consuming(broker.port, dsn, "--metrics", f"127.0.0.1:{metrics}"),
        aiomqtt.Client("127.0.0.1", broker.port, timeout=math.inf) as other,
    ):
        await until(lambda: metric(metrics, "edged_centre_keeps_pictures") == 1)
        for rubbish in (b"?", b"{}", b'{"id":"west/1/1"}'):
            await other.publish("hall/east/events", rubbish, qos=1)
        await happen(city, 5)
        await city.publish("hall/east/status", json.dumps({"state": "online", "epoch": 1}).encode())
        await city.publish("hall/east/line", b"1")
        await city.publish("hall/east/line", b"maybe")
        await settled(city, dsn)
        await until(lambda: metric(metrics, 'edged_centre_refused_total{reason="line"}') == 1)
        assert metric(metrics, "edged_centre_events_total") == 5
        assert metric(metrics, 'edged_centre_refused_total{reason="not_json"}') == 1
        assert metric(metrics, "edged_centre_gaps") == 0
        assert ask(dsn, "SELECT topic, payload FROM pictures ORDER BY topic") == [
            ("hall/east/line", 1),
            ("hall/east/status", {"state": "online", "epoch": 1}),
        ]


def metric(port: int, name: str) -> float:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return -1
    found = [float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name]
    return found[0] if found else -1


async def test_a_real_daemons_journal_counts_what_the_centre_has(tmp_path: Path, dsn: str) -> None:
    async with real_mosquitto() as broker, small_hall(tmp_path, broker) as (files, daemon, machines):
        async with consuming(broker.port, dsn) as process:
            await daemon.start()
            machines.tickets(3)
            await until(lambda: ask(dsn, "SELECT 1 FROM events WHERE kind = 'ticket.issued'") == [(1,)] * 3)
            await process.end(signal.SIGKILL)
            machines.tickets(20, 4)
            await process.start()
            await until(lambda: len(ask(dsn, "SELECT 1 FROM events WHERE kind = 'ticket.issued'")) == 23)
        assert await daemon.stop() == 0
        counted = sum(
            note.kind != "ignored" and not note.kind.startswith("action.")
            for step in files.steps()
            for note in step.notes
        )
        (last,) = ask(dsn, ORACLE)
        assert last[1] == last[2] == last[3] <= counted
