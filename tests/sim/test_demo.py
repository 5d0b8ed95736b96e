"""``edged demo`` from outside: the audited day, a killed daemon, Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.brokers import until
from tests.support.daemons import hear_ctrl_c

ROOT = Path(__file__).parents[2]
DAY_S = 90.0  # real seconds for a third of an hour at speed 60, on a busy machine
PROMPT_S = 20.0
SERVING = '"event": "serving"'
KEYS = {
    "seed",
    "virtual_s",
    "tickets_issued",
    "tickets_served",
    "tickets_waiting",
    "no_shows",
    "tidal_activations",
    "unanswered",
    "to_staffed_s",
    "wait_s",
    "hours",
    "cases",
    "ratings",
    "appointments",
    "transfers",
    "journey_stages",
    "told_once",
    "commissioners",
    "slips",
    "pauses",
    "alarms",
    "overrides",
    "announcements",
    "consultations",
    "wishes",
    "wishes_open",
    "unanswered_keys",
    "turned_away",
    "events",
    "frames",
    "journal_steps",
    "replay_identical",
    "inputs_lost",
    "outputs_wrong",
}


def environment(directory: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(directory)}


async def order(directory: Path, *words: str) -> tuple[int | None, str]:
    """``edged op …`` from another terminal of the same user."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edged", "op", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment(directory),
    )
    async with asyncio.timeout(DAY_S):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


@asynccontextmanager
async def demo(directory: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A demo in a session of its own; whatever is left of it is killed at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "edged", "demo", "--headless", "--json", "--keep", str(directory / "hall"), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env=environment(directory),
        preexec_fn=hear_ctrl_c,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def processes_of(session: int) -> dict[int, str]:
    """Living processes of a session: pid and command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(stat[3]) == session and stat[0] != "Z":
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def log_of(hall: Path) -> str:
    log = hall / "edged.log"
    return log.read_text() if log.exists() else ""


def daemon_of(session: int) -> int | None:
    """The pid of the demo's daemon."""
    return next((pid for pid, line in processes_of(session).items() if " run --config " in line), None)


async def summary_of(process: asyncio.subprocess.Process, within_s: float = DAY_S) -> dict[str, Any]:
    async with asyncio.timeout(within_s):
        output, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()[-3000:]
    summary = json.loads(output)
    assert isinstance(summary, dict)
    return summary


def good(summary: dict[str, Any]) -> None:
    assert summary.keys() == KEYS
    assert summary["replay_identical"] is True
    assert (summary["inputs_lost"], summary["outputs_wrong"]) == (0, 0)
    frames = summary["frames"]
    events = summary["events"]
    assert 0 < events["acknowledged"] <= events["told"]
    assert set(frames) == {"mqtt", "serial", "modbus"}
    assert all(count > 0 for count in frames.values())


async def test_a_short_day_runs_on_three_wires_and_passes_its_own_audit(tmp_path: Path) -> None:
    hall, words = tmp_path / "hall", ("announce", "text=请注意", "text_en=Attention", "--by", "陈敏")
    async with demo(tmp_path, "--hours", "0.3", "--speed", "30", "--seed", "2") as process:
        await until(lambda: "policy-applied" in log_of(hall), DAY_S)
        assert (await order(tmp_path, "push", *words))[0] == 0, "signed with the hall's own date"
        today = ("--hall", "demo", "--key", str(hall / "city.key"), "--out", str(tmp_path / "today.json"))
        assert (await order(tmp_path, "sign", *words, *today))[0] == 0
        refused = await order(tmp_path, "push", str(tmp_path / "today.json"))
        assert refused[0] == 1, refused
        assert "[not-yet]" in refused[1] or "[expired]" in refused[1], "the demo's day is another one"
        summary = await summary_of(process)
        good(summary)
        assert summary["announcements"] == 1
        assert summary["seed"] == 2
        assert summary["tickets_issued"] > summary["tickets_served"] > 0
        await until(lambda: processes_of(process.pid) == {})


async def test_a_morning_has_cases_ratings_appointments_a_long_pause_and_orders(tmp_path: Path) -> None:
    async with demo(tmp_path, "--hours", "1.1", "--speed", "60", "--seed", "1") as process:
        summary = await summary_of(process, 4 * DAY_S)
    good(summary)
    assert summary["hours"]["closed"] > 0, "before opening"
    assert summary["hours"]["open"] > 0
    assert summary["cases"]["opened"] >= summary["cases"]["acknowledged"] >= 1
    assert summary["ratings"]["given"] >= 2
    assert summary["appointments"]["made"] == 6
    assert summary["appointments"]["checked_in"] >= 2
    assert summary["pauses"] >= 1
    assert summary["slips"] >= 2  # what is missing, and a next stage
    assert summary["told_once"]["told"] == 1
    assert summary["commissioners"] == 1
    assert summary["alarms"]["pause-too-long"] >= 1
    assert (summary["overrides"], summary["announcements"]) == (1, 1)


async def test_a_day_ends_with_extended_hours_late_visitors_and_closed_areas(tmp_path: Path) -> None:
    async with demo(
        tmp_path, "--starts", "16:45", "--hours", "0.75", "--speed", "60", "--seed", "1"
    ) as process:
        summary = await summary_of(process, 4 * DAY_S)
    good(summary)
    assert summary["hours"].keys() >= {"extended", "closed"}
    assert summary["turned_away"] > 0, "people come until the end, and are told that no numbers are given"


@pytest.mark.full
async def test_a_whole_day_from_before_opening_until_all_have_gone(tmp_path: Path) -> None:
    async with demo(tmp_path, "--hours", "9", "--speed", "60", "--seed", "1") as process:
        summary = await summary_of(process, 20 * 60)
    good(summary)
    assert summary["tickets_waiting"] <= 3, "the last are called after five"
    assert summary["hours"].keys() >= {"open", "noon", "stopped", "draining", "closed", "extended"}
    assert summary["cases"]["closed"] >= 2
    assert summary["cases"]["rated"] >= 2
    assert summary["appointments"]["checked_in"] >= 8
    assert summary["transfers"] >= 2
    assert summary["journey_stages"] >= 3
    assert summary["told_once"] == {"told": 2, "back": 2}
    assert summary["commissioners"] == 1
    assert summary["ratings"]["answered"] >= 1
    assert summary["alarms"]["pause-too-long"] >= 2


async def test_a_daemon_killed_twice_during_the_day_loses_nothing(tmp_path: Path) -> None:
    async with demo(tmp_path, "--hours", "0.4", "--speed", "60", "--seed", "3") as process:
        killed: list[int] = []
        log = tmp_path / "hall" / "edged.log"
        for after_s in (3.0, 4.0):
            await until(lambda: log.exists() and log.read_text().count(SERVING) > len(killed), 30)
            await asyncio.sleep(after_s)  # into the day: the instant is part of the case
            pid = daemon_of(process.pid)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
        good(await summary_of(process))
    assert log.read_text().count(SERVING) == 3, log.read_text()[-2000:]


async def test_ctrl_c_ends_it_soon_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with demo(tmp_path, "--hours", "1") as process:
        await until(lambda: daemon_of(process.pid) is not None and (tmp_path / "hall/demo.db").exists(), 20)
        asked_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PROMPT_S):
            output, complaints = await process.communicate()
        assert process.returncode == 130
        assert time.monotonic() - asked_s < PROMPT_S
        assert output == b""
        assert complaints.decode().splitlines()[-1] == "edged demo: stopped"
        assert "Traceback" not in complaints.decode()
        await until(lambda: processes_of(process.pid) == {}, PROMPT_S)
