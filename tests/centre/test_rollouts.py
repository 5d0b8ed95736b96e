"""Fleet pushes and rollouts over a real broker, a real consumer and a real PostgreSQL; the halls are on wires."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import psycopg
import pytest

from edged.central.envelope import opened_unverified, private_pem
from edged.centre.hall_messages import read_retained
from edged.centre.ledger import CentreLedger
from edged.centre.rollouts import ANSWER_S, Rollout, RolloutPlan, begin, sizes
from tests.centre.test_consume import ask, consuming
from tests.support.background import background
from tests.support.brokers import real_mosquitto, until
from tests.support.daemons import ROOT
from tests.support.policies import KEY

HALLS = [f"hall{n}" for n in range(1, 7)]
POLICY = {"body": {"tidal": {"band": {"open_above": 5}}}}


class Halls:
    """Halls that answer pushes as they are told to: applied unless ``refuses``, ``harmed`` or ``silent`` says else."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.refuses: set[str] = set()
        self.harmed: set[str] = set()
        self.silent: set[str] = set()
        self.pushed: dict[str, int] = {}
        self.rolled_back: list[tuple[str, dict[str, Any]]] = []

    async def report(self, hall: str, state: str, version: int, sha256: str, why: str = "") -> None:
        named = {"version": version, "sha256": sha256}
        body = {
            "desired": named,
            "applied": named if state == "applied" else {"version": 0, "sha256": ""},
            "state": state,
            "at": "2026-12-01T10:00:00+08:00",
        }
        if why:
            body["reason"] = {"code": why, "path": "", "message": why, "message_zh": why}
        await self.client.publish(f"hall/{hall}/policy/report", json.dumps(body).encode(), qos=1, retain=True)

    async def run(self) -> None:
        for topic in ("hall/+/policy/push", "city/+/policy/push", "hall/+/ops/+"):
            await self.client.subscribe(topic, qos=1)
        for hall in HALLS:
            status = {"state": "online", "since": "2026-12-01T08:00:00+08:00", "group": "river-city"}
            await self.client.publish(f"hall/{hall}/status", json.dumps(status).encode(), qos=1, retain=True)
            await self.report(hall, "applied", 0, "")
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            kind, hall, what, *_ = str(message.topic).split("/")
            payload = opened_unverified(message.payload)
            if what == "ops":
                self.rolled_back.append((hall, json.loads(payload)["body"]))
                continue
            for one in HALLS if kind == "city" else [hall]:
                await self.take(one, payload)

    async def take(self, hall: str, payload: bytes) -> None:
        self.pushed[hall] = self.pushed.get(hall, 0) + 1
        version, sha256 = json.loads(payload)["version"], hashlib.sha256(payload).hexdigest()
        if hall in self.silent:
            return
        if hall in self.refuses:
            await self.report(hall, "rejected", version, sha256, "out-of-bounds")
            return
        await self.report(hall, "applied", version, sha256)
        if hall in self.harmed:
            await asyncio.sleep(0.5)
            await self.report(hall, "rolled-back", version, sha256, "made-it-worse")


@asynccontextmanager
async def halls_at(port: int) -> AsyncIterator[Halls]:
    async with aiomqtt.Client("127.0.0.1", port, timeout=math.inf) as client:
        halls = Halls(client)
        async with background(halls.run(), aiomqtt.MqttError):
            yield halls


class Office:
    """Commands of a city's office, run in ``directory``."""

    def __init__(self, directory: Path, port: int, dsn: str) -> None:
        self.directory = directory
        (directory / "city.key").write_bytes(private_pem(KEY))
        (directory / "policy.json").write_text(json.dumps(POLICY))
        self.broker = ("--broker", f"mqtt://127.0.0.1:{port}")
        self.both = (*self.broker, "--postgres", dsn)

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edged", *words),
            cwd=self.directory,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def run(self, *words: str) -> tuple[int | None, str]:
        process = await self.start(*words)
        async with asyncio.timeout(60):
            out, _ = await process.communicate()
        return process.returncode, out.decode()

    def rollout(self, *more: str) -> tuple[str, ...]:
        return ("centre", "rollout", "policy.json", *self.both, "--key", "city.key", *more)


async def ready(dsn: str) -> None:
    """Wait until the consumer stores the reports of every hall."""
    query = "SELECT count(*) FROM hall_now WHERE policy_state IS NOT NULL AND group_name IS NOT NULL"

    def kept() -> bool:
        try:
            return bool(ask(dsn, query) == [(len(HALLS),)])
        except psycopg.errors.UndefinedTable:
            return False

    await until(kept)


async def test_a_group_push_names_exactly_those_that_refused_or_were_silent(tmp_path: Path) -> None:
    async with real_mosquitto() as broker, halls_at(broker.port) as halls:
        await asyncio.sleep(0.5)
        office = Office(tmp_path, broker.port, "")
        push = ("policy", "push", "policy.json", *office.broker, "--key", "city.key", "--wait-s", "3")
        code, output = await office.run(*push, "--group", "river-city")
        assert (code, output.count("applied / ")) == (0, len(HALLS)), output
        halls.refuses, halls.silent = {"hall2", "hall5", "hall6"}, {"hall3"}
        code, output = await office.run(*push, "--group", "river-city")
        assert code == 1
        refused = {line.split(":")[0] for line in output.splitlines() if "REFUSED" in line}
        assert refused == {"hall2", "hall5", "hall6"}, output
        assert "hall3: NO ANSWER" in output
        assert output.count("applied / ") == 2
        code, output = await office.run(*push, "--halls", "hall1,hall4")
        assert (code, output.count("applied / ")) == (0, 2), output
        assert (await office.run(*push, "--group", "elsewhere"))[0] == 1


async def test_a_second_wave_that_harms_stops_there(tmp_path: Path, dsn: str) -> None:
    async with real_mosquitto() as broker, halls_at(broker.port) as halls, consuming(broker.port, dsn):
        await ready(dsn)
        office = Office(tmp_path, broker.port, dsn)
        halls.harmed = {"hall3"}
        ordered = ("--halls", ",".join(HALLS), "--waves", "1,50%,100%", "--settle", "2s")
        code, output = await office.run(*office.rollout(*ordered))
        assert code == 1, output
        assert "wave 2 of 3: halted" in output
        assert "hall3 (wave 2): taken-back made-it-worse" in output
        assert sorted(halls.pushed) == ["hall1", "hall2", "hall3"]
        number = output.split()[1]
        code, output = await office.run(
            "centre", "abort", number, *office.both, "-k", "city.key", "--by", "陈敏", "--wait-s", "1"
        )
        assert (code, output.count("no answer")) == (1, 2), output  # these halls have no hands
        assert sorted(halls.rolled_back) == [("hall1", {"version": 1}), ("hall2", {"version": 1})]
        # One failure may be allowed; and a new rollout may begin, the old one being over.
        halls.harmed = set()
        halls.refuses = {"hall2"}
        code, output = await office.run(
            *office.rollout("--group", "river-city", "--settle", "0s", "--max-failed", "1")
        )
        assert (code, "done" in output) == (0, True), output
        assert "hall2 (wave 2): failed out-of-bounds" in output


async def test_killed_it_goes_on_where_it_was(tmp_path: Path, dsn: str) -> None:
    async with real_mosquitto() as broker, halls_at(broker.port) as halls, consuming(broker.port, dsn):
        await ready(dsn)
        office = Office(tmp_path, broker.port, dsn)
        halls.silent = {"hall2"}
        process = await office.start(
            *office.rollout("--halls", ",".join(HALLS), "--waves", "1,2,100%", "--settle", "1s")
        )
        await until(lambda: "hall2" in halls.pushed or process.returncode is not None, 60.0)
        assert "hall2" in halls.pushed, (await process.communicate())[0].decode()
        process.send_signal(signal.SIGKILL)
        await process.wait()
        assert (await office.run(*office.rollout("--group", "river-city")))[0] == 1  # one is not over
        halls.silent = set()
        (number,) = ask(dsn, "SELECT id FROM rollouts")[0]
        code, output = await office.run("centre", "rollout", *office.both, "--resume", str(number))
        assert (code, "wave 3 of 3: done" in output) == (0, True), output
        assert halls.pushed == dict.fromkeys(HALLS, 1) | {"hall2": 2}


SHA256 = "ab" * 32
OURS = {"version": 8, "sha256": SHA256}
FORGED: list[Any] = [
    {"state": "applied", "desired": OURS | {"sha256": "cd" * 32}, "applied": OURS},
    {"state": "applied", "desired": OURS | {"sha256": ""}, "applied": OURS},
    {"state": "applied", "desired": {"version": 8}, "applied": OURS},
    {"state": "applied", "desired": [OURS], "applied": OURS},
    {"state": "applied", "desired": None, "applied": OURS},
    {"state": "done", "desired": OURS, "applied": OURS},
    {"state": ["applied"], "desired": OURS},
    {"state": {"applied": 1}, "desired": OURS},
    {},
]


def test_forged_reports_begin_no_wave(dsn: str) -> None:
    """A report by another sender or about other content counts as silence, even if it says "applied"."""
    ledger, begun = CentreLedger(dsn), datetime(2026, 12, 1, tzinfo=UTC)
    plan = RolloutPlan(b"signed", 8, SHA256, ("east", "west"), (1, 2), settle_s=0, max_failed=0)
    pushed = list[str]()
    rollout = Rollout(
        ledger.connection(), begin(ledger.connection(), plan), lambda topic, payload: pushed.append(topic)
    )
    rollout.step(begun)
    early = {"state": "applied", "desired": OURS, "applied": OURS}  # of a hall that nobody has asked yet
    for seconds, forged in enumerate(FORGED):
        forged_reports = [("east", forged), ("west", early)]
        ledger.keep(
            [],
            [
                read_retained(f"hall/{hall}/policy/report", json.dumps(one).encode())
                for hall, one in forged_reports
            ],
        )
        progress = rollout.step(begun + timedelta(seconds=seconds))
        assert [state for _, _, state, _ in progress.halls] == ["pushed", "waiting"], forged
    progress = rollout.step(begun + timedelta(seconds=ANSWER_S + 1))
    assert (progress.state, progress.reason) == ("halted", "east: no answer")
    assert pushed == ["hall/east/policy/push"]
    ledger.close()


@pytest.mark.parametrize(
    ("text", "halls", "made"),
    [
        ("1,10%,100%", 200, (1, 20, 200)),
        ("1,10%,100%", 6, (1, 6)),
        ("100%", 1, (1,)),
        ("1,2,100%", 6, (1, 2, 6)),
    ],
)
def test_waves_are_counted_up(text: str, halls: int, made: tuple[int, ...]) -> None:
    assert sizes(text, halls) == made


@pytest.mark.parametrize("text", ["", "10%", "0", "half", "5,3", "1,50%,30%,100%"])
def test_waves_that_fall_or_do_not_reach_all_halls_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        sizes(text, 6)
